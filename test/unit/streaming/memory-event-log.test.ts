import { describe, expect, it } from "vitest";
import { toJsonText } from "../../../src/core/json.js";
import type { NewRunEvent } from "../../../src/core/run-event.js";
import type { RunRef } from "../../../src/core/run.js";
import { MemoryEventLog } from "../../../src/streaming/memory-event-log.js";
import { drain, eventsOf, mustOpen, range } from "../../../src/testing/event-log/fixture.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const runOf = (name: string): RunRef => ({ runId: name, threadId: `thread of ${name}` });
const sized = (bytes: number): NewRunEvent => ({ event: "values", data: toJsonText("x".repeat(bytes)), kind: "state" });

async function sealed(log: MemoryEventLog, name: string, bytes: number): Promise<void> {
  await log.begin(runOf(name), { resumable: true });
  log.append(runOf(name), [sized(bytes)]);
  await log.seal(runOf(name));
}

describe("MemoryEventLog", () => {
  it("holds sealed logs up to maxSealedBytes together, and lets the oldest go", async () => {
    const log = new MemoryEventLog({ clock: fakeClock(), maxSealedBytes: 10_000 });
    for (const name of ["a", "b", "c", "d"]) await sealed(log, name, 3_000);
    expect(await log.open(runOf("a"), "start")).toBeNull();
    expect(await log.open(runOf("b"), "start")).not.toBeNull();
    expect(log.size).toBe(3);
  });

  it("spares what is being read, up to twice that size", async () => {
    const log = new MemoryEventLog({ clock: fakeClock(), maxSealedBytes: 10_000 });
    await sealed(log, "read", 3_000);
    const cursor = await log.open(runOf("read"), "start");
    for (const name of ["b", "c", "d", "e"]) await sealed(log, name, 3_000);
    expect(await log.open(runOf("b"), "start")).toBeNull();
    expect((await cursor?.next())?.kind).toBe("events");

    const stuck = await log.open(runOf("read"), "start");
    const huge = runOf("huge");
    await log.begin(huge, { resumable: true });
    log.append(huge, [sized(18_000)]);
    const reading = await log.open(huge, "start");
    await log.seal(huge);
    expect(await stuck?.next()).toEqual({ kind: "gap", resumeAtSeq: 1, lost: "state" });
    expect(await stuck?.next()).toEqual({ kind: "end" });
    expect((await reading?.next())?.kind).toBe("events");
  });

  it("keeps nothing of runs whose time is over, without being swept", async () => {
    const clock = fakeClock();
    const log = new MemoryEventLog({ clock });
    for (const i of range(0, 1_000)) {
      const run = { runId: `run ${i}`, threadId: `thread ${i % 10}` };
      await log.begin(run, { resumable: i % 3 === 0 });
      log.append(run, [sized(10)]);
      await log.seal(run);
      clock.advance(50);
    }
    for (const i of range(0, 100)) (await log.open({ runId: `run ${i * 10}`, threadId: "thread 0" }, "start"))?.close();
    expect(log.size).toBeGreaterThan(200);
    clock.advance(121_000);
    expect(log.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it("keeps no more than maxBytes and its newest state frame of a run", async () => {
    const log = new MemoryEventLog({ clock: fakeClock(), maxBytes: 100_000 });
    const run = runOf("long");
    await log.begin(run);
    for (let i = 0; i < 10_000; i += 1) log.append(run, [{ ...sized(100), kind: "token" }]);
    await log.seal(run);
    const kept = await drain(await mustOpen(log, run, "start"));
    const bytes = kept.data.reduce((sum, data) => sum + data.length + "values".length + 64, 0);
    expect(bytes).toBeGreaterThan(80_000);
    expect(bytes).toBeLessThanOrEqual(100_000);
  });

  it("hands a reader that is far behind no more than some 256 kB at a time", async () => {
    const log = new MemoryEventLog({ clock: fakeClock() });
    const run = runOf("long");
    await log.begin(run);
    for (let i = 0; i < 100; i += 1) log.append(run, [sized(10_000)]);
    const read = await (await mustOpen(log, run, "start")).next();
    expect(eventsOf(read)).toHaveLength(27);
  });
});
