import * as vitest from "vitest";
import { InProcessDispatcher } from "../../src/streaming/in-process-dispatcher.js";
import { testDispatcher } from "../../src/testing/dispatcher.js";
import { fakeClock } from "../../src/testing/fake-clock.js";

testDispatcher({ name: "in process", vitest, open: async (options) => new InProcessDispatcher(options) });

vitest.describe("InProcessDispatcher", () => {
  vitest.it("calls once for announcements of one thread that come together", async () => {
    const dispatcher = new InProcessDispatcher({ clock: fakeClock() });
    const heard: string[] = [];
    dispatcher.onWork((threadId) => heard.push(threadId));
    for (const threadId of ["a", "b", "a", "a"]) dispatcher.announce(threadId);
    await new Promise((resolve) => setImmediate(resolve));
    vitest.expect(heard).toEqual(["a", "b"]);
  });

  vitest.it("holds a bounded number of delayed announcements, and clamps delays that a timer cannot hold", () => {
    const clock = fakeClock();
    const dispatcher = new InProcessDispatcher({ clock });
    dispatcher.announce("far", { delayMs: 1e15 });
    clock.advance(2 ** 31);
    vitest.expect(clock.pendingTimers).toBe(0);
    for (let i = 0; i < 10_100; i += 1) dispatcher.announce(`t${i}`, { delayMs: 1_000 });
    vitest.expect(clock.pendingTimers).toBe(10_000);
  });
});
