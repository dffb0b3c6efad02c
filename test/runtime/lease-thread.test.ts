import { afterEach, expect, it } from "vitest";
import type { RunLease } from "../../src/core/run.js";
import { createLeaseThread, type LeaseThread } from "../../src/runtime/lease-thread.js";
import { until } from "../support/server.js";
import type { SharedMemory } from "./renewers/shared-memory.js";

const threads: LeaseThread[] = [];
afterEach(async () => {
  for (const thread of threads.splice(0)) await thread.stop();
});

const lease = (runId: string): RunLease => ({ runId, leaseToken: 1 });

interface Opened {
  readonly thread: LeaseThread;
  readonly log: readonly string[];
  /** What the thread has done so far. */
  readonly renewals: () => number;
  readonly leases: () => number;
  readonly renewedAt: () => number;
}

async function open(
  options: { readonly leaseMs?: number; readonly maxBlockedMs?: number } & Pick<SharedMemory, "fault"> = {},
): Promise<Opened> {
  const { leaseMs = 60, maxBlockedMs = 60_000, fault } = options;
  const seen = new Float64Array(new SharedArrayBuffer(3 * Float64Array.BYTES_PER_ELEMENT));
  const log: string[] = [];
  const at = (level: string) => (_: object, message: string) => void log.push(`${level}: ${message}`);
  const data: SharedMemory = { memory: seen.buffer, ...(fault !== undefined && { fault }) };
  const thread = await createLeaseThread({
    renewal: { moduleUrl: new URL("./renewers/shared-memory.ts", import.meta.url).href, data },
    leaseMs,
    maxBlockedMs,
    logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
  });
  threads.push(thread);
  return { thread, log, renewals: () => seen[0] ?? 0, leases: () => seen[1] ?? 0, renewedAt: () => seen[2] ?? 0 };
}

/** Keep the main loop busy, as a graph that computes does. */
function block(ms: number): void {
  for (const endsAt = Date.now() + ms; Date.now() < endsAt;);
}

it("starts with the first lease, and goes on renewing while the main loop is blocked", async () => {
  const { thread, renewals } = await open();
  expect(renewals()).toBe(0);
  thread.hold(lease("a"));
  await thread.ready();
  const before = renewals();
  block(500);
  // Every 20 ms if nothing held it up; a third of that on a busy machine.
  expect(renewals() - before).toBeGreaterThan(8);
});

it("hears of a lease although the loop is blocked from the next turn on, and until it started", async () => {
  const { thread, renewals, leases } = await open();
  thread.hold(lease("a"));
  await Promise.resolve();
  block(1_500);
  expect(renewals()).toBeGreaterThan(0);
  expect(leases()).toBe(1);
});

it("stops when the loop has not turned for `maxBlockedMs`, says so, and goes on when it turns again", async () => {
  const { thread, log, renewals, renewedAt } = await open({ maxBlockedMs: 200 });
  thread.hold(lease("a"));
  await thread.ready();
  const startedAt = Date.now();
  block(1_200);
  const stopped = renewals();
  expect(renewedAt() - startedAt).toBeGreaterThan(20);
  expect(renewedAt() - startedAt).toBeLessThan(800);
  await until(async () => renewals() > stopped, "a renewal");
  expect(log).toContain("warn: the main loop was blocked so long that its leases were given up");
});

it("renews what is held and nothing else, and nothing at all when nothing is", async () => {
  const { thread, renewals, leases } = await open();
  const [a, b] = [lease("a"), lease("b")];
  thread.hold(a);
  thread.hold(b);
  await until(async () => leases() === 2, "both");
  thread.drop(a);
  await until(async () => leases() === 1, "the one that is left");
  thread.drop(b);
  await Promise.resolve();
  // One may have begun before the message came.
  const before = renewals();
  block(300);
  expect(renewals() - before).toBeLessThanOrEqual(1);
});

it("tells of a storage that is away once, and tries again", async () => {
  const { thread, log, renewals } = await open({ fault: "renew" });
  thread.hold(lease("a"));
  await until(async () => renewals() > 5, "more tries");
  expect(log).toEqual(["warn: the lease thread could not renew leases"]);
});

it.each(["crash", "open"] as const)(
  "dies by %s without the process: that is logged, and leases may come and go",
  async (fault) => {
    const { thread, log } = await open({ fault });
    thread.hold(lease("a"));
    await until(async () => log.length > 0, "the log");
    expect(log).toEqual(["error: the thread that renews leases died; only the main loop's heartbeat renews them now"]);
    thread.hold(lease("b"));
    thread.drop(lease("a"));
    await thread.stop();
    expect(log).toHaveLength(1);
  },
);

it("stops within a second or so, also when it was never started", async () => {
  const { thread, log } = await open();
  await thread.stop();
  const { thread: other } = await open();
  other.hold(lease("a"));
  await other.ready();
  const startedAt = performance.now();
  await other.stop();
  await other.stop();
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(log).toEqual([]);
});
