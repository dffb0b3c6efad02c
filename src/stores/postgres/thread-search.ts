import type { Page, PageRequest, ThreadQuery } from "../../core/metadata-store.js";
import type { Thread, ThreadSortField } from "../../core/thread.js";
import { toJsonb, toText } from "../../databases/postgres/storable.js";
import { contains, filterSql } from "./filters.js";
import { type ThreadColumns, threadOf } from "./rows.js";
import type { Session } from "./session.js";

const SORT_COLUMNS: Record<ThreadSortField, string> = {
  thread_id: "t.thread_id",
  status: "t.status",
  created_at: "t.created_at",
  updated_at: "t.updated_at",
  state_updated_at: "t.state_updated_at",
};

const BARE =
  "t.thread_id, t.created_at, t.updated_at, t.state_updated_at, t.status, m.metadata::text AS metadata, m.config";
const FULL = `${BARE}, t.state_values, t.interrupts, t.error`;

/** A page of threads and how many match, in one statement. */
export async function searchThreads(
  session: Session,
  params: ThreadQuery & PageRequest<ThreadSortField> & { readonly withState: boolean },
): Promise<Page<Thread>> {
  const { limit, offset, sortBy, sortOrder, withState, ...query } = params;
  const parameters: unknown[] = [];
  const from = fromSql(query, parameters);
  const direction = sortOrder === "asc" ? "ASC" : "DESC";
  const tie = sortBy === "thread_id" ? "" : `, t.thread_id ${direction}`;
  // Ids first: what is skipped is neither joined nor detoasted.
  const text = `WITH page AS MATERIALIZED (
      SELECT t.thread_id, row_number() OVER (ORDER BY ${SORT_COLUMNS[sortBy]} ${direction}${tie}) AS place ${from}
      ORDER BY ${SORT_COLUMNS[sortBy]} ${direction}${tie} LIMIT $${parameters.push(limit)} OFFSET $${parameters.push(offset)}
    ), total AS (SELECT count(*) AS total ${from})
    SELECT total.total, found.* FROM total LEFT JOIN (
      SELECT page.place, ${withState ? FULL : BARE} FROM page
      JOIN heddle_threads t ON t.thread_id = page.thread_id JOIN heddle_thread_metadata m ON m.thread_id = page.thread_id
    ) AS found ON true ORDER BY found.place`;
  const rows = await session.query<Partial<ThreadColumns> & { total: number }>(
    { name: "", idempotent: true, text },
    parameters,
  );
  return { rows: rows.filter(isThread).map(threadOf), total: rows[0]?.total ?? 0 };
}

/** How many threads match. */
export async function countThreads(session: Session, query: ThreadQuery): Promise<number> {
  const parameters: unknown[] = [];
  const text = `SELECT count(*) AS total ${fromSql(query, parameters)}`;
  const [row] = await session.query<{ total: number }>({ name: "", idempotent: true, text }, parameters);
  return row?.total ?? 0;
}

function fromSql({ ids, status, metadata, values, access }: ThreadQuery, parameters: unknown[]): string {
  const conditions: string[] = [];
  if (ids !== undefined) conditions.push(`t.thread_id = ANY ($${parameters.push(ids.map(toText))}::text[])`);
  if (status !== undefined) conditions.push(`t.status = $${parameters.push(status)}`);
  const filter = filterSql("m.metadata", { metadata, access }, parameters);
  if (filter !== null) conditions.push(filter);
  // Last: parsing a state is the most expensive question.
  if (values !== undefined) {
    conditions.push(contains("heddle_searchable(t.state_values)", toJsonb(values), parameters));
  }
  const join = filter === null ? "" : "JOIN heddle_thread_metadata m ON m.thread_id = t.thread_id";
  return `FROM heddle_threads t ${join} ${conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`}`;
}

function isThread<Row extends Partial<ThreadColumns>>(row: Row): row is Row & ThreadColumns {
  return typeof row.thread_id === "string";
}
