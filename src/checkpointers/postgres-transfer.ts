import type { Checkpoint } from "@langchain/langgraph-checkpoint";
import type { PostgresDatabase } from "../databases/postgres/open.js";
import { toStored, type StoredValue } from "./postgres-blobs.js";
import { storeCheckpoint } from "./postgres-put.js";
import { storeWrites } from "./postgres-writes.js";
import { textOf } from "./serde.js";
import { versionOf, type CheckpointParts } from "./stored-checkpoint.js";

/**
 * Write checkpoints that come from another checkpointer, in order. Of neighbours' common values only the first is sent;
 * those that are there already are compared, and a fork's value with a version that is taken gets one of its own.
 */
export async function writeCheckpoints(
  database: PostgresDatabase,
  checkpoints: readonly CheckpointParts[],
): Promise<void> {
  const sent = new Map<string, Map<string, { readonly version: unknown; readonly text: string }>>();
  for (const parts of checkpoints) {
    const { threadId, checkpointNs, id, parentId, header } = parts;
    const inherited = sent.get(`${checkpointNs}\0${parentId ?? ""}`);
    const own = new Map<string, { readonly version: unknown; readonly text: string }>();
    const fresh = new Map<string, StoredValue>();
    for (const { channel, data } of parts.channels) {
      const version = versionOf(header.channel_versions, channel);
      if (version === undefined) continue;
      const value = { version, text: textOf(data) };
      own.set(channel, value);
      const known = inherited?.get(channel);
      if (known?.version !== version || known.text !== value.text) fresh.set(channel, toStored(data));
    }
    sent.set(`${checkpointNs}\0${id}`, own);
    await storeCheckpoint(database, {
      threadId,
      checkpointNs,
      parentId,
      checkpoint: { ...header, id, channel_values: {} } satisfies Checkpoint,
      metadata: JSON.stringify(parts.metadata),
      fresh,
      silent: Object.keys(header.channel_versions).filter((channel) => !own.has(channel)),
      lease: undefined,
    });
    for (const [taskId, writes] of Map.groupBy(parts.writes, (write) => write.taskId)) {
      await storeWrites(database, {
        threadId,
        checkpointNs,
        checkpointId: id,
        taskId,
        taskPath: writes[0]?.taskPath ?? "",
        lease: undefined,
        writes: new Map(writes.map(({ idx, channel, data }) => [idx, { channel, ...toStored(data) }])),
      });
    }
  }
}
