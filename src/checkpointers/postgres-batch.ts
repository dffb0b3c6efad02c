import type { SqlClient, SqlRow, Statement } from "../databases/postgres/open.js";
import { toJsonbText, toText } from "../databases/postgres/storable.js";
import { leaseTables } from "./postgres-lease.js";
import { type Put, SAME_BLOB } from "./postgres-put.js";
import { FIRST_WRITE, type PutWrites } from "./postgres-writes.js";
import { versionOf } from "./stored-checkpoint.js";

/** What one statement stores together. */
export interface Batch {
  /** None needs an alias as far as is known here: their parents had none. */
  readonly puts: readonly Put[];
  readonly writes: readonly PutWrites[];
}

/** What became of a batch. */
export interface BatchResult {
  /** Whether the lease of a put or of writes held; without one it does. */
  readonly held: (operation: Put | PutWrites) => boolean;
  /**
   * False: a checkpoint at least whose lease held was not stored. When a version is taken by another value none was; when one was there
   * already the others were. Each may be stored again, by itself: what it finds of its own it writes over.
   */
  readonly complete: boolean;
}

interface BatchRow extends SqlRow {
  readonly held: readonly number[] | null;
  readonly complete: boolean;
}

/**
 * Store checkpoints and pending writes of any number of runs by one statement and one commit. Operations whose lease is lost
 * are left out. The writes of the others are stored in any case, their checkpoints unless the result is not `complete`. Keys must differ
 * within a batch.
 */
export async function storeBatch(database: SqlClient, { puts, writes }: Batch): Promise<BatchResult> {
  const payload = new Payload();
  const leases = new Leases();
  const blobs = puts.flatMap((put, index) => [...put.fresh].map((entry) => ({ put, index, entry })));
  const rows = writes.flatMap((put) => [...put.writes].map((entry) => ({ put, entry })));
  const checkpoints = puts.map((put) => payload.addText(toJsonbText(put.checkpoint)));
  const metadata = puts.map((put) => payload.addText(toJsonbText(put.metadata)));
  const values = blobs.map(({ entry: [, { blob }] }) => payload.add(blob));
  const written = rows.map(({ entry: [, { blob }] }) => payload.add(blob));
  const parameters = [
    puts.map((put) => toText(put.threadId)),
    puts.map((put) => toText(put.checkpointNs)),
    puts.map((put) => toText(put.checkpointId)),
    puts.map((put) => (put.parentId === undefined ? null : toText(put.parentId))),
    checkpoints.map(offsetOf),
    checkpoints.map(lengthOf),
    metadata.map(offsetOf),
    metadata.map(lengthOf),
    puts.map((put) => leases.place(put)),
    blobs.map(({ index }) => index + 1),
    blobs.map(({ entry: [channel] }) => toText(channel)),
    blobs.map(({ put, entry: [channel] }) => String(versionOf(put.versions, channel))),
    blobs.map(({ entry: [, { type }] }) => type),
    values.map(offsetOf),
    values.map(lengthOf),
    rows.map(({ put }) => toText(put.threadId)),
    rows.map(({ put }) => toText(put.checkpointNs)),
    rows.map(({ put }) => toText(put.checkpointId)),
    rows.map(({ put }) => toText(put.taskId)),
    rows.map(({ put }) => toText(put.taskPath)),
    rows.map(({ entry: [index] }) => index),
    rows.map(({ entry: [, { channel }] }) => toText(channel)),
    rows.map(({ entry: [, { type }] }) => type),
    written.map(offsetOf),
    written.map(lengthOf),
    rows.map(({ put }) => leases.place(put)),
    payload.bytes(),
    blobs.map(({ entry: [, { shared }] }) => shared?.content ?? null),
    ...leases.parameters(),
  ];
  const [row] = await database.query<BatchRow>(leases.isEmpty ? UNLEASED : LEASED, parameters);
  const held = new Set(row?.held);
  return {
    held: (operation) => operation.lease === undefined || held.has(leases.place(operation)),
    complete: row?.complete === true,
  };
}

interface Slice {
  readonly offset: number;
  readonly length: number | null;
}
const offsetOf = (slice: Slice): number => slice.offset;
const lengthOf = (slice: Slice): number | null => slice.length;

/** All values as one parameter: arrays of `bytea` would travel as text. */
class Payload {
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  add(part: Buffer | null): Slice {
    if (part === null) return { offset: 1, length: null };
    const slice = { offset: this.#bytes + 1, length: part.length };
    this.#parts.push(part);
    this.#bytes += part.length;
    return slice;
  }

  addText(text: string): Slice {
    return this.add(Buffer.from(text));
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts, this.#bytes);
  }
}

/** The runs of a batch, each once. */
class Leases {
  readonly #places = new Map<string, number>();
  readonly #runIds: string[] = [];
  readonly #tokens: number[] = [];

  get isEmpty(): boolean {
    return this.#runIds.length === 0;
  }

  /** From 1 on; 0 without a lease. */
  place({ lease }: Pick<Put, "lease">): number {
    if (lease === undefined) return 0;
    const key = `${lease.leaseToken} ${lease.runId}`;
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    this.#runIds.push(lease.runId);
    this.#tokens.push(lease.leaseToken);
    this.#places.set(key, this.#runIds.length);
    return this.#runIds.length;
  }

  parameters(): readonly unknown[] {
    return this.isEmpty ? [] : [this.#runIds, this.#tokens];
  }
}

const LEASED = batchStatement(true);
const UNLEASED = batchStatement(false);

/** Sub-selects hide how long the arrays are: the planner would make a new plan for every batch. */
function unnest(numbers: number | readonly number[], types: readonly string[]): string {
  const number = (index: number): number => (typeof numbers === "number" ? numbers + index : (numbers[index] ?? 0));
  return `unnest(${types.map((type, index) => `(SELECT $${number(index)}::${type}[])`).join(", ")})`;
}

function batchStatement(isLeased: boolean): Statement {
  const slice = (from: string, length: string): string => `substring((SELECT $27::bytea) FROM ${from} FOR ${length})`;
  const held = (place: string): string =>
    isLeased ? `(${place} = 0 OR ${place} IN (SELECT place FROM lease))` : "true";
  const put = ["text", "text", "text", "text", "int", "int", "int", "int", "int"];
  const blob = ["int", "text", "text", "text", "int", "int", "text"];
  const write = ["text", "text", "text", "text", "text", "int", "text", "text", "int", "int", "int"];
  const text = `WITH ${isLeased ? `${leaseTables(29)},` : ""}
    put AS MATERIALIZED (
      SELECT * FROM ${unnest(1, put)} WITH ORDINALITY AS p (thread_id, checkpoint_ns, checkpoint_id, parent_id,
        checkpoint_at, checkpoint_length, metadata_at, metadata_length, lease, place)
      WHERE ${held("p.lease")}),
    value AS MATERIALIZED (
      SELECT p.thread_id, p.checkpoint_ns, b.channel, b.version, b.type, b.at, b.length, b.content
      FROM ${unnest([10, 11, 12, 13, 14, 15, 28], blob)} AS b (place, channel, version, type, at, length, content)
      JOIN put p ON p.place = b.place),
    fresh AS (
      INSERT INTO checkpoint_blobs AS b (thread_id, checkpoint_ns, channel, version, type, blob, heddle_content)
      SELECT v.thread_id, v.checkpoint_ns, v.channel, v.version, v.type, ${slice("v.at", "v.length")}, v.content FROM value v
      ${SAME_BLOB}
      RETURNING 1),
    written AS (
      INSERT INTO checkpoint_writes AS w
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
      SELECT r.thread_id, r.checkpoint_ns, r.checkpoint_id, r.task_id, r.task_path, r.idx, r.channel, r.type,
        ${slice("r.at", "r.length")}
      FROM ${unnest(16, write)} AS r (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, at,
        length, lease)
      WHERE ${held("r.lease")}
      ${FIRST_WRITE}),
    saved AS (
      INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
      SELECT p.thread_id, p.checkpoint_ns, p.checkpoint_id, p.parent_id,
        convert_from(${slice("p.checkpoint_at", "p.checkpoint_length")}, 'UTF8')::jsonb,
        convert_from(${slice("p.metadata_at", "p.metadata_length")}, 'UTF8')::jsonb
      FROM put p WHERE (SELECT count(*) FROM fresh) = (SELECT count(*) FROM value)
      ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id) DO NOTHING
      RETURNING 1)
    SELECT ${isLeased ? "(SELECT array_agg(place::int) FROM lease)" : "NULL"} AS held,
      (SELECT count(*) FROM saved) = (SELECT count(*) FROM put) AS complete`;
  return { name: `heddle_checkpoint_batch${isLeased ? "_leased" : ""}`, text, idempotent: true };
}
