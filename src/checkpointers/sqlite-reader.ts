import { HeddleError } from "../core/errors.js";
import { matchesFilter, readMetadata } from "./checkpoint-metadata.js";
import type { Encoded } from "./serde.js";
import { PLACES, type Sealing } from "./sealing.js";
import {
  decodeChannels,
  fromCell,
  toStoredWrite,
  type Cell,
  type ChannelRef,
  type CheckpointName,
  type ListedRow,
} from "./sqlite-rows.js";
import type { CheckpointStatements, ListQuery } from "./sqlite-statements.js";
import type { CheckpointHeader, CheckpointParts, StoredWrite } from "./stored-checkpoint.js";

/** How many checkpoints a list reads at once: nothing is held open between two pages, and a page is in memory whole. */
export const MAX_PAGE_ROWS = 32;

/** What was read ahead for a page. */
interface Preread {
  /** Values by lineage, origin and channel: neighbours in a list share most of them. */
  readonly blobs: Map<string, Encoded>;
  /** Writes by checkpoint id; absent when they are to be read one by one. */
  readonly writes?: ReadonlyMap<string, readonly StoredWrite[]>;
}

/** One page of a list. */
export interface Page {
  /** Rows before filtering, and the last of them: where the next page starts. */
  readonly rows: number;
  readonly last: ListedRow | undefined;
  readonly found: readonly CheckpointParts[];
}

/** Reads checkpoints. Every method belongs into a transaction, so that rows and values fit together. */
export class SqliteReader {
  readonly #sql: CheckpointStatements;
  readonly #sealing: Sealing;

  constructor(sql: CheckpointStatements, sealing: Sealing) {
    this.#sql = sql;
    this.#sealing = sealing;
  }

  one(row: ListedRow): CheckpointParts {
    return this.#parts(row, { blobs: new Map() });
  }

  /** @param left how many checkpoints are still wanted */
  page(query: ListQuery, filter: Readonly<Record<string, unknown>> | undefined, left: number): Page {
    const page = this.#sql.page(query);
    const matching =
      filter === undefined ? page : page.filter((row) => matchesFilter(readMetadata(row.metadata), filter));
    const wanted = matching.slice(0, left);
    const preread = wanted.length === page.length ? this.#preread(wanted) : { blobs: new Map<string, Encoded>() };
    return { rows: page.length, last: page.at(-1), found: wanted.map((row) => this.#parts(row, preread)) };
  }

  /** The values of a stored checkpoint, as references. */
  refs(lineage: number, id: string): readonly ChannelRef[] {
    const row = this.#sql.channelsOf.get(lineage, id);
    return row === undefined ? [] : decodeChannels(row.channels, id);
  }

  /** A stored value; `undefined` when it is gone. */
  value(of: Omit<CheckpointName, "id">, lineage: number, origin: string, channel: string): Encoded | undefined {
    const blob = this.#sql.blob.get(lineage, origin, channel);
    return blob && this.#opened(of, origin, channel, blob.data);
  }

  writes(of: CheckpointName, lineage: number): readonly StoredWrite[] {
    return this.#sql.writes.all(lineage, of.id).map((row) => toStoredWrite(row, this.#sealing, of));
  }

  #opened(of: Omit<CheckpointName, "id">, origin: string, channel: string, data: Cell): Encoded {
    return this.#sealing.open(fromCell(data), PLACES.value(of.threadId, of.checkpointNs, channel, origin));
  }

  /** Neighbours of one lineage are read with two statements instead of several for each. */
  #preread(rows: readonly ListedRow[]): Preread {
    const blobs = new Map<string, Encoded>();
    const [newest, oldest] = [rows[0], rows.at(-1)];
    if (newest === undefined || oldest === undefined || newest === oldest) return { blobs };
    const { lineage } = newest;
    const of = { threadId: newest.thread_id, checkpointNs: newest.checkpoint_ns };
    if (rows.some((row) => row.lineage !== lineage)) return { blobs };
    const range = [lineage, oldest.checkpoint_id, newest.checkpoint_id] as const;
    for (const { checkpoint_id: origin, channel, data } of this.#sql.blobsBetween.all(...range)) {
      blobs.set(blobName(lineage, origin, channel), this.#opened(of, origin, channel, data));
    }
    const writes = new Map<string, StoredWrite[]>(rows.map((row) => [row.checkpoint_id, []]));
    for (const row of this.#sql.writesBetween.all(...range)) {
      writes.get(row.checkpoint_id)?.push(toStoredWrite(row, this.#sealing, { ...of, id: row.checkpoint_id }));
    }
    return { blobs, writes };
  }

  #parts(row: ListedRow, { blobs, writes }: Preread): CheckpointParts {
    const { lineage, checkpoint_id: id, thread_id: threadId, checkpoint_ns: checkpointNs } = row;
    const channels: { readonly channel: string; readonly data: Encoded }[] = [];
    for (const { channel, origin } of decodeChannels(row.channels, id)) {
      const name = blobName(lineage, origin, channel);
      let data = blobs.get(name);
      if (data === undefined) {
        data = this.value({ threadId, checkpointNs }, lineage, origin, channel);
        if (data === undefined) throw damaged(row, channel);
        blobs.set(name, data);
      }
      channels.push({ channel, data });
    }
    const writesOf = (of: string) => writes?.get(of) ?? this.writes({ threadId, checkpointNs, id: of }, lineage);
    const place = PLACES.metadata(threadId, checkpointNs, id);
    const { metadata, sealedKeys } = this.#sealing.openMetadata(readMetadata(row.metadata), place);
    const header = JSON.parse(row.checkpoint) as CheckpointHeader;
    const parentId = row.parent_checkpoint_id ?? undefined;
    const parentWrites = header.v < 4 && parentId !== undefined ? writesOf(parentId) : [];
    return {
      threadId,
      checkpointNs,
      id,
      parentId,
      header,
      metadata,
      ...(sealedKeys !== undefined && { sealedKeys }),
      channels,
      writes: writesOf(id),
      parentWrites: () => parentWrites,
    };
  }
}

const blobName = (lineage: number, origin: string, channel: string): string => `${lineage} ${origin} ${channel}`;

function damaged(row: ListedRow, channel: string): HeddleError {
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `SQLite checkpointer: checkpoint ${row.checkpoint_id} of thread ${row.thread_id} has lost the value of channel "${channel}".`,
    details: { threadId: row.thread_id, checkpointId: row.checkpoint_id, channel },
  });
}
