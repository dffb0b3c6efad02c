import { runIdOf } from "./checkpoint-metadata.js";
import { PLACES, secretKeysOf } from "./sealing.js";
import type { Encoded } from "./serde.js";
import { encodeChannels, sameCell, toCell, type ChannelRef } from "./sqlite-rows.js";
import type { SqliteReader } from "./sqlite-reader.js";
import type { CheckpointStatements } from "./sqlite-statements.js";
import type { SqliteValues } from "./sqlite-values.js";
import { versionOf, type CheckpointParts } from "./stored-checkpoint.js";

/**
 * Write a checkpoint that comes from another checkpointer, inside a transaction, after its parent: it shares the values that
 * are its parent's.
 */
export function writeCheckpoint(
  sql: CheckpointStatements,
  reader: SqliteReader,
  values: SqliteValues,
  parts: CheckpointParts,
): void {
  const { threadId, checkpointNs, id, parentId, header, metadata } = parts;
  const { sealing } = values;
  const lineage = sql.ensureLineage(threadId, checkpointNs);
  const inherited = new Map(
    parentId === undefined ? [] : reader.refs(lineage, parentId).map((ref) => [ref.channel, ref] as const),
  );
  const isSame = (ref: ChannelRef, data: Encoded): boolean => {
    const stored = reader.value({ threadId, checkpointNs }, lineage, ref.origin, ref.channel);
    return stored !== undefined && sameCell(toCell(stored), toCell(data));
  };
  const refs: ChannelRef[] = [];
  for (const { channel, data } of parts.channels) {
    const version = versionOf(header.channel_versions, channel);
    if (version === undefined) continue;
    const known = inherited.get(channel);
    if (known?.version === version && isSame(known, data)) refs.push(known);
    else {
      values.store(lineage, values.prepareNow({ threadId, checkpointNs, channel }, id, data));
      refs.push({ channel, version, origin: id });
    }
  }
  const { v, ts, channel_versions, versions_seen } = header;
  const text = JSON.stringify({ v, ts, channel_versions, versions_seen });
  const runId = runIdOf(metadata) ?? null;
  const channels = encodeChannels(refs, id);
  const sealed = sealing.sealMetadata(metadata, secretKeysOf(parts), PLACES.metadata(threadId, checkpointNs, id));
  sql.putCheckpoint.run(lineage, id, parentId ?? null, runId, text, JSON.stringify(sealed), channels);
  for (const { taskId, idx, taskPath, channel, data } of parts.writes) {
    const cell = toCell(sealing.seal(data, PLACES.write(threadId, checkpointNs, id, taskId, idx)));
    sql.replaceWrite.run(lineage, id, taskId, idx, taskPath, channel, cell);
  }
}
