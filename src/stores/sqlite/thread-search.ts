import { planFilter, type Term } from "../../core/filter-terms.js";
import type { JsonObject } from "../../core/json.js";
import { jsonContains } from "../../core/metadata-filter.js";
import type { PageRequest, ThreadQuery } from "../../core/metadata-store.js";
import type { ThreadSortField } from "../../core/thread.js";
import { startTimeSlice } from "../time-slice.js";
import { parseObject } from "./rows.js";
import { scan, type Entry } from "./scan.js";
import { guarded, type Session } from "./session.js";

/** Up to this many candidates are read and sorted at once; beyond, an index is walked in time slices. */
const FEW_ROWS = 2_000;

interface Candidate extends Entry {
  readonly metadata?: string;
}

interface Plan {
  readonly terms: readonly Term[];
  readonly condition: string;
  readonly parameters: readonly string[];
  /** Decides what SQL can't; `null` when SQL says everything. */
  readonly decide: ((row: Candidate) => boolean) | null;
  readonly columns: readonly "metadata"[];
}

/**
 * Ids of a page of threads, and how many match. Without a filter, or with one that an index answers, cheap at any offset;
 * otherwise rows are read in time slices, so that the event loop is never held up.
 */
export async function searchThreads(
  session: Session,
  query: ThreadQuery,
  page: PageRequest<ThreadSortField>,
): Promise<{ readonly ids: readonly number[]; readonly total: number }> {
  const { sortBy, sortOrder, offset, limit } = page;
  const plan = planOf(session, query);
  const few = candidates(session, query, plan, sortBy);
  if (few !== null) {
    const rows = await decided(few, plan);
    rows.sort((a, b) => (a.position === b.position ? a.id - b.id : a.position < b.position ? -1 : 1));
    if (sortOrder === "desc") rows.reverse();
    return { ids: rows.slice(offset, offset + limit).map((row) => row.id), total: rows.length };
  }
  const direct = pageStatement(query, plan, sortBy, sortOrder);
  if (direct !== null) {
    const ids = guarded(() => session.sql<{ id: number }>(direct).all(...plan.parameters, limit, offset));
    return { ids: ids.map((row) => row.id), total: indexedTotal(session, query, plan) ?? 0 };
  }
  const total = indexedTotal(session, query, plan);
  const ids: number[] = [];
  let seen = 0;
  const walk = { table: "threads", column: sortBy, order: sortOrder, ...plan } as const;
  await scan<Candidate>(session, walk, (row) => {
    if (plan.decide !== null && !plan.decide(row)) return true;
    if (seen >= offset && ids.length < limit) ids.push(row.id);
    seen += 1;
    return total === null || seen < offset + limit;
  });
  return { ids, total: total ?? seen };
}

/** How many threads match. */
export async function countThreads(session: Session, query: ThreadQuery): Promise<number> {
  const plan = planOf(session, query);
  const few = candidates(session, query, plan, "created_at");
  if (few !== null) return (await decided(few, plan)).length;
  const total = indexedTotal(session, query, plan);
  if (total !== null) return total;
  let seen = 0;
  await scan<Candidate>(session, { table: "threads", column: "created_at", order: "asc", ...plan }, (row) => {
    if (plan.decide === null || plan.decide(row)) seen += 1;
    return true;
  });
  return seen;
}

function planOf(session: Session, { status, metadata, values, access }: ThreadQuery): Plan {
  const { terms, residual } = planFilter({ ...(metadata === undefined ? {} : { metadata }), access });
  const conditions = terms.map(
    () => "EXISTS (SELECT 1 FROM thread_terms x WHERE x.term = ? AND x.created_at = t.created_at AND x.thread = t.id)",
  );
  if (status !== undefined) conditions.push("t.status = ?");
  return {
    terms,
    condition: conditions.length === 0 ? "1" : conditions.join(" AND "),
    parameters: status === undefined ? terms : [...terms, status],
    columns: residual === null ? [] : ["metadata"],
    decide:
      residual === null && values === undefined
        ? null
        : (row) =>
            (residual === null || residual(parseObject(row.metadata ?? "{}"))) &&
            (values === undefined || hasValues(session, row.id, values)),
  };
}

function hasValues(session: Session, id: number, wanted: JsonObject): boolean {
  const sql = "SELECT state_values FROM thread_states WHERE thread = ?";
  const stored = guarded(() => session.sql<{ state_values: string | null }>(sql).get(id)?.state_values ?? null);
  return stored !== null && jsonContains(parseObject(stored), wanted);
}

/** All rows that can match, when ids or a rare term leave only a few. */
function candidates(
  session: Session,
  query: ThreadQuery,
  plan: Plan,
  sortBy: ThreadSortField,
): readonly Candidate[] | null {
  const columns = ["t.id", `t.${sortBy} AS position`, ...plan.columns.map((name) => `t.${name}`)].join(", ");
  if (query.ids !== undefined) {
    const sql = `SELECT ${columns}, (${plan.condition}) AS holds FROM threads t WHERE t.thread_id IN (SELECT value FROM json_each(?))`;
    const ids = JSON.stringify(query.ids);
    return guarded(() => session.sql<Candidate>(sql).all(...plan.parameters, ids));
  }
  return guarded(() => {
    const counts = plan.terms
      .map((term) => ({ term, rows: cappedCount(session, term) }))
      .sort((a, b) => a.rows - b.rows);
    const rarest = counts[0];
    if (rarest === undefined || rarest.rows > FEW_ROWS) return null;
    const sql =
      `SELECT ${columns}, (${plan.condition}) AS holds ` +
      `FROM thread_terms c CROSS JOIN threads t ON t.id = c.thread WHERE c.term = ?`;
    return session.sql<Candidate>(sql).all(...plan.parameters, rarest.term);
  });
}

function cappedCount(session: Session, term: Term): number {
  const sql = `SELECT count(*) AS n FROM (SELECT 1 FROM thread_terms WHERE term = ? LIMIT ${FEW_ROWS + 1})`;
  return session.sql<{ n: number }>(sql).get(term)?.n ?? 0;
}

async function decided(rows: readonly Candidate[], plan: Plan): Promise<Candidate[]> {
  const matching = rows.filter((row) => row.holds === 1);
  if (plan.decide === null) return matching;
  const slice = startTimeSlice();
  const kept: Candidate[] = [];
  for (const row of matching) {
    if (plan.decide(row)) kept.push(row);
    if (slice.isOver()) await slice.next();
  }
  return kept;
}

/** One statement that pages through an index without looking at rows, where there is one. */
function pageStatement(query: ThreadQuery, plan: Plan, sortBy: ThreadSortField, order: "asc" | "desc"): string | null {
  if (plan.decide !== null) return null;
  const direction = order === "asc" ? "ASC" : "DESC";
  const paging = "LIMIT ? OFFSET ?";
  if (plan.terms.length === 0 && query.status === undefined) {
    return `SELECT id FROM threads ORDER BY ${sortBy} ${direction}, id ${direction} ${paging}`;
  }
  if (plan.terms.length === 0 && sortBy === "status") {
    return `SELECT id FROM threads WHERE status = ? ORDER BY id ${direction} ${paging}`;
  }
  if (plan.terms.length === 1 && query.status === undefined && sortBy === "created_at") {
    return `SELECT thread AS id FROM thread_terms WHERE term = ? ORDER BY created_at ${direction}, thread ${direction} ${paging}`;
  }
  return null;
}

/** The number of matches, where counting index entries is enough. */
function indexedTotal(session: Session, query: ThreadQuery, plan: Plan): number | null {
  if (plan.decide !== null || query.ids !== undefined) return null;
  const filters = plan.parameters.length;
  if (filters > 1) return null;
  const sql =
    filters === 0
      ? "SELECT count(*) AS n FROM threads"
      : query.status === undefined
        ? "SELECT count(*) AS n FROM thread_terms WHERE term = ?"
        : "SELECT count(*) AS n FROM threads WHERE status = ?";
  return guarded(() => session.sql<{ n: number }>(sql).get(...plan.parameters)?.n ?? 0);
}
