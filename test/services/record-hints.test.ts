import { describe, expect, it } from "vitest";
import { createRecordHints, LATE_MS } from "../../src/services/record-hints.js";
import { InProcessDispatcher } from "../../src/streaming/in-process-dispatcher.js";
import { fakeClock } from "../../src/testing/fake-clock.js";

const TOPIC = { space: "state-store", owner: "ada", collection: "workflow" };

function hinting({ hearsOthers = false } = {}) {
  const clock = fakeClock();
  const dispatcher = new InProcessDispatcher({ clock });
  const heard = { hint: dispatcher.hint.bind(dispatcher), onHint: dispatcher.onHint.bind(dispatcher), hearsOthers };
  return { clock, hints: createRecordHints({ dispatcher: heard, clock }, { pollMs: 500 }) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("RecordHints", () => {
  it("tells those who wait for the collection, and nobody else", async () => {
    const { hints } = hinting();
    const told: string[] = [];
    const stop = hints.subscribe(TOPIC, () => told.push("same"));
    for (const field of ["space", "owner", "collection"] as const) {
      hints.subscribe({ ...TOPIC, [field]: "other" }, () => told.push(field));
    }
    hints.subscribe({ space: "state-store", owner: "", collection: "adaworkflow" }, () => told.push("joined"));
    hints.touched(TOPIC);
    hints.touched(TOPIC);
    await turn();
    expect(told).toEqual(["same"]);
    expect(hints.listenerCount).toBe(5);
    stop();
    stop();
    hints.touched(TOPIC);
    await turn();
    expect(told).toEqual(["same"]);
    expect(hints.listenerCount).toBe(4);
  });

  it("who waits for one record hears of no other; who waits for the collection hears of all", async () => {
    const { hints } = hinting();
    const told: string[] = [];
    hints.subscribe(TOPIC, () => told.push("all"));
    hints.subscribe({ ...TOPIC, key: "a" }, () => told.push("a"));
    hints.subscribe({ ...TOPIC, key: "b" }, () => told.push("b"));
    hints.touched({ ...TOPIC, key: "a" });
    await turn();
    expect(told).toEqual(["all", "a"]);
    hints.touched(TOPIC);
    await turn();
    expect(told).toEqual(["all", "a", "all"]);
  });

  it("a hint that anything may have changed reaches all, one about something else nobody", () => {
    const heard: ((topic: string | null) => void)[] = [];
    const dispatcher = {
      hint: () => undefined,
      onHint: (fn: (topic: string | null) => void) => (heard.push(fn), () => undefined),
      hearsOthers: true,
    };
    const hints = createRecordHints({ dispatcher, clock: fakeClock() }, { pollMs: 500 });
    let told = 0;
    hints.subscribe(TOPIC, () => (told += 1));
    hints.subscribe({ ...TOPIC, owner: "bob" }, () => (told += 1));
    for (const listener of heard) listener("somebody else's");
    expect(told).toBe(0);
    for (const listener of heard) listener(null);
    expect(told).toBe(2);
  });

  it.each([
    { hearsOthers: false, everyMs: 500 },
    { hearsOthers: true, everyMs: LATE_MS },
  ])("looks again every $everyMs ms, hearing others: $hearsOthers, and only while somebody waits", (given) => {
    const { hints, clock } = hinting(given);
    let told = 0;
    const stop = hints.subscribe(TOPIC, () => (told += 1));
    clock.advance(given.everyMs - 1);
    expect(told).toBe(0);
    clock.advance(1);
    clock.advance(given.everyMs);
    expect(told).toBe(2);
    stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it("wait resolves at a hint, at its limit, when it is aborted, and leaves nothing behind", async () => {
    const { hints, clock } = hinting({ hearsOthers: true });
    const hinted = hints.wait(TOPIC, { timeoutMs: 60_000 });
    hints.touched(TOPIC);
    await hinted;
    const limited = hints.wait(TOPIC, { timeoutMs: 100 });
    clock.advance(100);
    await limited;
    const controller = new AbortController();
    const aborted = hints.wait(TOPIC, { timeoutMs: 60_000, signal: controller.signal });
    controller.abort();
    await aborted;
    await hints.wait(TOPIC, { timeoutMs: 60_000, signal: controller.signal });
    await hints.wait(TOPIC, { timeoutMs: 0 });
    expect(hints.listenerCount).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });
});
