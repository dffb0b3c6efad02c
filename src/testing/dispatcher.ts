import type * as Vitest from "vitest";
import type { Dispatcher } from "../core/dispatcher.js";
import type { CancelAction, RunRef } from "../core/run.js";
import { peerCases } from "./dispatcher-peers.js";
import { type FakeClock, fakeClock } from "./fake-clock.js";

export interface DispatcherSuite {
  readonly name: string;
  readonly vitest: Pick<typeof Vitest, "describe" | "it" | "expect">;
  /** A fresh dispatcher. `onError` takes what listeners throw. */
  open(options: DispatcherSuiteOptions): Promise<Dispatcher>;
  /** As many dispatchers on one fresh transport, as in processes of their own. Absent: notices stay in the process. */
  openPeers?(count: number, options: DispatcherSuiteOptions): Promise<readonly Dispatcher[]>;
}

export interface DispatcherSuiteOptions {
  readonly clock: FakeClock;
  readonly onError: (error: unknown) => void;
}

type Signalled = readonly [RunRef, CancelAction];

/** The contract of {@link Dispatcher}, on a transport that loses nothing. */
export function testDispatcher(suite: DispatcherSuite): void {
  const { describe, it, expect } = suite.vitest;
  const withDispatcher =
    (test: (fixture: { dispatcher: Dispatcher; clock: FakeClock; errors: unknown[] }) => Promise<void>) => async () => {
      const clock = fakeClock();
      const errors: unknown[] = [];
      const dispatcher = await suite.open({ clock, onError: (error) => errors.push(error) });
      try {
        await test({ dispatcher, clock, errors });
      } finally {
        await dispatcher.close();
      }
    };
  const nextWork = (dispatcher: Dispatcher): Promise<string> =>
    new Promise((resolve) => {
      const stop = dispatcher.onWork((threadId) => {
        stop();
        resolve(threadId ?? "everything");
      });
    });
  const run: RunRef = { runId: "run", threadId: "thread" };

  describe(`Dispatcher: ${suite.name}`, () => {
    it(
      "calls every listener for an announcement, never inside announce()",
      withDispatcher(async ({ dispatcher }) => {
        const heard: string[] = [];
        dispatcher.onWork((threadId) => void heard.push(`a ${threadId}`));
        dispatcher.onWork((threadId) => void heard.push(`b ${threadId}`));
        const last = nextWork(dispatcher);
        dispatcher.announce("t");
        expect(heard).toEqual([]);
        await last;
        expect(heard.sort()).toEqual(["a t", "b t"]);
      }),
    );

    it(
      "announces a thread again after it was heard",
      withDispatcher(async ({ dispatcher }) => {
        for (let i = 0; i < 3; i += 1) {
          const work = nextWork(dispatcher);
          dispatcher.announce("t");
          expect(await work).toBe("t");
        }
      }),
    );

    it(
      "holds a delayed announcement back until it is due",
      withDispatcher(async ({ dispatcher, clock }) => {
        const heard: (string | null)[] = [];
        dispatcher.onWork((threadId) => void heard.push(threadId));
        dispatcher.announce("late", { delayMs: 1_000 });
        const first = nextWork(dispatcher);
        dispatcher.announce("now");
        await first;
        clock.advance(999);
        const second = nextWork(dispatcher);
        dispatcher.announce("again");
        await second;
        expect(heard).toEqual(["now", "again"]);
        const third = nextWork(dispatcher);
        clock.advance(1);
        expect(await third).toBe("late");
      }),
    );

    it(
      "carries each cancel with its run and action",
      withDispatcher(async ({ dispatcher }) => {
        const heard: Signalled[] = [];
        const both = new Promise<void>((resolve) => {
          dispatcher.onSignal((ref, action) => {
            heard.push([ref, action]);
            if (heard.length === 2) resolve();
          });
        });
        dispatcher.signal(run, "interrupt");
        dispatcher.signal({ ...run, runId: "other" }, "rollback");
        expect(heard).toEqual([]);
        await both;
        expect(heard).toEqual([
          [run, "interrupt"],
          [{ ...run, runId: "other" }, "rollback"],
        ]);
      }),
    );

    it(
      "hints: every listener hears each topic, once for hints that come together, never inside hint()",
      withDispatcher(async ({ dispatcher, errors }) => {
        const heard: (string | null)[] = [];
        dispatcher.onHint(() => {
          throw new Error("listener");
        });
        const stop = dispatcher.onHint((topic) => heard.push(`first ${topic}`));
        dispatcher.onHint((topic) => heard.push(topic));
        for (const topic of ["a", "b", "a", "*"]) dispatcher.hint(topic);
        expect(heard).toEqual([]);
        await new Promise((resolve) => setImmediate(resolve));
        expect(heard).toEqual(["first a", "a", "first b", "b", "first *", "*"]);
        expect(errors).toHaveLength(3);
        stop();
        stop();
        dispatcher.hint("a");
        await new Promise((resolve) => setImmediate(resolve));
        expect(heard.slice(6)).toEqual(["a"]);
      }),
    );

    it(
      "stops calling a listener that has unsubscribed, and only that one",
      withDispatcher(async ({ dispatcher }) => {
        const heard: (string | null)[] = [];
        const listener = (threadId: string | null): void => void heard.push(threadId);
        const stop = dispatcher.onWork(listener);
        dispatcher.onWork(listener);
        stop();
        stop();
        const work = nextWork(dispatcher);
        dispatcher.announce("t");
        await work;
        expect(heard).toEqual(["t"]);
      }),
    );

    it(
      "a listener that throws does not keep the others from hearing",
      withDispatcher(async ({ dispatcher, errors }) => {
        const error = new Error("listener");
        dispatcher.onWork(() => {
          throw error;
        });
        const work = nextWork(dispatcher);
        dispatcher.announce("t");
        expect(await work).toBe("t");
        expect(errors).toEqual([error]);
      }),
    );

    it(
      "is silent after close, also about what was delayed",
      withDispatcher(async ({ dispatcher, clock }) => {
        const heard: unknown[] = [];
        dispatcher.onWork((threadId) => void heard.push(threadId));
        dispatcher.onSignal((ref) => heard.push(ref));
        dispatcher.onHint((topic) => heard.push(topic));
        dispatcher.announce("late", { delayMs: 10 });
        await dispatcher.close();
        await dispatcher.close();
        dispatcher.announce("t");
        dispatcher.signal(run, "interrupt");
        dispatcher.hint("topic");
        clock.advance(100);
        await new Promise((resolve) => setImmediate(resolve));
        expect(heard).toEqual([]);
        expect(clock.pendingTimers).toBe(0);
      }),
    );

    peerCases(suite);
  });
}
