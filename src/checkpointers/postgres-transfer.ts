import type { PostgresDatabase } from "../databases/postgres/open.js";
import { versionCounter, type Version } from "./postgres-aliases.js";
import { EMPTY, toSealed, type StoredValue } from "./postgres-blobs.js";
import { storeCheckpoint } from "./postgres-put.js";
import type { PostgresValues } from "./postgres-values.js";
import { storeWrites } from "./postgres-writes.js";
import { PLACES, secretKeysOf, type Sealing } from "./sealing.js";
import { textOf } from "./serde.js";
import type { CheckpointParts } from "./stored-checkpoint.js";

/** Channels of a checkpoint, with the text of their values. */
type Sent = Map<string, { readonly version: Version; readonly text: string | null }>;

/**
 * Write checkpoints that come from another checkpointer, in order. Of neighbours' common values only the first is sent;
 * those that are there already are compared, and a fork's value with a version that is taken gets one of its own.
 */
export async function writeCheckpoints(
  database: PostgresDatabase,
  checkpoints: readonly CheckpointParts[],
  sealing: Sealing,
  values: PostgresValues,
): Promise<void> {
  // Starts from nothing, so that doing it again makes the same of it.
  const share = values.starting();
  const sent = new Map<string, Sent>();
  for (const parts of checkpoints) {
    const { threadId, checkpointNs, id, parentId, header } = parts;
    const inherited = sent.get(`${checkpointNs}\0${parentId ?? ""}`);
    const given = new Map([...parts.channels].map(({ channel, data }) => [channel, data]));
    const own: Sent = new Map();
    const fresh = new Map<string, StoredValue>();
    for (const [channel, version] of Object.entries(header.channel_versions)) {
      const data = given.get(channel);
      const text = data === undefined ? null : textOf(data);
      own.set(channel, { version, text });
      const known = inherited?.get(channel);
      if (known?.version === version && known.text === text) continue;
      // A channel without a value says so: a fork may bring a value for its version.
      const place = { threadId, checkpointNs, channel };
      fresh.set(channel, data === undefined ? EMPTY : share(place, versionCounter(version), data));
    }
    sent.set(`${checkpointNs}\0${id}`, own);
    await storeCheckpoint(database, {
      threadId,
      checkpointNs,
      parentId,
      checkpointId: id,
      versions: header.channel_versions,
      checkpoint: JSON.stringify({ ...header, id }),
      metadata: JSON.stringify(
        sealing.sealMetadata(parts.metadata, secretKeysOf(parts), PLACES.metadata(threadId, checkpointNs, id)),
      ),
      fresh,
      silent: [],
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
        writes: new Map(
          writes.map(({ idx, channel, data }) => {
            const place = PLACES.write(threadId, checkpointNs, id, taskId, idx);
            return [idx, { channel, ...toSealed(sealing, data, place) }];
          }),
        ),
      });
    }
  }
}
