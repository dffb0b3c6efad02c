import { randomUUID } from "node:crypto";
import { LEASE_KEY } from "../../core/checkpointer.js";
import {
  chainOf,
  idsOf,
  listOf,
  read,
  threadConfig,
  type CheckpointerSuite,
  type WithCheckpointer,
} from "./fixture.js";

/** Deleting and copying threads and runs, leases, restarts. */
export function threadCases(suite: CheckpointerSuite, withSaver: WithCheckpointer): void {
  const { it, expect } = suite.vitest;

  it(
    "deletes a thread in all its namespaces and no other, also before first use",
    withSaver(async ({ saver, checkpointer }) => {
      await checkpointer.deleteThread(randomUUID());
      await checkpointer.deleteRun({ threadId: randomUUID(), runId: randomUUID() });
      const [root, other] = [chainOf(saver), chainOf(saver)];
      const child = chainOf(saver, root.threadId, "child");
      for (const chain of [root, child, other]) {
        await chain.put({ n: 1 });
        await saver.putWrites(chain.config(), [["n", 2]], "task");
      }
      await checkpointer.deleteThread(root.threadId);
      expect(await listOf(saver, threadConfig(root.threadId))).toEqual([]);
      const { checkpoint } = await read(saver, other.config());
      expect((await read(saver, other.config())).pendingWrites).toEqual([["task", "n", 2]]);
      await saver.put(threadConfig(root.threadId), { ...checkpoint, id: root.ids[0] ?? "" }, {} as never, {});
      expect((await read(saver, root.config())).pendingWrites).toEqual([]);
    }),
  );

  it(
    "deletes a run's checkpoints in all namespaces; later ones keep the values they share with it",
    withSaver(async ({ saver, checkpointer }) => {
      const root = chainOf(saver);
      const child = chainOf(saver, root.threadId, "child");
      const [first, second, third] = [{ run_id: "run-1" }, { run_id: "run-2" }, { run_id: "run-3" }];
      await root.put({ a: "one", b: "one" }, { metadata: first });
      await root.put({ a: "two" }, { metadata: second });
      await saver.putWrites(root.config(), [["a", 1]], "task");
      await child.put({ c: "two" }, { metadata: second });
      await root.put({ b: "three" }, { metadata: third });
      await checkpointer.deleteRun({ threadId: root.threadId, runId: "run-2" });
      const left = await listOf(saver, threadConfig(root.threadId));
      expect(idsOf(left)).toEqual([root.ids[2], root.ids[0]]);
      expect(left.map((tuple) => tuple.checkpoint.channel_values)).toEqual([
        { a: "two", b: "three" },
        { a: "one", b: "one" },
      ]);
      expect(await saver.getTuple(child.config())).toBeUndefined();
      await checkpointer.deleteRun({ threadId: root.threadId, runId: "run-1" });
      await checkpointer.deleteRun({ threadId: root.threadId, runId: "run-3" });
      expect(await listOf(saver, threadConfig(root.threadId))).toEqual([]);
    }),
  );

  it(
    "removes what a run wrote after its thread was deleted, and nothing of a new thread of the same id",
    withSaver(async ({ saver, checkpointer }) => {
      const late = chainOf(saver);
      await late.put({ a: "deleted", b: "deleted" }, { metadata: { run_id: "run-1" } });
      await checkpointer.deleteThread(late.threadId);
      await late.put({ a: "late" }, { metadata: { run_id: "run-1" } });
      await saver.putWrites(late.config(), [["a", "late"]], "task");
      await chainOf(saver, late.threadId, "child").put({ c: "late" }, { metadata: { run_id: "run-1" } });
      const again = chainOf(saver, late.threadId);
      await again.put({ a: "new", b: "new" }, { metadata: { run_id: "run-2" } });
      await saver.putWrites(again.config(), [["a", "newer"]], "task");
      await checkpointer.deleteRun({ threadId: late.threadId, runId: "run-1" });
      const [only, ...more] = await listOf(saver, threadConfig(late.threadId));
      expect(more).toEqual([]);
      expect(only?.config.configurable).toMatchObject({ checkpoint_ns: "", checkpoint_id: again.ids[0] });
      expect([only?.checkpoint.channel_values, only?.pendingWrites]).toEqual([
        { a: "new", b: "new" },
        [["task", "a", "newer"]],
      ]);
    }),
  );

  it(
    "removes writes whose checkpoints went with their thread, when asked to, and none of a new thread of the same id",
    withSaver(async ({ saver, checkpointer }) => {
      const late = chainOf(saver);
      const child = chainOf(saver, late.threadId, "child");
      for (const chain of [late, child]) await chain.put({ a: "deleted" }, { metadata: { run_id: "run-1" } });
      const { checkpoint } = await read(saver, late.config());
      await checkpointer.deleteThread(late.threadId);
      for (const chain of [late, child]) await saver.putWrites(chain.config(), [["a", "late"]], "task");
      const again = chainOf(saver, late.threadId);
      await again.put({ a: "new" }, { metadata: { run_id: "run-2" } });
      await saver.putWrites(again.config(), [["a", "newer"]], "task");
      // Its checkpoint is on its way.
      const coming = { ...checkpoint, id: again.ids[0]?.replace(/^./, "f") ?? "" };
      const at = (checkpointNs: string, id?: string) => ({
        configurable: {
          thread_id: late.threadId,
          checkpoint_ns: checkpointNs,
          ...(id !== undefined && { checkpoint_id: id }),
        },
      });
      const comingConfig = at("", coming.id);
      await saver.putWrites(comingConfig, [["a", "coming"]], "task");
      const pendingOf = async (chain: typeof late, checkpointNs: string) => {
        await saver.put(at(checkpointNs), { ...checkpoint, id: chain.ids[0] ?? "" }, {} as never, {});
        return (await read(saver, chain.config())).pendingWrites;
      };
      const { threadId } = late;
      await checkpointer.deleteRun({ threadId, runId: "run-1", strays: true });
      expect([await pendingOf(late, ""), await pendingOf(child, "child")]).toEqual([[], []]);
      expect((await read(saver, again.config())).pendingWrites).toEqual([["task", "a", "newer"]]);
      await saver.put(at(""), coming, {} as never, {});
      expect((await read(saver, comingConfig)).pendingWrites).toEqual([["task", "a", "coming"]]);
    }),
  );

  it(
    "gives a new run after a rolled back one its own values at the same versions",
    withSaver(async ({ saver, checkpointer }) => {
      const chain = chainOf(saver);
      await chain.put({ a: "base" }, { metadata: { run_id: "run-1" } });
      await chain.put({ a: "rolled back" }, { metadata: { run_id: "run-2" } });
      await checkpointer.deleteRun({ threadId: chain.threadId, runId: "run-2" });
      await chain.put({ a: "new" }, { metadata: { run_id: "run-3" }, parent: 0 });
      expect((await read(saver, threadConfig(chain.threadId))).checkpoint.channel_values).toEqual({ a: "new" });
    }),
  );

  it(
    "keeps a run's checkpoints when later ones are rebuilt from them (delta channels)",
    withSaver(async ({ saver, checkpointer }) => {
      const chain = chainOf(saver);
      const delta = { counters_since_delta_snapshot: { log: [1, 1] } };
      await chain.put({}, { metadata: { run_id: "run-1", ...delta } });
      await saver.putWrites(chain.config(), [["log", ["kept"]]], "task");
      await chain.put({}, { metadata: { run_id: "run-2", ...delta } });
      await checkpointer.deleteRun({ threadId: chain.threadId, runId: "run-1" });
      const history = await saver.getDeltaChannelHistory({ config: chain.config(), channels: ["log"] });
      expect(history["log"]?.writes).toEqual([["task", "log", ["kept"]]]);
      await checkpointer.deleteRun({ threadId: chain.threadId, runId: "run-2" });
      expect(idsOf(await listOf(saver, threadConfig(chain.threadId)))).toEqual([chain.ids[0]]);
    }),
  );

  it(
    "copies a thread with namespaces, values and writes; ids stay, the thread id in metadata changes",
    withSaver(async ({ saver, checkpointer }) => {
      const root = chainOf(saver);
      const child = chainOf(saver, root.threadId, "child");
      const metadata = { thread_id: root.threadId, note: `not "${root.threadId}" here`, list: [root.threadId] };
      await root.put({ a: [1], bytes: new Uint8Array([1, 2]) }, { metadata });
      await saver.putWrites(root.config(), [["b", { x: 1 }]], "task-1", "~b");
      await saver.putWrites(root.config(), [["b", { x: 2 }]], "task-2", "~a");
      await child.put({ c: 1 });
      await root.put({ b: 2 }, { metadata });
      const toThreadId = randomUUID();
      await chainOf(saver, toThreadId).put({ replaced: true });
      await checkpointer.copyThread({ fromThreadId: root.threadId, toThreadId });
      await checkpointer.copyThread({ fromThreadId: randomUUID(), toThreadId });
      const text = (tuples: unknown) => JSON.stringify(tuples);
      const original = await listOf(saver, threadConfig(root.threadId));
      const copied = await listOf(saver, threadConfig(toThreadId));
      expect(text(copied)).toBe(text(original).replaceAll(JSON.stringify(root.threadId), JSON.stringify(toThreadId)));
      expect(copied.at(-1)?.metadata).toMatchObject({ note: metadata.note, list: [toThreadId] });
      expect(copied.at(-1)?.pendingWrites?.map(([task]) => task)).toEqual(["task-2", "task-1"]);
      await checkpointer.deleteThread(root.threadId);
      expect(text(await listOf(saver, threadConfig(toThreadId)))).toBe(text(copied));
    }),
  );

  it(
    "copies nothing, and leaves the target alone, when there are only writes that wait for their checkpoints",
    withSaver(async ({ saver, checkpointer }) => {
      const [early, target] = [chainOf(saver), chainOf(saver)];
      const at = { ...threadConfig(early.threadId).configurable, checkpoint_ns: "", checkpoint_id: "1f0" };
      await saver.putWrites({ configurable: at }, [["a", 1]], "task");
      await target.put({ a: 1 });
      await checkpointer.copyThread({ fromThreadId: early.threadId, toThreadId: target.threadId });
      expect(await listOf(saver, threadConfig(target.threadId))).toHaveLength(1);
    }),
  );

  it(
    "keeps copy and original apart",
    withSaver(async ({ saver, checkpointer }) => {
      const chain = chainOf(saver);
      await chain.put({ a: 1 }, { metadata: { run_id: "run-1" } });
      await saver.putWrites(chain.config(), [["a", 1]], "task-1");
      const toThreadId = randomUUID();
      await checkpointer.copyThread({ fromThreadId: chain.threadId, toThreadId });
      await saver.putWrites(chain.config(), [["a", 2]], "task-2");
      await chain.put({ a: 2 });
      const [copy] = await listOf(saver, threadConfig(toThreadId));
      expect(copy?.pendingWrites).toEqual([["task-1", "a", 1]]);
      expect(copy?.checkpoint.channel_values).toEqual({ a: 1 });
      await checkpointer.deleteRun({ threadId: toThreadId, runId: "run-1" });
      expect(await listOf(saver, threadConfig(toThreadId))).toEqual([]);
      expect(await listOf(saver, threadConfig(chain.threadId))).toHaveLength(2);
    }),
  );

  it(
    "takes puts of a held lease and refuses those of a lost one, where it knows the run row",
    withSaver(async ({ saver, leases }) => {
      if (leases === undefined) return;
      const lease = { runId: randomUUID(), leaseToken: 3 };
      const chain = chainOf(saver);
      const configurable = { [LEASE_KEY]: lease };
      const leased = () => ({ configurable: { ...chain.config().configurable, ...configurable } });
      await leases.hold(lease, chain.threadId);
      await chain.put({ a: 1 }, { configurable });
      await saver.putWrites(leased(), [["a", 2]], "task");
      await leases.lose(lease);
      await expect(chain.put({ a: 3 }, { configurable })).rejects.toMatchObject({ code: "LEASE_LOST" });
      await expect(saver.putWrites(leased(), [["a", 3]], "late")).rejects.toMatchObject({ code: "LEASE_LOST" });
      const [only, ...more] = await listOf(saver, threadConfig(chain.threadId));
      expect([only?.checkpoint.channel_values, only?.pendingWrites, more]).toEqual([{ a: 1 }, [["task", "a", 2]], []]);
      expect(JSON.stringify(only)).not.toContain(LEASE_KEY);
      // State updates have no lease.
      await chain.put({ a: 4 });
    }),
  );

  it(
    "has everything after a restart, if it is durable",
    withSaver(async ({ saver, checkpointer, reopen }) => {
      expect(reopen !== undefined).toBe(checkpointer.durable);
      if (reopen === undefined) return;
      const chain = chainOf(saver);
      await chain.put({ a: [1], bytes: new Uint8Array([7]) }, { metadata: { run_id: "run-1" } });
      await saver.putWrites(chain.config(), [["a", 2]], "task", "~path");
      await chain.put({ b: 1 });
      const before = await listOf(saver, threadConfig(chain.threadId));
      const again = (await reopen()).saver as typeof saver;
      expect(await listOf(again, threadConfig(chain.threadId))).toEqual(before);
    }),
  );
}
