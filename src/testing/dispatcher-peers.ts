import type { Dispatcher } from "../core/dispatcher.js";
import type { CancelAction, RunRef } from "../core/run.js";
import type { DispatcherSuite } from "./dispatcher.js";
import { type FakeClock, fakeClock } from "./fake-clock.js";

/** How long something may take that crosses processes, with room for a busy machine. */
const REMOTE_MS = 10_000;

const HOUR_MS = 3_600_000;

interface Peers {
  readonly first: Dispatcher;
  readonly second: Dispatcher;
  readonly third: Dispatcher;
  readonly clock: FakeClock;
}

/** What dispatchers of several processes owe one another. */
export function peerCases(suite: DispatcherSuite): void {
  const { it, expect } = suite.vitest;
  const { openPeers } = suite;
  if (openPeers === undefined) return;

  const withPeers = (test: (peers: Peers) => Promise<void>) => async () => {
    const clock = fakeClock();
    const errors: unknown[] = [];
    const peers = await openPeers(3, { clock, onError: (error) => errors.push(error) });
    const [first, second, third] = peers as [Dispatcher, Dispatcher, Dispatcher];
    try {
      await test({ first, second, third, clock });
    } finally {
      for (const peer of peers) await peer.close();
    }
    expect(errors).toEqual([]);
  };
  /** Everything that a process hears of work, each thread once. */
  const listen = (dispatcher: Dispatcher): Set<string | null> => {
    const heard = new Set<string | null>();
    dispatcher.onWork((threadId) => void heard.add(threadId));
    return heard;
  };
  const until = async (what: () => boolean): Promise<void> => {
    const deadline = performance.now() + REMOTE_MS;
    while (!what()) {
      if (performance.now() > deadline) throw new Error(`not within ${REMOTE_MS} ms: ${String(what)}`);
      await new Promise((resolve) => void setTimeout(resolve, 5));
    }
  };

  it(
    "an announcement reaches another process, when only that one listens",
    withPeers(async ({ first, second }) => {
      const heard = listen(second);
      first.announce("a");
      await until(() => heard.has("a"));
      first.announce("b");
      await until(() => heard.has("b"));
      expect(heard).toEqual(new Set(["a", "b"]));
    }),
  );

  it(
    "its own announcements are heard without a round trip",
    withPeers(async ({ first }) => {
      const heard = listen(first);
      first.announce("a");
      await Promise.resolve();
      await Promise.resolve();
      expect(heard.has("a")).toBe(true);
    }),
  );

  it(
    "a thousand threads announced in one turn, with names that are not UUIDs, are all heard",
    withPeers(async ({ first, second }) => {
      const heard = listen(second);
      const threads = Array.from({ length: 1_000 }, (_, index) => `Thread "${index}" \\ : ä ${"x".repeat(index % 50)}`);
      for (const threadId of threads) first.announce(threadId);
      await until(() => heard.size === threads.length);
      expect(heard).toEqual(new Set(threads));
    }),
  );

  it(
    "a delayed announcement reaches another process when it is due, and does not keep later ones back",
    withPeers(async ({ first, second, clock }) => {
      const heard = listen(second);
      first.announce("t", { delayMs: HOUR_MS });
      first.announce("other");
      await until(() => heard.has("other"));
      expect(heard.has("t")).toBe(false);
      first.announce("t");
      await until(() => heard.has("t"));
      heard.clear();
      clock.advance(HOUR_MS);
      await until(() => heard.has("t"));
    }),
  );

  it(
    "a process that has no slot leaves the work to one that has",
    withPeers(async ({ first, second, third }) => {
      const asked: (string | null)[] = [];
      second.onWork((threadId) => {
        asked.push(threadId);
        return "no-slot";
      });
      const heard = listen(third);
      const threads = Array.from({ length: 20 }, (_, index) => `t${index}`);
      for (const threadId of threads) first.announce(threadId);
      await until(() => heard.size === threads.length);
      expect(new Set(asked.filter((threadId) => !threads.includes(threadId ?? "")))).toEqual(new Set());
    }),
  );

  it(
    "a thread announced while it is looked after is looked after again, if not earlier",
    withPeers(async ({ first, second }) => {
      let calls = 0;
      let finish = (): void => undefined;
      second.onWork(async () => {
        calls += 1;
        if (calls === 1) await new Promise<void>((resolve) => (finish = resolve));
      });
      first.announce("t");
      await until(() => calls === 1);
      first.announce("t");
      const marker = listen(second);
      first.announce("marker");
      await until(() => marker.has("marker"));
      finish();
      await until(() => calls >= 3);
    }),
  );

  it(
    "a cancel reaches every process, its own included, once and in order",
    withPeers(async ({ first, second, third }) => {
      const heard = [first, second, third].map((dispatcher) => {
        const signals: (readonly [RunRef, CancelAction])[] = [];
        dispatcher.onSignal((run, action) => signals.push([run, action]));
        return signals;
      });
      const sent = Array.from({ length: 20 }, (_, index) => {
        const action: CancelAction = index % 2 === 0 ? "interrupt" : "rollback";
        return [{ runId: `run ${index}`, threadId: "t" }, action] as const;
      });
      for (const [run, action] of sent) first.signal(run, action);
      await until(() => heard.every((signals) => signals.length >= sent.length));
      expect(heard).toEqual([sent, sent, sent]);
    }),
  );

  it(
    "hints reach every process, each topic at least once; more than a notification holds are heard as everything",
    withPeers(async ({ first, second, third }) => {
      const peers = [first, second, third];
      const heard = peers.map((dispatcher) => {
        const topics = new Set<string | null>();
        dispatcher.onHint((topic) => topics.add(topic));
        return topics;
      });
      expect(peers.map(({ hearsOthers }) => hearsOthers)).toEqual([true, true, true]);
      const few = ["a", "*", ":", "", "ä\n\\"];
      for (const topic of few) first.hint(topic);
      await until(() => heard.every((topics) => topics.size === few.length));
      expect(heard).toEqual(peers.map(() => new Set<string | null>(few)));

      for (const topics of heard) topics.clear();
      first.hint("x".repeat(10_000));
      await until(() => heard.slice(1).every((topics) => topics.has(null)));
      for (const topics of heard) topics.clear();
      const many = Array.from({ length: 5_000 }, (_, index) => `topic ${index}`);
      for (const topic of many) second.hint(topic);
      await until(() => heard.every((topics) => topics.has(null) || many.every((topic) => topics.has(topic))));
      expect(heard[1]).toEqual(new Set(many));
    }),
  );

  it(
    "what was announced before close is heard by others; who has closed hears nothing",
    withPeers(async ({ first, second, third }) => {
      const closed = listen(third);
      const heard = listen(second);
      await third.close();
      first.announce("last");
      first.signal({ runId: "r", threadId: "t" }, "interrupt");
      await Promise.resolve();
      await first.close();
      await until(() => heard.has("last"));
      expect(closed.size).toBe(0);
    }),
  );
}
