import { afterEach } from "vitest";
import { type Caller, ANONYMOUS } from "../../src/core/auth.js";
import type { Cron } from "../../src/core/cron.js";
import { createCronScheduler, type CronScheduler } from "../../src/runtime/cron-scheduler.js";
import type { CronRequest } from "../../src/services/crons.js";
import { type TestRuntime, turns } from "./harness.js";

export const MINUTE_MS = 60_000;

/** For each minute, on threads of their own that stay. */
export const EACH_MINUTE: CronRequest = {
  assistantId: "quick",
  schedule: "* * * * *",
  timezone: null,
  endTime: null,
  enabled: true,
  onRunCompleted: "keep",
  multitaskStrategy: "enqueue",
  metadata: {},
  payload: { streamModes: ["values"], streamSubgraphs: false, streamResumable: false, durability: "async" },
};

/** A cron of the graph `quick` for each minute, but for what `request` says. */
export function createCron(
  test: TestRuntime,
  request: Partial<CronRequest> = {},
  threadId: string | null = null,
  caller: Caller = ANONYMOUS,
): Promise<Cron> {
  return test.services.crons.create(caller, threadId, { ...EACH_MINUTE, ...request });
}

/** Let time pass in small steps, with turns for what each sets going. */
export async function pass(
  test: TestRuntime,
  ms: number,
  { stepMs, turnsPerStep }: { readonly stepMs: number; readonly turnsPerStep: number },
): Promise<void> {
  for (let left = ms; left > 0; left -= stepMs) {
    test.clock.advance(Math.min(stepMs, left));
    await turns(turnsPerStep);
  }
}

/** Starts schedulers that end with their test. Called once, at the top of a test file. */
export function schedulersOfTests(): (deps: Parameters<typeof createCronScheduler>[0]) => CronScheduler {
  const schedulers: CronScheduler[] = [];
  afterEach(async () => {
    for (const scheduler of schedulers.splice(0)) await scheduler.stop();
  });
  return (deps) => {
    const scheduler = createCronScheduler(deps);
    schedulers.push(scheduler);
    scheduler.start();
    return scheduler;
  };
}
