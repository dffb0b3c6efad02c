import { runIdOf } from "./checkpoint-metadata.js";
import { encodeChannels, toCell, type Cell, type ChannelRef } from "./sqlite-rows.js";
import type { SqliteReader } from "./sqlite-reader.js";
import type { CheckpointStatements } from "./sqlite-statements.js";
import { versionOf, type CheckpointParts } from "./stored-checkpoint.js";

/**
 * Write a checkpoint that comes from another checkpointer, inside a transaction, after its parent: it shares the values that
 * are its parent's.
 */
export function writeCheckpoint(sql: CheckpointStatements, reader: SqliteReader, parts: CheckpointParts): void {
  const { threadId, checkpointNs, id, parentId, header, metadata } = parts;
  const lineage = sql.ensureLineage(threadId, checkpointNs);
  const inherited = new Map(
    parentId === undefined ? [] : reader.refs(lineage, parentId).map((ref) => [ref.channel, ref] as const),
  );
  const isSame = (ref: ChannelRef, cell: Cell): boolean => {
    const stored = sql.blob.get(lineage, ref.origin, ref.channel)?.data;
    if (stored === undefined || typeof stored === "string" || typeof cell === "string") return stored === cell;
    return stored.equals(cell);
  };
  const refs: ChannelRef[] = [];
  for (const { channel, data } of parts.channels) {
    const version = versionOf(header.channel_versions, channel);
    if (version === undefined) continue;
    const cell = toCell(data);
    const known = inherited.get(channel);
    if (known?.version === version && isSame(known, cell)) refs.push(known);
    else {
      sql.putBlob.run(lineage, id, channel, cell);
      refs.push({ channel, version, origin: id });
    }
  }
  const { v, ts, channel_versions, versions_seen } = header;
  const text = JSON.stringify({ v, ts, channel_versions, versions_seen });
  const runId = runIdOf(metadata) ?? null;
  const channels = encodeChannels(refs, id);
  sql.putCheckpoint.run(lineage, id, parentId ?? null, runId, text, JSON.stringify(metadata), channels);
  for (const { taskId, idx, taskPath, channel, data } of parts.writes) {
    sql.replaceWrite.run(lineage, id, taskId, idx, taskPath, channel, toCell(data));
  }
}
