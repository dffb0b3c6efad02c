import { isDelta, removableIds } from "./checkpoint-metadata.js";
import { decodeChannels } from "./sqlite-rows.js";
import type { CheckpointStatements } from "./sqlite-statements.js";

/**
 * Remove a run's checkpoints and writes, in all namespaces, and the values that nothing refers to any more: later
 * checkpoints may share a value that this run brought. Call it inside a transaction.
 */
export function deleteRun(
  sql: CheckpointStatements,
  { threadId, runId, strays = false }: { readonly threadId: string; readonly runId: string; readonly strays?: boolean },
): void {
  for (const lineage of sql.lineagesOf(threadId)) {
    const rows = sql.lineage.all(lineage);
    const doomed = removableIds(
      rows.map((row) => ({
        id: row.checkpoint_id,
        parentId: row.parent_checkpoint_id ?? undefined,
        delta: isDelta(row.metadata),
        doomed: row.run_id === runId,
      })),
    );
    if (doomed.size === 0) continue;
    for (const id of doomed) {
      sql.deleteCheckpoint.run(lineage, id);
      sql.deleteWrites.run(lineage, id);
    }
    const used = new Set<string>();
    for (const row of rows) {
      if (doomed.has(row.checkpoint_id)) continue;
      for (const { channel, origin } of decodeChannels(row.channels, row.checkpoint_id)) {
        used.add(JSON.stringify([origin, channel]));
      }
    }
    for (const { checkpoint_id: origin, channel } of sql.blobKeys.all(lineage)) {
      if (!used.has(JSON.stringify([origin, channel]))) sql.deleteBlob.run(lineage, origin, channel);
    }
  }
  if (strays) sql.deleteStrays(threadId);
}
