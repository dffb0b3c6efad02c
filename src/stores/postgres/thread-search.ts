import type { JsonValue } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";
import type { Page, PageRequest, ThreadQuery } from "../../core/metadata-store.js";
import type { Thread, ThreadSortField } from "../../core/thread.js";
import { toJsonb, toText } from "../../databases/postgres/storable.js";
import { contains, filterSql } from "./filters.js";
import { type ThreadColumns, threadOf } from "./rows.js";
import type { Session } from "./session.js";

/**
 * Up to this many threads whose metadata match are sorted at once; beyond, an index is walked in order, and also when so great a
 * part of all threads match that the first page lies close by. Postgres cannot tell the two apart: it takes any containment for
 * one row in a hundred.
 */
const FEW_ROWS = 2_000;

const SORT_COLUMNS: Record<ThreadSortField, string> = {
  thread_id: "t.thread_id",
  status: "t.status",
  created_at: "m.created_at",
  updated_at: "t.updated_at",
  state_updated_at: "t.state_updated_at",
};

const BARE =
  "t.thread_id, m.created_at, t.updated_at, t.state_updated_at, t.status, m.metadata::text AS metadata, m.config, t.ttl_ms, t.ttl_strategy";
/** A page's first two parameters. */
const PAGING = "LIMIT $1::bigint OFFSET $2::bigint";
const FULL = `${BARE}, t.state_values, t.interrupts, t.error`;

/** A page of threads and how many match, in one statement. */
export async function searchThreads(
  session: Session,
  params: ThreadQuery & PageRequest<ThreadSortField> & { readonly withState: boolean },
): Promise<Page<Thread>> {
  const { limit, offset, sortBy, sortOrder, withState, ...query } = params;
  const parameters: unknown[] = [limit, offset];
  const plan = planOf(query, parameters);
  const direction = sortOrder === "asc" ? "ASC" : "DESC";
  const pageOf = (source: Source): string => {
    const { from, id } = source(sortBy);
    const column = sortBy === "thread_id" ? id : SORT_COLUMNS[sortBy];
    const order = `${column} ${direction}${sortBy === "thread_id" ? "" : `, ${id} ${direction}`}`;
    return `SELECT ${id}, row_number() OVER (ORDER BY ${order}) AS place ${from} ORDER BY ${order} ${PAGING}`;
  };
  // Ids first: what is skipped is neither joined nor read out of line.
  const text = `WITH ${plan.tables}, page AS MATERIALIZED (${plan.either(pageOf)})
    SELECT total.total, found.* FROM (SELECT sum(total)::bigint AS total FROM total) AS total LEFT JOIN (
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
  const text = totalOf(planOf(query, parameters).all);
  const [row] = await session.query<{ total: number }>({ name: "", idempotent: true, text }, parameters);
  return row?.total ?? 0;
}

/** Where matching threads come from, with the columns that pages are sorted by, and where their id is. */
type Source = (sortBy: ThreadSortField | null) => { readonly from: string; readonly id: string };

interface Plan {
  readonly all: Source;
  /** Common table expressions: `total`, and what {@link Plan.either} needs. They refer to {@link PAGING}'s parameters. */
  readonly tables: string;
  /** What a SELECT over the few, or over all when they are not few, gives. */
  either(select: (source: Source) => string): string;
}

const totalOf = (source: Source): string => `SELECT count(*) AS total ${source(null).from}`;

function planOf(query: ThreadQuery, parameters: unknown[]): Plan {
  const { ids, status, metadata, values, access } = query;
  const filter = filterSql("m.metadata", { metadata, access }, parameters);
  const idList = ids === undefined ? null : `$${parameters.push(ids.map(toText))}::text[]`;
  const ofThread = threadConditions({ status, values }, parameters);
  const all: Source = (sortBy) => {
    // Both tables only if both are asked.
    const asksMetadata = filter !== null || sortBy === "created_at";
    const asksThreads =
      !asksMetadata || ofThread.length > 0 || ["status", "updated_at", "state_updated_at"].includes(sortBy ?? "");
    const id = asksThreads ? "t.thread_id" : "m.thread_id";
    const join = asksMetadata ? "JOIN heddle_thread_metadata m ON m.thread_id = t.thread_id" : "";
    const conditions = [...(filter === null ? [] : [filter]), ...ofThread];
    if (idList !== null) conditions.push(`${id} = ANY (${idList})`);
    const from = asksThreads ? `heddle_threads t ${join}` : "heddle_thread_metadata m";
    return { from: `FROM ${from} WHERE ${["true", ...conditions].join(" AND ")}`, id };
  };
  if (filter === null || ids !== undefined) {
    return { all, tables: `total AS MATERIALIZED (${totalOf(all)})`, either: (select) => select(all) };
  }
  const few: Source = () => ({
    from: `FROM few m JOIN heddle_threads t ON t.thread_id = m.thread_id WHERE ${["(SELECT yes FROM is_few)", ...ofThread].join(" AND ")}`,
    id: "t.thread_id",
  });
  const many: Source = (sortBy) => {
    const { from, id } = all(sortBy);
    return { from: `${from} AND NOT (SELECT yes FROM is_few)`, id };
  };
  const either: Plan["either"] = (select) => `(${select(few)}) UNION ALL (${select(many)})`;
  const matches = `SELECT m.thread_id, m.created_at FROM heddle_thread_metadata m WHERE ${filter}`;
  if (ofThread.length > 0) {
    const tables = `few AS MATERIALIZED (${matches} LIMIT ${FEW_ROWS + 1}),
      is_few AS MATERIALIZED (SELECT count(*) <= ${FEW_ROWS} AS yes FROM few), total AS MATERIALIZED (${either(totalOf)})`;
    return { all, tables, either };
  }
  // The total has to be counted anyway, and says more than whether they are few. A table that was never analyzed has no tuples, or -1.
  const tables = `total AS MATERIALIZED (${totalOf(all)}),
      is_few AS MATERIALIZED (
        SELECT total <= ${FEW_ROWS} AND (reltuples <= 0 OR total * total < ($1::bigint + $2::bigint) * reltuples) AS yes
        FROM total, pg_class WHERE oid = 'heddle_thread_metadata'::regclass
      ), few AS MATERIALIZED (${matches} AND (SELECT yes FROM is_few))`;
  return { all, tables, either };
}

function threadConditions(
  { status, values }: { readonly [Name in "status" | "values"]: ThreadQuery[Name] | undefined },
  parameters: unknown[],
): readonly string[] {
  const conditions: string[] = [];
  if (status !== undefined) {
    conditions.push(`t.status = $${parameters.push(status)}`);
    // For the partial index.
    if (status !== "idle") conditions.push("t.status <> 'idle'");
  }
  if (values !== undefined) {
    const needle = longestString(values);
    if (needle !== "") conditions.push(`position($${parameters.push(JSON.stringify(needle))} IN t.state_values) > 0`);
    // Last: parsing a state is the most expensive question, and Postgres knows.
    conditions.push(contains("heddle_searchable(t.state_values)", toJsonb(values), parameters));
  }
  return conditions;
}

/** A string that every JSON text with these values has in it, spelled like this by whoever wrote it. */
function longestString(value: JsonValue | undefined): string {
  if (typeof value === "string") return /^[\w .,:-]*$/.test(value) ? value : "";
  if (!Array.isArray(value) && !isJsonObject(value)) return "";
  return Object.values(value as object)
    .map((member: JsonValue) => longestString(member))
    .reduce((longest, one) => (one.length > longest.length ? one : longest), "");
}

function isThread<Row extends Partial<ThreadColumns>>(row: Row): row is Row & ThreadColumns {
  return typeof row.thread_id === "string";
}
