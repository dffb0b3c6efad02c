import { expect, it } from "vitest";
import type { WorkOutcome } from "../../src/core/dispatcher.js";
import type { ClaimedRun } from "../../src/core/run.js";
import { createWorkQueue } from "../../src/runtime/work-queue.js";
import { turns } from "./harness.js";

interface Claim {
  readonly limit: number;
  readonly threadId?: string;
  answer(threadIds: readonly string[]): Promise<void>;
  fail(): Promise<void>;
}

/** A queue whose claims the test answers. */
function openQueue(slots: number) {
  const claims: Claim[] = [];
  const running = new Set<string>();
  let reserved = 0;
  const queue = createWorkQueue({
    free: () => slots - running.size - reserved,
    runsHere: (threadId) => running.has(threadId),
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    claim: (request) => {
      reserved += request.limit;
      const answered = Promise.withResolvers<readonly ClaimedRun[]>();
      const settle = (act: () => void): Promise<void> => {
        reserved -= request.limit;
        act();
        return turns();
      };
      claims.push({
        ...request,
        answer: (threadIds) =>
          settle(() => {
            for (const threadId of threadIds) running.add(threadId);
            answered.resolve(threadIds.map((threadId) => ({ run: { threadId } }) as ClaimedRun));
          }),
        fail: () => settle(() => answered.reject(new Error("away"))),
      });
      return answered.promise;
    },
  });
  const end = async (threadId: string, mayHaveNext = false): Promise<void> => {
    running.delete(threadId);
    queue.onEnd(threadId, mayHaveNext);
    await turns();
  };
  /** Ask for a thread; the outcomes of those that are settled are gathered. */
  const settled: Record<string, WorkOutcome | "drained"> = {};
  const ask = (threadId: string): void => {
    void queue.lookAfter(threadId).then((outcome) => (settled[threadId] = outcome ?? "drained"));
  };
  return { queue, claims, end, ask, settled };
}

/** Past the first claim, which looks everywhere. */
async function openDrained(slots: number) {
  const opened = openQueue(slots);
  opened.queue.look();
  await opened.claims[0]?.answer([]);
  opened.claims.length = 0;
  return opened;
}

it("makes one claim at a time, however many announcements come", async () => {
  const { claims, ask, settled } = await openDrained(10);
  for (let i = 0; i < 500; i += 1) ask(`t${i % 50}`);
  await turns();
  expect(claims).toMatchObject([{ limit: 1, threadId: "t0" }]);
  await claims[0]?.answer([]);
  // The other 49 together, into the slots that are free.
  expect(claims).toHaveLength(2);
  expect(claims[1]).toMatchObject({ limit: 10 });
  expect(claims[1]).not.toHaveProperty("threadId");
  await claims[1]?.answer([]);
  expect(claims).toHaveLength(2);
  expect(Object.keys(settled)).toHaveLength(50);
});

it("claims no more than was announced, so that other processes get their share", async () => {
  const { claims, ask } = await openDrained(10);
  ask("a");
  ask("b");
  ask("c");
  await claims[0]?.answer([]);
  expect(claims[1]).toMatchObject({ limit: 2 });
});

it("holds a thread until its runs have ended and nothing is left", async () => {
  const { claims, ask, settled, end } = await openDrained(2);
  ask("a");
  await claims[0]?.answer(["a"]);
  expect(settled).toEqual({});
  await end("a", true);
  expect(claims[1]).toMatchObject({ threadId: "a" });
  await claims[1]?.answer(["a"]);
  await end("a", false);
  expect(settled).toEqual({ a: "drained" });
  expect(claims).toHaveLength(2);
});

it("looks again after a run when its thread was announced meanwhile, and asks the store only then", async () => {
  const { claims, ask, end, settled } = await openDrained(2);
  ask("a");
  await claims[0]?.answer(["a"]);
  ask("a");
  ask("a");
  await turns();
  expect(claims).toHaveLength(1);
  // The store said that nothing was pending before the newest run was made.
  await end("a", false);
  expect(claims).toHaveLength(2);
  await claims[1]?.answer([]);
  expect(settled).toEqual({ a: "drained" });
});

it("says that there was no slot, and looks everywhere when one is free", async () => {
  const { queue, claims, ask, settled, end } = await openDrained(1);
  ask("a");
  await claims[0]?.answer(["a"]);
  ask("b");
  await turns();
  expect(settled).toEqual({ b: "no-slot" });
  await end("a");
  expect(claims[1]).toMatchObject({ limit: 1 });
  expect(claims[1]).not.toHaveProperty("threadId");
  await claims[1]?.answer(["b"]);
  queue.onFree();
  expect(claims).toHaveLength(2);
});

it("says that there was no slot to those whom older work came before", async () => {
  const { claims, ask, settled } = await openDrained(2);
  ask("a");
  ask("b");
  ask("c");
  await claims[0]?.answer(["a"]);
  expect(claims[1]).toMatchObject({ limit: 1 });
  await claims[1]?.answer(["x"]);
  expect(settled).toEqual({ b: "no-slot", c: "no-slot" });
});

it("leaves nobody waiting when a claim fails, and claims again at the next look", async () => {
  const { queue, claims, ask, settled } = await openDrained(2);
  ask("a");
  ask("b");
  await claims[0]?.fail();
  expect(settled).toEqual({ a: "no-slot", b: "no-slot" });
  expect(claims).toHaveLength(1);
  queue.look();
  expect(claims[1]).toMatchObject({ limit: 2 });
  await claims[1]?.answer([]);
});

it("leaves nobody waiting when it stops", async () => {
  const { queue, claims, ask, settled } = await openDrained(2);
  ask("a");
  const stopped = queue.stop();
  await claims[0]?.answer([]);
  await stopped;
  expect(settled).toEqual({ a: "no-slot" });
});
