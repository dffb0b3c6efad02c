import { joinTexts, splitTexts, type Encoded } from "./serde.js";
import { PLACES, type Sealing } from "./sealing.js";
import type { StoredWrite } from "./stored-checkpoint.js";

export interface CheckpointRow {
  readonly lineage: number;
  readonly checkpoint_id: string;
  readonly parent_checkpoint_id: string | null;
  readonly checkpoint: string;
  readonly metadata: string;
  readonly channels: string;
}

/** A checkpoint with the thread and namespace that it belongs to. */
export interface ListedRow extends CheckpointRow {
  readonly thread_id: string;
  readonly checkpoint_ns: string;
}

export interface WriteRow {
  readonly task_id: string;
  readonly idx: number;
  readonly task_path: string;
  readonly channel: string;
  readonly data: Cell;
}

/** A value. */
export interface BlobRow {
  readonly data: Cell;
  /** The content that it has a part of. */
  readonly content: string | null;
}

/** What a `data` column holds. */
export type Cell = string | Buffer;

/** A channel's value as a checkpoint refers to it. */
export interface ChannelRef {
  readonly channel: string;
  readonly version: string | number;
  /** The checkpoint that brought the value. */
  readonly origin: string;
}

export function encodeChannels(refs: readonly ChannelRef[], checkpointId: string): string {
  return JSON.stringify(
    refs.map(({ channel, version, origin }) =>
      origin === checkpointId ? [channel, version] : [channel, version, origin],
    ),
  );
}

export function decodeChannels(text: string, checkpointId: string): readonly ChannelRef[] {
  const rows = JSON.parse(text) as readonly (readonly [string, string | number, string?])[];
  return rows.map(([channel, version, origin]) => ({ channel, version, origin: origin ?? checkpointId }));
}

export function toCell(data: Encoded): Cell {
  if (typeof data === "string") return data;
  if (data instanceof Uint8Array) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return joinTexts(data);
}

export function sameCell(a: Cell, b: Cell): boolean {
  return typeof a === "string" || typeof b === "string" ? a === b : a.equals(b);
}

export function fromCell(cell: Cell): Encoded {
  return typeof cell === "string" ? (splitTexts(cell) ?? cell) : new Uint8Array(cell);
}

/** A checkpoint by what names it everywhere. */
export interface CheckpointName {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly id: string;
}

/** @param of the checkpoint that it belongs to */
export function toStoredWrite(row: WriteRow, sealing: Sealing, of: CheckpointName): StoredWrite {
  const { task_id, idx, task_path, channel, data } = row;
  const place = PLACES.write(of.threadId, of.checkpointNs, of.id, task_id, idx);
  return { taskId: task_id, idx, taskPath: task_path, channel, data: sealing.open(fromCell(data), place) };
}
