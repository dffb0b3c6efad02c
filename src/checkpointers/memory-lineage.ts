import type { Encoded } from "./serde.js";
import type { StoredWrite } from "./stored-checkpoint.js";

/** Most threads have few checkpoints: arrays that grow by `push` reserve 17 places and more. */
const COMPACT_LENGTH = 32;

const NO_EARLY: ReadonlyMap<string, readonly StoredWrite[]> = new Map();
const NO_WRITES: readonly StoredWrite[] = [];

/** The value of one channel at one version. Checkpoints between two changes share it. */
export interface ChannelBlob {
  readonly channel: string;
  readonly version: string | number;
  readonly data: Encoded;
}

/** A checkpoint as the memory checkpointer keeps it: texts, no live objects. */
export interface MemoryCheckpoint {
  readonly id: string;
  readonly parentId: string | undefined;
  /** JSON of {@link CheckpointHeader}. */
  readonly header: string;
  /** JSON of what LangGraph itself puts into metadata. */
  readonly step: string;
  /** JSON of the rest of metadata: one string for all checkpoints of a run. */
  readonly run: string;
  readonly runId: string | undefined;
  readonly channels: readonly ChannelBlob[];
  writes: StoredWrite[] | undefined;
}

/** The checkpoints of one thread and namespace, by id ascending. */
export class Lineage {
  readonly checkpointNs: string;
  #rows: MemoryCheckpoint[] = [];
  /** Writes that came before their checkpoint: LangGraph saves both concurrently. */
  #early: Map<string, StoredWrite[]> | undefined;

  constructor(checkpointNs: string) {
    this.checkpointNs = checkpointNs;
  }

  get rows(): readonly MemoryCheckpoint[] {
    return this.#rows;
  }

  /** Writes whose checkpoints are still to come, or never will, by checkpoint id. */
  get early(): ReadonlyMap<string, readonly StoredWrite[]> {
    return this.#early ?? NO_EARLY;
  }

  latest(): MemoryCheckpoint | undefined {
    return this.#rows.at(-1);
  }

  get(id: string): MemoryCheckpoint | undefined {
    const row = this.#rows[this.firstNotBefore(id)];
    return row?.id === id ? row : undefined;
  }

  /** Index of the first checkpoint whose id is not smaller. */
  firstNotBefore(id: string): number {
    const last = this.#rows.at(-1);
    if (last === undefined || last.id < id) return this.#rows.length;
    let low = 0;
    let high = this.#rows.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#rows[middle] as MemoryCheckpoint).id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Insert, or replace and keep the writes. */
  put(row: MemoryCheckpoint): void {
    const at = this.firstNotBefore(row.id);
    const existing = this.#rows[at];
    if (existing?.id === row.id) {
      row.writes ??= existing.writes;
      this.#rows[at] = row;
      return;
    }
    const early = this.#early?.get(row.id);
    if (early !== undefined) {
      row.writes ??= early;
      this.#early?.delete(row.id);
    }
    if (this.#rows.length < COMPACT_LENGTH) this.#rows = this.#rows.toSpliced(at, 0, row);
    else if (at === this.#rows.length) this.#rows.push(row);
    else this.#rows.splice(at, 0, row);
  }

  /** The writes of a checkpoint, stored or still to come. */
  writesOf(id: string): readonly StoredWrite[] {
    return this.get(id)?.writes ?? this.#early?.get(id) ?? NO_WRITES;
  }

  /** Add writes, and replace those with the same task and index. */
  addWrites(id: string, writes: readonly StoredWrite[]): void {
    const row = this.get(id);
    const merged = mergeWrites(row === undefined ? this.#early?.get(id) : row.writes, writes);
    if (row !== undefined) row.writes = merged;
    else (this.#early ??= new Map<string, StoredWrite[]>()).set(id, merged);
  }

  /** The blobs of a channel at a version; more than one when the thread was forked. */
  blobs(channel: string, version: string | number): readonly ChannelBlob[] {
    const found = new Set<ChannelBlob>();
    for (const row of this.#rows) {
      const blob = blobOf(row, channel);
      if (blob?.version === version) found.add(blob);
    }
    return [...found];
  }

  remove(ids: ReadonlySet<string>): void {
    this.#rows = this.#rows.filter(({ id }) => !ids.has(id));
    if (this.#early !== undefined) for (const id of ids) this.#early.delete(id);
  }

  /** Remove writes whose checkpoints are not there and would have ids before this one. */
  removeEarly(before: string): void {
    for (const id of this.#early?.keys() ?? []) if (id < before) this.#early?.delete(id);
  }

  /** A copy that shares all texts; `rewrite` changes the metadata text. */
  copy(rewrite: (text: string) => string): Lineage {
    const copied = new Lineage(this.checkpointNs);
    copied.#rows = this.#rows.map((row) => ({ ...row, run: rewrite(row.run), writes: row.writes?.slice() }));
    if (this.#early !== undefined) {
      copied.#early = new Map([...this.#early].map(([id, writes]) => [id, writes.slice()]));
    }
    return copied;
  }
}

/** A checkpoint's value of a channel. */
export function blobOf(row: MemoryCheckpoint | undefined, channel: string): ChannelBlob | undefined {
  return row?.channels.find((blob) => blob.channel === channel);
}

function mergeWrites(existing: StoredWrite[] | undefined, writes: readonly StoredWrite[]): StoredWrite[] {
  if (existing === undefined) return [...writes];
  const added: StoredWrite[] = [];
  for (const write of writes) {
    const at = indexOfWrite(existing, write.taskId, write.idx);
    if (at < 0) added.push(write);
    else existing[at] = write;
  }
  if (existing.length < COMPACT_LENGTH) return [...existing, ...added];
  existing.push(...added);
  return existing;
}

/** Where a task's write with this index is; -1 when it is not there. */
export function indexOfWrite(writes: readonly StoredWrite[], taskId: string, idx: number): number {
  for (let at = writes.length - 1; at >= 0; at -= 1) {
    const write = writes[at];
    if (write?.idx === idx && write.taskId === taskId) return at;
  }
  return -1;
}
