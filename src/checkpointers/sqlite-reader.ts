import { HeddleError } from "../core/errors.js";
import { matchesFilter, readMetadata } from "./checkpoint-metadata.js";
import { readPart } from "./packing.js";
import type { Encoded } from "./serde.js";
import { fromPart, textIn, type ContentSharing } from "./sharing.js";
import { PLACES, type Sealing } from "./sealing.js";
import {
  decodeChannels,
  fromCell,
  toStoredWrite,
  type BlobRow,
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
  /** Contents by id: versions share them. */
  readonly contents: Map<string, Encoded>;
  /** Writes by checkpoint id; absent when they are to be read one by one. */
  readonly writes?: ReadonlyMap<string, readonly StoredWrite[]>;
  readonly remember?: boolean;
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
  readonly #sharing: ContentSharing;

  constructor(sql: CheckpointStatements, sealing: Sealing, sharing: ContentSharing) {
    this.#sql = sql;
    this.#sealing = sealing;
    this.#sharing = sharing;
  }

  /** @param options.remember its contents, because a next checkpoint is likely to share them */
  one(row: ListedRow, options: { readonly remember?: boolean } = {}): CheckpointParts {
    return this.#parts(row, { ...nothingRead(), ...(options.remember === true && { remember: true }) });
  }

  /** @param left how many checkpoints are still wanted */
  page(query: ListQuery, filter: Readonly<Record<string, unknown>> | undefined, left: number): Page {
    const page = this.#sql.page(query);
    const matching =
      filter === undefined ? page : page.filter((row) => matchesFilter(readMetadata(row.metadata), filter));
    const wanted = matching.slice(0, left);
    const preread = wanted.length === page.length ? this.#preread(wanted) : nothingRead();
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
    return blob && this.#opened(of, origin, channel, blob, nothingRead());
  }

  writes(of: CheckpointName, lineage: number): readonly StoredWrite[] {
    return this.#sql.writes.all(lineage, of.id).map((row) => toStoredWrite(row, this.#sealing, of));
  }

  #opened(
    of: Omit<CheckpointName, "id">,
    origin: string,
    channel: string,
    { data, content: id }: BlobRow,
    { contents, remember }: Preread,
  ): Encoded {
    const value = this.#sealing.open(fromCell(data), PLACES.value(of.threadId, of.checkpointNs, channel, origin));
    if (id === null) return value;
    const part = readPart(value);
    const place = { ...of, channel };
    if (part?.content !== id) throw lost(of, channel);
    let content = contents.get(id) ?? this.#sharing.textOf(place, id);
    if (content === undefined) {
      const row = this.#sql.content.get(id);
      if (row === undefined) throw lost(of, channel);
      content = this.#sealing.open(fromCell(row.data), PLACES.content(id));
      const text = textIn(content);
      content = text ?? content;
      if (remember === true && text !== null) this.#sharing.remember(place, id, text, row.data.length);
    }
    contents.set(id, content);
    return fromPart(part, content);
  }

  /** Neighbours of one lineage are read with two statements instead of several for each. */
  #preread(rows: readonly ListedRow[]): Preread {
    const preread = nothingRead();
    const { blobs } = preread;
    const [newest, oldest] = [rows[0], rows.at(-1)];
    if (newest === undefined || oldest === undefined || newest === oldest) return preread;
    const { lineage } = newest;
    const of = { threadId: newest.thread_id, checkpointNs: newest.checkpoint_ns };
    if (rows.some((row) => row.lineage !== lineage)) return preread;
    const range = [lineage, oldest.checkpoint_id, newest.checkpoint_id] as const;
    for (const row of this.#sql.blobsBetween.all(...range)) {
      const { checkpoint_id: origin, channel } = row;
      blobs.set(blobName(lineage, origin, channel), this.#opened(of, origin, channel, row, preread));
    }
    const writes = new Map<string, StoredWrite[]>(rows.map((row) => [row.checkpoint_id, []]));
    for (const row of this.#sql.writesBetween.all(...range)) {
      writes.get(row.checkpoint_id)?.push(toStoredWrite(row, this.#sealing, { ...of, id: row.checkpoint_id }));
    }
    return { ...preread, writes };
  }

  #parts(row: ListedRow, preread: Preread): CheckpointParts {
    const { blobs, writes } = preread;
    const { lineage, checkpoint_id: id, thread_id: threadId, checkpoint_ns: checkpointNs } = row;
    const channels: { readonly channel: string; readonly data: Encoded }[] = [];
    for (const { channel, origin } of decodeChannels(row.channels, id)) {
      const name = blobName(lineage, origin, channel);
      let data = blobs.get(name);
      if (data === undefined) {
        const blob = this.#sql.blob.get(lineage, origin, channel);
        if (blob === undefined) throw lost({ threadId, checkpointNs }, channel);
        data = this.#opened({ threadId, checkpointNs }, origin, channel, blob, preread);
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

const nothingRead = (): Preread => ({ blobs: new Map(), contents: new Map() });

function lost({ threadId, checkpointNs }: Omit<CheckpointName, "id">, channel: string): HeddleError {
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `SQLite checkpointer: thread ${threadId} has lost a value of channel "${channel}".`,
    details: { threadId, checkpointNs, channel },
  });
}
