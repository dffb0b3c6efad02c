import { v7 } from "uuid";
import { expect, it } from "vitest";
import { ANONYMOUS, type Caller } from "../../src/core/auth.js";
import { HeddleError } from "../../src/core/errors.js";
import { threadLogOf } from "../../src/core/thread-event.js";
import type { ThreadRunsEvent } from "../../src/core/thread-runs.js";
import { gate, succeed } from "../../src/testing/scripted-engine.js";
import { openRuntime, REQUEST, turns } from "../runtime/harness.js";
import { intercept } from "../support/intercept.js";

const ALICE: Caller = { identity: "alice", permissions: [], user: { identity: "alice" } };
const scripts = { quick: succeed({ n: 1 }) };

/** The first of them that is awaited, or `null` when it takes more than some turns. */
const soon = <T>(promise: Promise<T>): Promise<T | null> => Promise.race([promise, turns(50).then(() => null)]);

/** A thread with one run that has ended, and a reader of its starts and ends that has heard of the start. */
async function openEnding(options: Partial<Parameters<typeof openRuntime>[0]> = {}) {
  const door = gate({ n: 1 });
  const test = await openRuntime({ scripts: { door: door.script }, ...options });
  const threadId = await test.newThread();
  const events = await test.services.threadRuns.follow(ANONYMOUS, threadId, {
    after: null,
    showsEvents: false,
    showsState: false,
    signal: new AbortController().signal,
  });
  const run = await test.run("door", { threadId });
  const next = async (): Promise<readonly ThreadRunsEvent[]> =>
    (await events.next()).value as readonly ThreadRunsEvent[];
  expect(await next()).toMatchObject([{ kind: "started", runId: run.runId }]);
  door.release();
  await test.until(async () => (await test.row(run))?.status === "success", "the run");
  return { test, run, next };
}

it("a run whose row is gone has no status: it was rolled back", async () => {
  const { test, run, next } = await openEnding();
  await test.services.runs.delete(ANONYMOUS, run);
  expect(await next()).toMatchObject([{ kind: "ended", status: null }]);
});

it("a storage that is away rolls nothing back: the reader's stream fails, so that it comes again", async () => {
  let away = false;
  const { next } = await openEnding({
    wrapStore: (store) =>
      intercept(store, "runs.get", async (call) => {
        if (away) throw new HeddleError("STORAGE_UNAVAILABLE");
        return call();
      }),
  });
  away = true;
  await expect(next()).rejects.toMatchObject({ code: "STORAGE_UNAVAILABLE" });
});

it("whoever asks for a thread just before it is made is told of its first run", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const test = await openRuntime({
    scripts,
    wrapStore: (store) =>
      intercept(store, "threads.watch", async (call) => {
        const found = await call();
        asked.resolve();
        await answer.promise;
        return found;
      }),
  });
  const threadId = v7();
  const following = test.services.threadEvents.follow(ANONYMOUS, threadId, {
    position: "start",
    showsValues: () => false,
  });
  await asked.promise;
  const run = await test.run("quick", { threadId, ifNotExists: "create" });
  answer.resolve();
  const cursor = await following;
  const read = await soon(cursor.next());
  expect(read).toMatchObject({ kind: "events" });
  expect(JSON.stringify(read)).toContain(run.runId);
});

it("whoever comes while a run is authorized is told of it", async () => {
  const asked = Promise.withResolvers<void>();
  const allowed = Promise.withResolvers<void>();
  const test = await openRuntime({
    scripts,
    authorizer: {
      async authorize(_caller, { action, value }) {
        if (action === "create_run") {
          asked.resolve();
          await allowed.promise;
        }
        return { access: { kind: "all" }, value };
      },
    },
  });
  const threadId = v7();
  const request = { ...REQUEST, assistantId: "quick", ifNotExists: "create" } as const;
  const creating = test.services.runs.create(ALICE, threadId, request);
  await asked.promise;
  const cursor = await test.services.threadEvents.follow(ALICE, threadId, {
    position: "start",
    showsValues: () => false,
  });
  allowed.resolve();
  await creating;
  expect(await soon(cursor.next())).toMatchObject({ kind: "events" });
});

it("a tree is the root alone when the events expire while it is read", async () => {
  const test = await openRuntime({
    scripts,
    wrapLog: (log) =>
      intercept(log, "open", async (call, [run]) => {
        const { runId } = run as { runId: string };
        if (runId !== threadId) return call();
        await log.rest(threadLogOf(threadId));
        test.clock.advance(120_001);
        await log.sweep();
        return call();
      }),
  });
  const threadId = await test.newThread();
  await test.store.threads.watch({ threadId, access: { kind: "all" } });
  const run = await test.run("quick", { threadId });
  await test.until(async () => (await test.row(run))?.status === "success", "the run");
  await turns(20);
  let tree: unknown = null;
  void test.services.threadCommands.tree(ANONYMOUS, threadId, undefined).then((found) => (tree = found));
  await test.until(() => tree !== null, "the tree", 100);
  expect(tree).toEqual({ namespace: [], status: "completed", graphName: "quick", children: [] });
});

it.each([
  ["before", "open"],
  ["after", "open"],
  ["before", "extent"],
  ["after", "extent"],
] as const)("a reader is told the state, once, when the events expire as it comes: %s %s", async (when, method) => {
  let threadId = "";
  const test = await openRuntime({
    scripts,
    wrapLog: (log) => {
      let isOver = false;
      const expire = async (): Promise<void> => {
        if (isOver || threadId === "") return;
        isOver = true;
        await log.rest(threadLogOf(threadId));
        // A reader that is there already keeps them a while longer.
        for (let i = 0; i < 3; i += 1) {
          test.clock.advance(120_001);
          await log.sweep();
        }
      };
      return intercept(log, method, async (call) => {
        if (when === "before") await expire();
        const answer = await call();
        await expire();
        return answer;
      });
    },
  });
  const followed = await test.newThread();
  await test.store.threads.watch({ threadId: followed, access: { kind: "all" } });
  const run = await test.run("quick", { threadId: followed });
  await test.until(async () => (await test.row(run))?.status === "success", "the run");
  await turns(20);
  const before = (await test.eventLog.extent(threadLogOf(followed)))?.nextSeq ?? 0;
  expect(before).toBeGreaterThan(0);
  threadId = followed;
  const cursor = await test.services.threadEvents.follow(ANONYMOUS, followed, {
    position: "start",
    showsValues: () => true,
  });
  const told: string[] = [];
  const reading = (async () => {
    for (let read = await cursor.next(); read.kind !== "end"; read = await cursor.next()) {
      if (read.kind === "events") told.push(...read.events.map(({ seq, event }) => `${seq} ${event}`));
    }
  })();
  await turns(50);
  expect(told).toEqual(["-1 values"]);
  // And from there on what comes.
  await test.run("quick", { threadId: followed });
  await turns(50);
  expect(told.slice(1, 2)).toEqual([`${before} lifecycle`]);
  cursor.close();
  await reading;
});

it("a reader that cannot be let in leaves no cursor behind", async () => {
  let open = 0;
  let away = false;
  const test = await openRuntime({
    scripts,
    wrapStore: (store) =>
      intercept(store, "threads.get", async (call) => {
        if (away) throw new HeddleError("STORAGE_UNAVAILABLE");
        return call();
      }),
    wrapLog: (log) =>
      intercept(log, "open", async (call) => {
        const cursor = await call();
        if (cursor === null) return null;
        open += 1;
        return intercept(cursor as object, "close", (close) => {
          open -= 1;
          return close();
        });
      }),
  });
  const threadId = await test.newThread();
  away = true;
  const following = test.services.threadEvents.follow(ANONYMOUS, threadId, {
    position: "start",
    showsValues: () => true,
  });
  await expect(following).rejects.toMatchObject({ code: "STORAGE_UNAVAILABLE" });
  expect(open).toBe(0);
});
