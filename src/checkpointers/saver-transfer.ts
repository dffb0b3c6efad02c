import type {
  BaseCheckpointSaver,
  ChannelVersions,
  Checkpoint,
  CheckpointTuple,
  PendingWrite,
} from "@langchain/langgraph-checkpoint";
import { oldestFirst, tuplesOf } from "./adopt.js";
import { configOf } from "./saver-config.js";
import { CheckpointSerde } from "./serde.js";
import { setOwn, versionOf, writeIndex, type CheckpointParts, type StoredWrite } from "./stored-checkpoint.js";
import type { CheckpointTransfer } from "./transfer.js";

/**
 * Whole checkpoints through LangGraph's interface, for savers of others: a thread is read into memory, because `list` goes
 * backwards; writes have no task path, but their order, and positions in their task instead of the ones that were stored.
 */
export function saverTransfer(
  saver: BaseCheckpointSaver,
): Pick<CheckpointTransfer, "readCheckpoints" | "writeCheckpoints"> {
  const serde = new CheckpointSerde();
  return {
    /** All of them at once. */
    async readCheckpoints({ threadId, after }) {
      if (after !== null) return [];
      return oldestFirst(await tuplesOf(saver, threadId)).map((tuple) => toParts(serde, threadId, tuple));
    },
    async writeCheckpoints(checkpoints) {
      for (const parts of checkpoints) await write(saver, serde, parts);
    },
  };
}

function toParts(serde: CheckpointSerde, threadId: string, tuple: CheckpointTuple): CheckpointParts {
  const { id, v, ts, channel_values, channel_versions, versions_seen } = tuple.checkpoint;
  const positions = new Map<string, number>();
  const paths = pathsFor((tuple.pendingWrites ?? []).map(([taskId]) => taskId));
  const writes = (tuple.pendingWrites ?? []).map(([taskId, channel, value]): StoredWrite => {
    const position = positions.get(taskId) ?? 0;
    positions.set(taskId, position + 1);
    return { taskId, idx: writeIndex(channel, position), taskPath: paths(taskId), channel, data: serde.encode(value) };
  });
  const parentId = tuple.parentConfig?.configurable?.["checkpoint_id"] as string | undefined;
  return {
    threadId,
    checkpointNs: (tuple.config.configurable?.["checkpoint_ns"] as string | undefined) ?? "",
    id,
    parentId: parentId || undefined,
    header: { v, ts, channel_versions: channel_versions ?? {}, versions_seen: versions_seen ?? {} },
    metadata: tuple.metadata ?? ({} as never),
    channels: Object.entries(channel_values)
      .filter(([channel]) => versionOf(channel_versions, channel) !== undefined)
      .map(([channel, value]) => ({ channel, data: serde.encode(value) })),
    writes,
    parentWrites: () => [],
  };
}

/**
 * Paths that keep the tasks in the order in which they came; none where the order of their ids does it. Real ones begin with
 * `~` and a letter, so writes of tasks that end later come after.
 */
function pathsFor(taskIds: readonly string[]): (taskId: string) => string {
  const tasks = [...new Set(taskIds)];
  if (tasks.every((taskId, at) => at === 0 || (tasks[at - 1] ?? "") < taskId)) return () => "";
  const ranks = new Map(tasks.map((taskId, at) => [taskId, `~${String(at).padStart(10, "0")}`]));
  return (taskId) => ranks.get(taskId) ?? "";
}

async function write(saver: BaseCheckpointSaver, serde: CheckpointSerde, parts: CheckpointParts): Promise<void> {
  const { threadId, checkpointNs, id, parentId, header, metadata } = parts;
  const values: Checkpoint["channel_values"] = {};
  for (const { channel, data } of parts.channels) setOwn(values, channel, await serde.decode(data));
  const { v, ts, versions_seen } = header;
  const channel_versions: ChannelVersions = { ...header.channel_versions };
  const key = { thread_id: threadId, checkpoint_ns: checkpointNs };
  await saver.put(
    { configurable: parentId === undefined ? key : { ...key, checkpoint_id: parentId } },
    { v, id, ts, channel_values: values, channel_versions, versions_seen },
    metadata,
    channel_versions,
  );
  const tasks = Map.groupBy(parts.writes, ({ taskId }) => taskId);
  for (const [taskId, stored] of tasks) {
    const writes: PendingWrite[] = [];
    for (const { channel, data } of stored.toSorted((a, b) => a.idx - b.idx)) {
      writes.push([channel, await serde.decode(data)]);
    }
    await saver.putWrites(configOf(threadId, checkpointNs, id), writes, taskId, stored[0]?.taskPath ?? "");
  }
}
