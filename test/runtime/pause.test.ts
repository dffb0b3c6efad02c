import { expect, it } from "vitest";
import { HeddleError } from "../../src/core/errors.js";
import type { EventLog } from "../../src/core/event-log.js";
import { gate, valuesEvent } from "../../src/testing/scripted-engine.js";
import { withFaults } from "../support/faults.js";
import { openRuntime, turns } from "./harness.js";

/** Names of the events that were appended, also of those that the log would refuse. */
function appended(names: string[]): (log: EventLog) => EventLog {
  return (log) =>
    new Proxy(log, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown => {
          const events = (args[1] ?? []) as readonly { readonly event: string }[];
          if (key === "append") names.push(...events.map(({ event }) => event));
          if (key === "seal") names.push("seal");
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    });
}

it("after a pause longer than its lease, a worker that lost its run neither appends, nor ends, nor seals", async () => {
  const names: string[] = [];
  const door = gate({}, { deaf: true });
  const test = await openRuntime({ scripts: { door: door.script }, leaseMs: 3_000, wrapLog: appended(names) });
  const run = await test.run("door");
  await turns();
  // The process stands still: no timer of its own has fired when its graph goes on.
  const { requeued } = await test.store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false });
  expect(requeued).toHaveLength(1);
  const [successor] = await test.store.runs.claim({ workerId: "worker-2", leaseMs: 60_000, limit: 1 });
  await stand(test.clock, 20_000);
  door.release();
  await turns(40);
  expect(names).toEqual(["metadata", "values"]);
  expect((await test.row(run))?.status).toBe("running");
  const end = { outcome: { kind: "ended", status: "success" }, threadPatch: {}, hasNext: false } as const;
  expect(await test.store.runs.finish({ lease: successor!.lease, ...end })).toMatchObject({ accepted: true });
});

it("after a pause, a worker that still holds its run goes on", async () => {
  const door = gate({ n: 1 }, { deaf: true });
  const test = await openRuntime({ scripts: { door: door.script }, leaseMs: 3_000 });
  const run = await test.run("door");
  await turns();
  await stand(test.clock, 20_000);
  door.release();
  await test.until(async () => (await test.ending(run)) !== null, "the end");
  expect(await test.ending(run)).toBe("end success");
  expect((await test.row(run))?.attempt).toBe(1);
});

it("goes on when its lease can't be asked after: what it may not do is refused where it is done", async () => {
  const door = gate({ n: 1 }, { deaf: true });
  const test = await openRuntime({
    scripts: { door: door.script },
    leaseMs: 3_000,
    wrapStore: (store) => withFaults(store, (name) => (name === "runs.heartbeat" ? "refused" : "none")),
  });
  const run = await test.run("door");
  await turns();
  await stand(test.clock, 20_000);
  door.release();
  await test.until(async () => (await test.ending(run)) !== null, "the end");
  expect(await test.ending(run)).toBe("end success");
  expect(test.log.some(({ message }) => message === "leases could not be confirmed after a pause")).toBe(true);
});

it("asks for all runs of the process at once", async () => {
  let heartbeats = 0;
  const door = gate({ n: 1 }, { deaf: true });
  const test = await openRuntime({
    scripts: { door: door.script },
    leaseMs: 3_000,
    wrapStore: (store) => withFaults(store, (name) => ((heartbeats += name === "runs.heartbeat" ? 1 : 0), "none")),
  });
  const runs = [];
  for (let i = 0; i < 10; i += 1) runs.push(await test.run("door"));
  await turns();
  await stand(test.clock, 20_000);
  door.release();
  for (const run of runs) await test.until(async () => (await test.ending(run)) !== null, "the end");
  expect(heartbeats).toBeLessThanOrEqual(2);
});

it("a put that is refused for a lost lease publishes nothing, although nobody had told the run", async () => {
  let go: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (go = resolve));
  const names: string[] = [];
  const test = await openRuntime({
    scripts: {
      refused: async function* refused(run) {
        yield [valuesEvent({})];
        await released;
        // As the engine does when a put throws LEASE_LOST.
        return { kind: "aborted", ...run.state() };
      },
      crashing: async function* crashing() {
        yield [];
        await released;
        throw new HeddleError("LEASE_LOST");
      },
    },
    wrapLog: appended(names),
  });
  const run = await test.run("refused");
  await turns();
  await test.store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false });
  await test.store.runs.claim({ workerId: "worker-2", leaseMs: 60_000, limit: 1 });
  go();
  await turns(40);
  expect(names).toEqual(["metadata", "values"]);
  expect((await test.row(run))?.status).toBe("running");
  expect(test.log.filter(({ level }) => level === "error")).toEqual([]);
});

/** The wall clock goes on while the process does not: no timer fires. */
async function stand(clock: { now(): number }, ms: number): Promise<void> {
  const now = clock.now.bind(clock);
  Object.assign(clock, { now: () => now() + ms });
  await turns();
}
