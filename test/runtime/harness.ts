import { afterEach } from "vitest";
import { ALL_ROWS, ANONYMOUS, SERVER, type Authorizer } from "../../src/core/auth.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import type { Dispatcher } from "../../src/core/dispatcher.js";
import type { EventLog } from "../../src/core/event-log.js";
import { parseJsonText } from "../../src/core/json.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import type { RunEvent } from "../../src/core/run-event.js";
import type { Run, RunRef } from "../../src/core/run.js";
import { createRuntime, type Runtime } from "../../src/runtime/create-runtime.js";
import { createServices, type Services } from "../../src/services/create-services.js";
import type { RunRequest } from "../../src/services/run-request.js";
import { createIndexedItems } from "../../src/embeddings/indexed-items.js";
import { createMemoryItems, createMemoryMetadataStore } from "../../src/stores/memory/index.js";
import { InProcessDispatcher } from "../../src/streaming/in-process-dispatcher.js";
import { MemoryEventLog } from "../../src/streaming/memory-event-log.js";
import { type FakeClock, fakeClock } from "../../src/testing/fake-clock.js";
import { createScriptedEngine, type Script, type ScriptedEngine } from "../../src/testing/scripted-engine.js";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface RuntimeOptions {
  readonly scripts: Readonly<Record<string, Script>>;
  readonly concurrency?: number;
  readonly leaseMs?: number;
  readonly pollMs?: number;
  readonly maxAttempts?: number;
  readonly runTimeoutMs?: number;
  readonly maxBlockedMs?: number;
  readonly workerId?: string;
  readonly mayBeAlive?: (workerId: string) => boolean;
  readonly authorizer?: Authorizer;
  /** Share what another runtime has: a second process on the same storage. */
  readonly storage?: Pick<TestRuntime, "clock" | "store" | "eventLog" | "scripted">;
  readonly wrapStore?: (store: MetadataStore) => MetadataStore;
  readonly wrapLog?: (eventLog: EventLog) => EventLog;
  readonly wrapCheckpointer?: (checkpointer: Checkpointer) => Checkpointer;
  readonly closing?: AbortSignal;
  readonly dispatcher?: (real: Dispatcher) => Dispatcher;
  /** Default true. */
  readonly start?: boolean;
}

/** Worker, sweeper and services on the real memory store, with scripted graphs and a clock that stands still. */
export interface TestRuntime {
  readonly clock: FakeClock;
  /** Without the wrapping. */
  readonly store: MetadataStore;
  readonly eventLog: MemoryEventLog;
  readonly scripted: ScriptedEngine;
  readonly dispatcher: Dispatcher;
  readonly runtime: Runtime;
  readonly services: Services;
  readonly log: readonly LogLine[];
  /** Create a run; on a thread of its own without `threadId`. */
  run(graphId: string, request?: Partial<RunRequest> & { readonly threadId?: string | null }): Promise<Run>;
  newThread(): Promise<string>;
  /** The row, `null` when it is gone. */
  row(run: RunRef): Promise<Run | null>;
  /** All that the log holds of a run, and whether it is sealed. `null` when there is no log. */
  events(run: RunRef): Promise<{ readonly events: readonly RunEvent[]; readonly sealed: boolean } | null>;
  /** How the run's stream ended: `end success`, `error`, or `null` while it has not. */
  ending(run: RunRef): Promise<string | null>;
  /** Let the clock go on in steps of `stepMs` until `probe` holds. */
  until(probe: () => boolean | Promise<boolean>, what: string, stepMs?: number): Promise<void>;
}

const opened: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close();
});

/** Some turns of the event loop: enough for what needs no time. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export const REQUEST: Omit<RunRequest, "assistantId"> = {
  streamModes: ["values"],
  streamSubgraphs: false,
  streamResumable: false,
  multitaskStrategy: "enqueue",
  ifNotExists: "reject",
  onCompletion: "delete",
  afterSeconds: 0,
  durability: "async",
};

export async function openRuntime(options: RuntimeOptions): Promise<TestRuntime> {
  const clock = options.storage?.clock ?? fakeClock();
  const store = options.storage?.store ?? createMemoryMetadataStore(clock);
  const eventLog = options.storage?.eventLog ?? new MemoryEventLog({ clock });
  const scripted = options.storage?.scripted ?? createScriptedEngine(options.scripts);
  const log: LogLine[] = [];
  const at = (level: LogLine["level"]) => (fields: object, message: string) =>
    void log.push({ level, fields: { ...fields }, message });
  const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const real = new InProcessDispatcher({ clock });
  const deps = {
    store: options.wrapStore?.(store) ?? store,
    engine: scripted.engine,
    checkpointer: options.wrapCheckpointer?.(scripted.checkpointer) ?? scripted.checkpointer,
    eventLog: options.wrapLog?.(eventLog) ?? eventLog,
    dispatcher: options.dispatcher?.(real) ?? real,
    clock,
    logger,
  };
  const runtime = createRuntime(deps, {
    workerId: options.workerId ?? "worker-1",
    concurrency: options.concurrency ?? 10,
    leaseMs: options.leaseMs ?? 30_000,
    pollMs: options.pollMs ?? 1_000,
    maxAttempts: options.maxAttempts ?? 3,
    runTimeoutMs: options.runTimeoutMs ?? null,
    maxBlockedMs: options.maxBlockedMs ?? 60_000,
    mayBeAlive: options.mayBeAlive ?? (() => true),
    sweepEveryMs: 5_000,
    eventLogTtlMs: 120_000,
  });
  const services = createServices({
    ...deps,
    items: createIndexedItems({ items: createMemoryItems(clock) }),
    launcher: runtime.launcher,
    authorizer: options.authorizer ?? null,
    maxAttempts: options.maxAttempts ?? 3,
    ...(options.closing !== undefined && { closing: options.closing }),
  });
  if (options.storage === undefined) await services.assistants.seedSystemAssistants(SERVER, {});
  if (options.start !== false) await runtime.start();
  opened.push(async () => {
    const stopped = runtime.stop({ drainMs: 0 });
    for (let i = 0; i < 20; i += 1) {
      await turns();
      clock.advance(1_000);
    }
    await stopped;
    await real.close();
  });

  const newThread = async (): Promise<string> =>
    (await services.threads.create(ANONYMOUS, { ifExists: "raise" })).threadId;
  const events: TestRuntime["events"] = async (run) => {
    const cursor = await eventLog.open(run, "start");
    if (cursor === null) return null;
    const found: RunEvent[] = [];
    try {
      for (;;) {
        const read = await Promise.race([cursor.next(), turns(2).then(() => null)]);
        if (read === null) return { events: found, sealed: false };
        if (read.kind === "end") return { events: found, sealed: true };
        if (read.kind === "events") found.push(...read.events);
      }
    } finally {
      cursor.close();
    }
  };
  return {
    clock,
    store,
    eventLog,
    scripted,
    dispatcher: real,
    runtime,
    services,
    log,
    newThread,
    run: async (graphId, { threadId, ...request } = {}) =>
      services.runs.create(ANONYMOUS, threadId === undefined ? await newThread() : threadId, {
        ...REQUEST,
        ...request,
        assistantId: graphId,
      }),
    row: ({ runId }) => store.runs.get({ runId, access: ALL_ROWS }),
    events,
    async ending(run) {
      const found = await events(run);
      if (found?.sealed !== true) return null;
      const last = found.events.at(-1);
      if (last?.event !== "end") return last?.event ?? "nothing";
      return `end ${(parseJsonText(last.data) as { status: string }).status}`;
    },
    async until(probe, what, stepMs = 0) {
      for (let turn = 0; turn < 2_000; turn += 1) {
        if (await probe()) return;
        await turns(2);
        if (stepMs > 0) clock.advance(stepMs);
      }
      throw new Error(`waited too long for: ${what}`);
    },
  };
}
