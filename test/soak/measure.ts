import { monitorEventLoopDelay } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as (options: object) => void;

/**
 * V8 keeps pages that it has emptied (300 MB of 400 MB after some thousand runs, 70 MB more or less from one look to the next), unless it collects
 * as when memory runs out. What is measured otherwise is that reserve.
 */
const LAST_RESORT = { type: "major", execution: "sync", flavor: "last-resort" };

/** Bytes of this process after a collection that gives back what is not used. */
export async function memory(): Promise<{ readonly rss: number; readonly heap: number }> {
  for (let i = 0; i < 3; i += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage(LAST_RESORT);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed + external };
}

/** Run `count` tasks, `parallel` at once. */
export async function inParallel(
  count: number,
  parallel: number,
  task: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: parallel }, lane));
}

/** The longest time that the event loop stood still while `task` ran, in milliseconds. */
export async function longestStallMs(task: () => Promise<void>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  await task();
  delay.disable();
  return delay.max / 1e6;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** One line of figures on standard output. */
export function report(what: string, figures: Readonly<Record<string, number>>): void {
  const parts = Object.entries(figures).map(([name, value]) => `${name} ${String(Math.round(value * 10) / 10)}`);
  process.stdout.write(`soak: ${what}: ${parts.join(", ")}\n`);
}

/** @param fallback how many, unless the variable says otherwise: for a quick look */
export function sizeFrom(variable: string, fallback: number): number {
  return Number(process.env[variable] ?? fallback);
}
