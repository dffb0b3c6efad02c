import { HumanMessage, type BaseMessage } from "@langchain/core/messages";
import { END, MessagesDeltaValue, START, StateGraph, StateSchema } from "@langchain/langgraph";
import type { BaseCheckpointSaver, CheckpointTuple } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import type { CheckpointsKept, PruneReport } from "../../core/checkpointer.js";
import {
  chainOf,
  idsOf,
  listOf,
  read,
  threadConfig,
  type Chain,
  type CheckpointerSuite,
  type WithCheckpointer,
} from "./fixture.js";

const LATEST: CheckpointsKept = { kind: "latest" };
const NOTHING: PruneReport = { checkpoints: 0, writes: 0, values: 0, bytes: 0 };

/** `prune`, `storage` and the modes of `copyThread`. */
export function pruningCases(suite: CheckpointerSuite, withCheckpointer: WithCheckpointer): void {
  const { it, expect } = suite.vitest;

  if (suite.prunes === false) {
    it(
      "says that it can neither prune nor measure",
      withCheckpointer(async ({ checkpointer }) => {
        const threadId = randomUUID();
        const notSupported = { code: "NOT_SUPPORTED" };
        await expect(checkpointer.prune({ threadId, keep: LATEST, dryRun: true })).rejects.toMatchObject(notSupported);
        await expect(checkpointer.storage(threadId)).rejects.toMatchObject(notSupported);
      }),
    );
    return;
  }
  it(
    "keeps the newest checkpoint of each namespace, with its values and pending writes",
    withCheckpointer(async ({ saver, checkpointer }) => {
      const root = await filled(saver, 5);
      const child = await filled(saver, 3, root.threadId, "child");
      const other = await filled(saver, 3);
      const before = [await read(saver, root.config()), await read(saver, child.config())];
      const untouched = await listOf(saver, other.config());
      const report = await checkpointer.prune({ threadId: root.threadId, keep: LATEST, dryRun: false });
      expect(report).toMatchObject({ checkpoints: 6, writes: 6 });
      const left = await listOf(saver, threadConfig(root.threadId));
      expect(new Set(idsOf(left))).toEqual(new Set([root.ids[4], child.ids[2]]));
      expect(left).toHaveLength(2);
      expect([await read(saver, root.config()), await read(saver, child.config())]).toEqual(before);
      expect(await listOf(saver, other.config())).toEqual(untouched);
      expect(await checkpointer.prune({ threadId: root.threadId, keep: LATEST, dryRun: false })).toEqual(NOTHING);
    }),
  );

  it(
    "keeps the last n; what they share with removed ones stays, and they can be built upon",
    withCheckpointer(async ({ saver, checkpointer }) => {
      const chain = await filled(saver, 6);
      const before = await listOf(saver, threadConfig(chain.threadId));
      await checkpointer.prune({ threadId: chain.threadId, keep: { kind: "last", count: 2 }, dryRun: false });
      expect(await listOf(saver, threadConfig(chain.threadId))).toEqual(before.slice(0, 2));
      await chain.put({ own: "next" });
      const next = await read(saver, threadConfig(chain.threadId));
      expect(next.checkpoint.channel_values).toEqual({ shared: "first", own: "next" });
      await checkpointer.prune({ threadId: chain.threadId, keep: { kind: "last", count: 9 }, dryRun: false });
      expect(await listOf(saver, threadConfig(chain.threadId))).toHaveLength(3);
    }),
  );

  it(
    "says as a dry run what it then does, and does nothing for a thread that is not there",
    withCheckpointer(async ({ saver, checkpointer }) => {
      const chain = await filled(saver, 7);
      const before = await listOf(saver, threadConfig(chain.threadId));
      const params = { threadId: chain.threadId, keep: { kind: "last", count: 2 } } as const;
      const said = await checkpointer.prune({ ...params, dryRun: true });
      expect(await listOf(saver, threadConfig(chain.threadId))).toEqual(before);
      expect(said).toMatchObject({ checkpoints: 5, writes: 5 });
      expect(said.bytes).toBeGreaterThan(0);
      const taken = (await checkpointer.storage(chain.threadId)).totalBytes;
      expect(await checkpointer.prune({ ...params, dryRun: false })).toEqual(said);
      const left = (await checkpointer.storage(chain.threadId)).totalBytes;
      expect(taken - left).toBe(said.bytes);
      for (const dryRun of [true, false]) {
        expect(await checkpointer.prune({ threadId: randomUUID(), keep: LATEST, dryRun })).toEqual(NOTHING);
      }
    }),
  );

  it(
    "removes nothing when it may not, and leaves alone what begins meanwhile",
    withCheckpointer(async ({ saver, checkpointer }) => {
      const root = await filled(saver, 4);
      const child = await filled(saver, 3, root.threadId, "child");
      const params = { threadId: root.threadId, keep: LATEST, dryRun: false };
      const before = await listOf(saver, threadConfig(root.threadId));
      expect(await checkpointer.prune({ ...params, mayRemove: async () => false })).toEqual(NOTHING);
      expect(await listOf(saver, threadConfig(root.threadId))).toEqual(before);
      const resumed = [await read(saver, root.config()), await read(saver, child.config())];
      let asked = 0;
      const mayRemove = async (): Promise<boolean> => {
        if ((asked += 1) > 1) return true;
        for (const chain of [root, child]) {
          await chain.put({ own: "of a run" }, { metadata: { run_id: "a run" } });
          await saver.putWrites(chain.config(), [["own", "written"]], "task");
        }
        return true;
      };
      expect((await checkpointer.prune({ ...params, mayRemove })).checkpoints).toBe(5);
      expect(asked).toBeGreaterThan(0);
      const begun = await read(saver, threadConfig(root.threadId));
      expect(begun.checkpoint.channel_values).toEqual({ shared: "first", own: "of a run" });
      expect(begun.pendingWrites).toHaveLength(1);
      // What the run began with is there, and comes back when it is rolled back.
      await checkpointer.deleteRun({ threadId: root.threadId, runId: "a run" });
      const left = await listOf(saver, threadConfig(root.threadId));
      expect(left.toSorted(byPlace)).toEqual(resumed.toSorted(byPlace));
    }),
  );

  it(
    "keeps what forks need: the newest by id, not the end of a line",
    withCheckpointer(async ({ saver, checkpointer }) => {
      const chain = await filled(saver, 3);
      await chain.put({ own: "fork" }, { parent: 0 });
      const before = await read(saver, chain.config());
      await checkpointer.prune({ threadId: chain.threadId, keep: LATEST, dryRun: false });
      expect(await listOf(saver, threadConfig(chain.threadId))).toEqual([before]);
    }),
  );

  it(
    "keeps the ancestors that delta channels are rebuilt from, up to the nearest value, and no others",
    withCheckpointer(async ({ saver, checkpointer }) => {
      const chain = chainOf(saver);
      const counting = (steps: number) => ({
        metadata: { counters_since_delta_snapshot: { log: [steps, steps] } },
      });
      await chain.put({ n: 0 }, counting(1));
      await chain.put({ log: ["snapshot"], n: 1 });
      for (let step = 1; step <= 3; step += 1) {
        await saver.putWrites(chain.config(), [["log", [`write ${step}`]]], "task");
        await chain.put({}, { ...counting(step), silent: ["log"] });
      }
      const history = async () => saver.getDeltaChannelHistory({ config: chain.config(), channels: ["log"] });
      const before = [await history(), await read(saver, chain.config())];
      expect(before[0]).toMatchObject({
        log: { seed: ["snapshot"], writes: [1, 2, 3].map((step) => ["task", "log", [`write ${step}`]]) },
      });
      const keep: CheckpointsKept = { kind: "latest" };
      const said = await checkpointer.prune({ threadId: chain.threadId, keep, dryRun: true });
      const report = await checkpointer.prune({ threadId: chain.threadId, keep, dryRun: false });
      expect([await history(), await read(saver, chain.config())]).toEqual(before);
      expect(report).toEqual(said);
      expect(report).toMatchObject({ checkpoints: 1, writes: 0 });
      expect(await listOf(saver, threadConfig(chain.threadId))).toHaveLength(4);
    }),
  );

  it(
    "leaves a graph with DeltaChannels its state",
    withCheckpointer(async ({ saver, checkpointer }) => {
      const graph = deltaGraph(saver);
      const config = threadConfig(randomUUID());
      const threadId = config.configurable?.["thread_id"] as string;
      for (let turn = 0; turn < 5; turn += 1) {
        await graph.invoke({ messages: [new HumanMessage({ id: `h${turn}`, content: `turn ${turn}` })] }, config);
      }
      const texts = async () => ((await graph.getState(config)).values as { messages: BaseMessage[] }).messages;
      const before = await texts();
      expect(before).toHaveLength(5);
      await checkpointer.prune({ threadId, keep: LATEST, dryRun: false });
      expect(await texts()).toEqual(before);
      await graph.invoke({ messages: [new HumanMessage({ id: "more", content: "more" })] }, config);
      expect(await texts()).toHaveLength(6);
    }),
  );

  it(
    "counts what a thread takes, by channel",
    withCheckpointer(async ({ saver, checkpointer }) => {
      const nothing = await checkpointer.storage(randomUUID());
      expect(nothing).toMatchObject({ totalBytes: 0, checkpoints: { count: 0, bytes: 0 } });
      const chain = chainOf(saver);
      const large = Array.from({ length: 200 }, () => randomUUID()).join(" ");
      await chain.put({ large, small: 1 });
      await saver.putWrites(chain.config(), [["small", 2]], "task");
      await chain.put({ small: 2 });
      const one = await checkpointer.storage(chain.threadId);
      expect(one.checkpoints.count).toBe(2);
      expect(one.pendingWrites.count).toBe(1);
      expect(one.pendingWrites.bytes).toBeGreaterThan(0);
      const { checkpoints, channelValues, pendingWrites } = one;
      expect(one.totalBytes).toBe(checkpoints.bytes + channelValues.bytes + pendingWrites.bytes);
      const channels = [...channelValues.byChannel];
      expect(channels.reduce((sum, [, { bytes }]) => sum + bytes, 0)).toBe(channelValues.bytes);
      expect(channels.reduce((sum, [, { versions }]) => sum + versions, 0)).toBe(channelValues.count);
      await checkpointer.deleteThread(chain.threadId);
      expect((await checkpointer.storage(chain.threadId)).totalBytes).toBe(0);
    }),
  );

  it(
    "copies the newest or the last n checkpoints, as a prune of a copy would leave them",
    withCheckpointer(async ({ saver, checkpointer }) => {
      const root = await filled(saver, 5);
      await filled(saver, 3, root.threadId, "child");
      const before = await listOf(saver, threadConfig(root.threadId));
      for (const keep of [LATEST, { kind: "last", count: 2 }] as const) {
        const [cut, pruned] = [randomUUID(), randomUUID()];
        await chainOf(saver, cut).put({ replaced: true });
        await checkpointer.copyThread({ fromThreadId: root.threadId, toThreadId: cut, keep });
        await checkpointer.copyThread({ fromThreadId: root.threadId, toThreadId: pruned });
        await checkpointer.prune({ threadId: pruned, keep, dryRun: false });
        const text = async (threadId: string): Promise<string> =>
          JSON.stringify((await listOf(saver, threadConfig(threadId))).toSorted(byPlace)).replaceAll(threadId, "");
        expect(await text(cut)).toBe(await text(pruned));
        expect(await listOf(saver, threadConfig(cut))).toHaveLength(keep.kind === "latest" ? 2 : 4);
      }
      expect(await listOf(saver, threadConfig(root.threadId))).toEqual(before);
    }),
  );
}

const byPlace = (a: CheckpointTuple, b: CheckpointTuple): number => (a.checkpoint.id < b.checkpoint.id ? 1 : -1);

/** A chain whose channel `shared` has the value of its first checkpoint, each with a pending write. */
async function filled(saver: BaseCheckpointSaver, length: number, threadId?: string, ns?: string): Promise<Chain> {
  const chain = chainOf(saver, threadId, ns);
  for (let step = 0; step < length; step += 1) {
    await chain.put(step === 0 ? { shared: "first", own: 0 } : { own: step });
    await saver.putWrites(chain.config(), [["own", `after ${step}`]], "task");
  }
  return chain;
}

function deltaGraph(saver: BaseCheckpointSaver) {
  const State = new StateSchema({ messages: MessagesDeltaValue });
  return new StateGraph(State)
    .addNode("answer", () => ({}))
    .addEdge(START, "answer")
    .addEdge("answer", END)
    .compile({ checkpointer: saver });
}
