import type { RunLease } from "../core/run.js";
import type { PostgresDatabase, SqlRow, Statement } from "../databases/postgres/open.js";
import type { StoredValue } from "./postgres-blobs.js";
import { leaseLost, leaseTable } from "./postgres-lease.js";
import { paddedLength, valuesList } from "./postgres-put.js";
import { toText } from "../databases/postgres/storable.js";

/** A statement takes 65,535 parameters. */
const MAX_ROWS = 8_192;

/** Writes of one task. */
export interface PutWrites {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly checkpointId: string;
  readonly taskId: string;
  readonly taskPath: string;
  readonly lease: RunLease | undefined;
  /** By their index in the task. */
  readonly writes: ReadonlyMap<number, StoredValue & { readonly channel: string }>;
}

/**
 * Store pending writes, by one statement: those of special channels (index below 0) replace what is there, of the others
 * the first is kept. More than {@link MAX_ROWS} need several, in one transaction.
 * @throws HeddleError `LEASE_LOST`
 */
export async function storeWrites(database: PostgresDatabase, put: PutWrites): Promise<void> {
  const writes = [...put.writes];
  if (writes.length <= MAX_ROWS) return store(database, put, writes);
  await database.transaction(async (client) => {
    for (let at = 0; at < writes.length; at += MAX_ROWS) await store(client, put, writes.slice(at, at + MAX_ROWS));
  });
}

async function store(
  client: Pick<PostgresDatabase, "query">,
  put: PutWrites,
  writes: readonly (readonly [number, StoredValue & { readonly channel: string }])[],
): Promise<void> {
  const { lease } = put;
  const rows = paddedLength(writes.length);
  const values: unknown[] = [put.threadId, put.checkpointNs, put.checkpointId, put.taskId, put.taskPath].map(toText);
  if (lease !== undefined) values.push(lease.runId, lease.leaseToken);
  for (const [idx, { channel, type, blob }] of writes) values.push(idx, toText(channel), type, blob);
  for (let row = writes.length; row < rows; row += 1) values.push(null, null, null, null);
  const [row] = await client.query<SqlRow & { readonly held: boolean }>(
    writesStatement(rows, lease !== undefined),
    values,
  );
  if (lease !== undefined && row?.held !== true) throw leaseLost(lease, "its writes were");
}

/** Of an insert into `checkpoint_writes AS w`: special channels (index below 0) are replaced, of the others the first write stays. */
export const FIRST_WRITE = `ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE
      SET channel = excluded.channel, type = excluded.type, blob = excluded.blob, task_path = excluded.task_path
      WHERE w.idx < 0`;

function writesStatement(rows: number, isLeased: boolean): Statement {
  const leaseAt = 6;
  const valuesAt = leaseAt + (isLeased ? 2 : 0);
  const insert = `INSERT INTO checkpoint_writes AS w
      (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT $1, $2, $3, $4, $5, v.* FROM (VALUES ${valuesList(valuesAt, rows, ["int", "text", "text", "bytea"])})
      AS v (idx, channel, type, blob)
    WHERE v.idx IS NOT NULL ${isLeased ? "AND EXISTS (SELECT FROM lease)" : ""}
    ${FIRST_WRITE}`;
  const text = isLeased
    ? `WITH ${leaseTable(leaseAt)}, saved AS (${insert}) SELECT EXISTS (SELECT FROM lease) AS held`
    : insert;
  return { name: `heddle_checkpoint_writes_${rows}${isLeased ? "_leased" : ""}`, text, idempotent: true };
}
