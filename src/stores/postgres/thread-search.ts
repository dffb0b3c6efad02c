import type { Page, PageRequest, ThreadQuery } from "../../core/metadata-store.js";
import type { Thread, ThreadSortField } from "../../core/thread.js";
import { toJsonb, toText } from "../../databases/postgres/storable.js";
import { contains, filterSql } from "./filters.js";
import { type ThreadColumns, threadOf } from "./rows.js";
import type { Session } from "./session.js";

const SORT_COLUMNS: Record<Exclude<ThreadSortField, "thread_id">, string> = {
  status: "t.status",
  created_at: "m.created_at",
  updated_at: "t.updated_at",
  state_updated_at: "t.state_updated_at",
};

const BARE =
  "t.thread_id, m.created_at, t.updated_at, t.state_updated_at, t.status, m.metadata::text AS metadata, m.config";
const FULL = `${BARE}, t.state_values, t.interrupts, t.error`;

/** A page of threads and how many match, in one statement. */
export async function searchThreads(
  session: Session,
  params: ThreadQuery & PageRequest<ThreadSortField> & { readonly withState: boolean },
): Promise<Page<Thread>> {
  const { limit, offset, sortBy, sortOrder, withState, ...query } = params;
  const parameters: unknown[] = [];
  const direction = sortOrder === "asc" ? "ASC" : "DESC";
  const page = fromSql(query, sortBy === "created_at" ? "m" : sortBy === "thread_id" ? null : "t", parameters);
  const tie = sortBy === "thread_id" ? "" : `, ${page.id} ${direction}`;
  const order = `${sortBy === "thread_id" ? page.id : SORT_COLUMNS[sortBy]} ${direction}${tie}`;
  // Ids first: what is skipped is neither joined nor read out of line.
  const text = `WITH page AS MATERIALIZED (
      SELECT ${page.id}, row_number() OVER (ORDER BY ${order}) AS place ${page.from}
      ORDER BY ${order} LIMIT $${parameters.push(limit)} OFFSET $${parameters.push(offset)}
    ), total AS (SELECT count(*) AS total ${fromSql(query, null, parameters).from})
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
  const text = `SELECT count(*) AS total ${fromSql(query, null, parameters).from}`;
  const [row] = await session.query<{ total: number }>({ name: "", idempotent: true, text }, parameters);
  return row?.total ?? 0;
}

/**
 * Where matching threads come from: from both tables only if both are asked.
 * @param sortTable of the column that pages are sorted by
 */
function fromSql(
  { ids, status, metadata, values, access }: ThreadQuery,
  sortTable: "m" | "t" | null,
  parameters: unknown[],
): { readonly from: string; readonly id: string } {
  const conditions: string[] = [];
  const filter = filterSql("m.metadata", { metadata, access }, parameters);
  if (filter !== null) conditions.push(filter);
  if (status !== undefined) {
    conditions.push(`t.status = $${parameters.push(status)}`);
    // For the partial index.
    if (status !== "idle") conditions.push("t.status <> 'idle'");
  }
  // Last: parsing a state is the most expensive question.
  if (values !== undefined) {
    conditions.push(contains("heddle_searchable(t.state_values)", toJsonb(values), parameters));
  }
  const asksMetadata = filter !== null || sortTable === "m";
  const asksThreads = status !== undefined || values !== undefined || sortTable === "t" || !asksMetadata;
  const id = asksThreads ? "t.thread_id" : "m.thread_id";
  if (ids !== undefined) conditions.push(`${id} = ANY ($${parameters.push(ids.map(toText))}::text[])`);
  const join = asksMetadata ? "JOIN heddle_thread_metadata m ON m.thread_id = t.thread_id" : "";
  const from = asksThreads ? `heddle_threads t ${join}` : "heddle_thread_metadata m";
  return { from: `FROM ${from} ${conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`}`, id };
}

function isThread<Row extends Partial<ThreadColumns>>(row: Row): row is Row & ThreadColumns {
  return typeof row.thread_id === "string";
}
