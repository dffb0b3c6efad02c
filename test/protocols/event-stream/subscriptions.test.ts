import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ANONYMOUS } from "../../../src/core/auth.js";
import type { EventPosition } from "../../../src/core/event-log.js";
import { asJsonText } from "../../../src/core/json.js";
import type { RunEvent } from "../../../src/core/run-event.js";
import { matchesFilter, threadEvent, threadLogOf, type ThreadEventFilter } from "../../../src/core/thread-event.js";
import { Subscriptions } from "../../../src/protocols/event-stream/subscriptions.js";
import { isSnapshot } from "../../../src/services/thread-cursor.js";
import { succeed } from "../../../src/testing/scripted-engine.js";
import { openRuntime, type RuntimeOptions, turns } from "../../runtime/harness.js";
import { intercept } from "../../support/intercept.js";

const CUSTOM: ThreadEventFilter = { channels: ["custom"] };
const TASKS: ThreadEventFilter = { channels: ["tasks"] };
const BOTH: ThreadEventFilter = { channels: ["custom", "tasks"] };

/** The subscriptions of one connection to a thread whose log the test writes. */
async function openSubscriptions(options: Partial<RuntimeOptions> = {}) {
  const test = await openRuntime({ scripts: { quick: succeed({ n: 1 }) }, ...options });
  const threadId = await test.newThread();
  const log = threadLogOf(threadId);
  await test.eventLog.begin(log, { lasting: true, leaseToken: 1 });
  const told: RunEvent[] = [];
  const outcome: { ended: number; error: unknown } = { ended: 0, error: null };
  const peer: { slow: Promise<void> | null } = { slow: null };
  let open = 0;
  const subscriptions = new Subscriptions({
    async follow(position, showsValues) {
      const cursor = await test.services.threadEvents.follow(ANONYMOUS, threadId, { position, showsValues });
      const close = cursor.close.bind(cursor);
      open += 1;
      cursor.close = () => {
        open -= 1;
        cursor.close = close;
        close();
      };
      return cursor;
    },
    send(event) {
      told.push(event);
      return peer.slow;
    },
    settled: async () => {},
    onEnd: () => void (outcome.ended += 1),
    onError: (error) => void (outcome.error = error),
  });
  return {
    ...test,
    threadId,
    subscriptions,
    told,
    outcome,
    peer,
    /** Cursors that are not closed. */
    openCursors: () => open,
    seqs: () => told.map(({ seq }) => seq),
    /** Events of these channels, in order. */
    append(...channels: readonly ("custom" | "tasks" | "values")[]): void {
      for (const name of channels) test.eventLog.append(log, [threadEvent(name, [], asJsonText("{}"), "token")]);
    },
    async subscribe(id: string, filter: ThreadEventFilter, position: EventPosition = "start") {
      const added = await subscriptions.add(id, filter, position);
      added.start();
      await turns();
      return added.replayedEvents;
    },
  };
}

describe("subscriptions of one connection", () => {
  it("begin when they are started, with what is there, and go on", async () => {
    const at = await openSubscriptions();
    at.append("custom", "tasks", "custom");
    const added = await at.subscriptions.add("a", CUSTOM, "start");
    expect(added.replayedEvents).toBe(2);
    at.append("custom");
    await turns();
    expect(at.told).toEqual([]);
    added.start();
    await turns();
    expect(at.seqs()).toEqual([0, 2, 3]);
    at.append("tasks", "custom");
    await turns();
    expect(at.seqs()).toEqual([0, 2, 3, 5]);
    expect([at.subscriptions.has("a"), at.subscriptions.has("b")]).toEqual([true, false]);
  });

  it("share one reader: an event that several want goes out once", async () => {
    const at = await openSubscriptions();
    await at.subscribe("a", CUSTOM);
    await at.subscribe("b", BOTH);
    await at.subscribe("c", TASKS);
    at.append("custom", "tasks", "custom");
    await turns();
    expect(at.seqs()).toEqual([0, 1, 2]);
    expect(at.openCursors()).toBe(1);
  });

  it("a late one takes the reader back; the others wait until it is where they are", async () => {
    const at = await openSubscriptions();
    await at.subscribe("a", CUSTOM);
    at.append("custom", "tasks", "custom", "tasks");
    await turns();
    expect(await at.subscribe("b", TASKS)).toBe(2);
    at.append("custom", "tasks");
    await turns();
    expect(at.seqs()).toEqual([0, 2, 1, 3, 4, 5]);
    // What only the late one has not had yet goes out again for it.
    expect(await at.subscribe("c", CUSTOM, { afterSeq: 1 })).toBe(2);
    expect(at.seqs().slice(6)).toEqual([2, 4]);
    expect(at.openCursors()).toBe(1);
  });

  it("one that continues where the reader is needs no other reader", async () => {
    const at = await openSubscriptions();
    at.append("custom", "tasks");
    await at.subscribe("a", CUSTOM);
    expect(await at.subscribe("b", TASKS, { afterSeq: 1 })).toBe(0);
    at.append("tasks", "custom");
    await turns();
    expect(at.seqs()).toEqual([0, 2, 3]);
    expect(at.openCursors()).toBe(1);
  });

  it("a position that the log has not come to is from now on", async () => {
    const at = await openSubscriptions();
    at.append("custom");
    await at.subscribe("a", TASKS);
    expect(await at.subscribe("b", CUSTOM, { afterSeq: 1_000 })).toBe(0);
    at.append("custom");
    await turns();
    expect(at.seqs()).toEqual([1]);
  });

  it("hear no more when they are removed; with the last one the reader goes, and another one may come", async () => {
    const at = await openSubscriptions();
    await at.subscribe("a", CUSTOM);
    await at.subscribe("b", TASKS);
    expect(at.subscriptions.remove("a")).toBe(true);
    expect(at.subscriptions.remove("a")).toBe(false);
    at.append("custom", "tasks");
    await turns();
    expect(at.seqs()).toEqual([1]);
    at.subscriptions.remove("b");
    expect(at.openCursors()).toBe(0);
    at.append("tasks");
    await at.subscribe("c", TASKS, { afterSeq: 1 });
    expect(at.seqs()).toEqual([1, 2]);
  });

  it("that are removed, or closed, before they start leave no cursor behind", async () => {
    const at = await openSubscriptions();
    const removed = await at.subscriptions.add("a", CUSTOM, "start");
    const left = await at.subscriptions.add("b", CUSTOM, "start");
    at.subscriptions.remove("a");
    removed.start();
    const coming = at.subscriptions.add("c", CUSTOM, "start");
    at.subscriptions.close();
    left.start();
    (await coming).start();
    at.append("custom");
    await turns();
    expect(at.told).toEqual([]);
    expect(at.openCursors()).toBe(0);
  });

  it("of a peer that is slow are not read for: there is no queue, and nothing is lost", async () => {
    let reads = 0;
    const at = await openSubscriptions({
      wrapLog: (log) =>
        intercept(log, "open", async (call) => {
          const cursor = (await call()) as object;
          return intercept(cursor, "next", (next) => {
            reads += 1;
            return next();
          });
        }),
    });
    await at.subscribe("a", CUSTOM);
    const { promise, resolve } = Promise.withResolvers<void>();
    at.peer.slow = promise;
    at.append("custom");
    await turns();
    const before = reads;
    for (let i = 0; i < 100; i += 1) {
      at.append("custom");
      await turns(1);
    }
    expect(at.seqs()).toEqual([0]);
    expect(reads).toBe(before);
    at.peer.slow = null;
    resolve();
    await turns();
    expect(at.seqs()).toEqual(Array.from({ length: 101 }, (_, seq) => seq));
    // All that waited came in one read, and the next one waits.
    expect(reads - before).toBeLessThanOrEqual(2);
  });

  it("get the state first when the log holds nothing of it any more, each for itself", async () => {
    const at = await openSubscriptions();
    const run = await at.run("quick", { threadId: at.threadId });
    await at.until(async () => (await at.row(run))?.status === "success", "the run");
    await at.subscribe("a", CUSTOM);
    expect(at.told).toEqual([]);
    const shown = await at.subscribe("b", { channels: ["values"] });
    expect(at.told.map((event) => isSnapshot(event))).toEqual([true]);
    expect(shown).toBe(1);
  });

  it("end with the thread, and tell what failed", async () => {
    const at = await openSubscriptions();
    await at.subscribe("a", CUSTOM);
    await at.services.threads.delete(ANONYMOUS, at.threadId);
    await at.until(() => at.outcome.ended > 0, "the end");
    expect(at.outcome).toEqual({ ended: 1, error: null });

    const broken = await openSubscriptions({
      wrapLog: (log) =>
        intercept(log, "open", async (call) =>
          intercept((await call()) as object, "next", () => Promise.reject(new Error("no events"))),
        ),
    });
    await broken.subscribe("a", CUSTOM);
    expect(broken.outcome.error).toMatchObject({ message: "no events" });
  });

  type Step =
    | { readonly kind: "append"; readonly channel: "custom" | "tasks" }
    | { readonly kind: "subscribe"; readonly id: number; readonly filter: ThreadEventFilter; readonly back: number }
    | { readonly kind: "remove"; readonly id: number };
  const id = fc.integer({ min: 0, max: 3 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("append" as const), channel: fc.constantFrom("custom", "tasks") }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("subscribe" as const),
        id,
        filter: fc.constantFrom(CUSTOM, TASKS, BOTH),
        back: fc.integer({ min: 0, max: 5 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), id }) },
  ) as fc.Arbitrary<Step>;

  it("whatever the order: each hears all that it wants from where it begins, and nobody hears of what nobody wants", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const at = await openSubscriptions();
        const found: unknown[] = [];
        const wanted: unknown[] = [];
        const check = (one: unknown, expected: unknown): void => {
          found.push(one);
          wanted.push(expected);
        };
        const channels: ("custom" | "tasks")[] = [];
        /** By subscription: what it wants, in order, and where in `told` it begins. */
        const live = new Map<number, { filter: ThreadEventFilter; fromSeq: number; since: number }>();
        for (const one of steps) {
          const heard = at.told.length;
          if (one.kind === "append") {
            at.append(one.channel);
            channels.push(one.channel);
            await turns();
            const isWanted = [...live.values()].some(({ filter }) => matchesFilter(filter, one.channel));
            check(at.seqs().slice(heard), isWanted ? [channels.length - 1] : []);
          } else if (one.kind === "remove") {
            check(at.subscriptions.remove(one.id.toString()), live.delete(one.id));
          } else if (!live.has(one.id)) {
            const fromSeq = Math.max(0, channels.length - one.back);
            const replayed = channels.flatMap((channel, seq) =>
              seq >= fromSeq && matchesFilter(one.filter, channel) ? [seq] : [],
            );
            const position = fromSeq === 0 ? "start" : { afterSeq: fromSeq - 1 };
            check(await at.subscribe(one.id.toString(), one.filter, position), replayed.length);
            check(at.seqs().slice(heard), replayed);
            live.set(one.id, { filter: one.filter, fromSeq, since: heard });
          }
          check(at.openCursors(), live.size === 0 ? 0 : 1);
        }
        for (const { filter, fromSeq, since } of live.values()) {
          const replayed = channels.flatMap((channel, seq) =>
            seq >= fromSeq && matchesFilter(filter, channel) ? [seq] : [],
          );
          check(new Set(at.seqs().slice(since)), new Set([...at.seqs().slice(since), ...replayed]));
        }
        expect(found).toEqual(wanted);
      }),
      { numRuns: 60 },
    );
  });
});
