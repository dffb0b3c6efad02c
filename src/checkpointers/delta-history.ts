import type { DeltaChannelHistory, CheckpointPendingWrite } from "@langchain/langgraph-checkpoint";
import { inWriteOrder, setOwn, type StoredWrite } from "./stored-checkpoint.js";
import type { CheckpointSerde, Encoded } from "./serde.js";

/** Read access to the checkpoints of one thread and namespace, by id. */
export interface AncestorReader {
  /** The parent's id; `null` for a root, `undefined` for a checkpoint that is not stored. */
  parentOf(id: string): string | null | undefined;
  value(id: string, channel: string): Encoded | undefined;
  writes(id: string): readonly StoredWrite[];
}

/**
 * What {@link BaseCheckpointSaver.getDeltaChannelHistory} returns, reading of each ancestor only the channels that were
 * asked for: walk the parents of `id`; each channel ends at the nearest ancestor that stores its value.
 */
export async function deltaChannelHistory(
  serde: CheckpointSerde,
  reader: AncestorReader,
  id: string | undefined,
  channels: readonly string[],
): Promise<Record<string, DeltaChannelHistory>> {
  const remaining = new Set(channels);
  const found = new Map<string, { readonly newestFirst: StoredWrite[]; seed: unknown }>();
  for (const channel of channels) found.set(channel, { newestFirst: [], seed: undefined });
  let at = id === undefined ? undefined : reader.parentOf(id);
  while (typeof at === "string" && remaining.size > 0) {
    const parent = reader.parentOf(at);
    if (parent === undefined) break;
    for (const write of inWriteOrder(reader.writes(at)).toReversed()) {
      if (remaining.has(write.channel)) found.get(write.channel)?.newestFirst.push(write);
    }
    for (const channel of remaining) {
      const data = reader.value(at, channel);
      const entry = found.get(channel);
      if (data === undefined || entry === undefined) continue;
      entry.seed = await serde.decode(data);
      if (entry.seed !== undefined) remaining.delete(channel);
    }
    at = parent;
  }
  const result: Record<string, DeltaChannelHistory> = {};
  for (const [channel, { newestFirst, seed }] of found) {
    const writes: CheckpointPendingWrite[] = [];
    for (const { taskId, data } of newestFirst.toReversed()) writes.push([taskId, channel, await serde.decode(data)]);
    setOwn(result, channel, seed === undefined ? { writes } : { writes, seed });
  }
  return result;
}
