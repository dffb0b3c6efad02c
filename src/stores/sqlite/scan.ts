import type { TimeSlice } from "../time-slice.js";
import { startTimeSlice } from "../time-slice.js";
import { guarded, type Session } from "./session.js";

/**
 * How many index entries one statement visits: better-sqlite3 is synchronous, so a longer walk is cut into several
 * statements with a pause in between.
 */
const ENTRIES_PER_STATEMENT = 500;

/** A walk along an index. Every column is a name of ours, never a caller's. */
export interface Scan<Row extends Entry> {
  readonly table: "assistants" | "threads" | "items" | "crons";
  /** Indexed column to walk along; ties go by `id`. */
  readonly column: string;
  readonly order: "asc" | "desc";
  /** SQL expression over `t` that decides a row, e.g. `t.status = ?`. */
  readonly condition: string;
  readonly parameters: readonly (string | number)[];
  /** More columns of `t` that `visit` needs. */
  readonly columns?: readonly Exclude<keyof Row & string, keyof Entry>[];
}

/** The entry that a walk visits. */
export interface Entry {
  readonly id: number;
  readonly position: string | number;
  readonly holds: 0 | 1;
}

/**
 * Visit the rows for which the condition holds, in order, in time slices. Rows that move while the walk pauses may be
 * seen twice or not at all, as with any paging by offset.
 * @param visit returns false to stop
 */
export async function scan<Row extends Entry>(
  session: Session,
  query: Scan<Row>,
  visit: (row: Row) => boolean,
): Promise<void> {
  const slice: TimeSlice = startTimeSlice();
  const { first, ties, beyond } = statements(query);
  const { parameters } = query;
  const read = (last: Row | undefined): readonly Row[] => {
    if (last === undefined) return session.sql<Row>(first).all(...parameters);
    const tied = session.sql<Row>(ties).all(...parameters, last.position, last.id);
    return tied.length > 0 ? tied : session.sql<Row>(beyond).all(...parameters, last.position);
  };
  let last: Row | undefined;
  for (;;) {
    const from = last;
    const rows = guarded(() => read(from));
    for (const row of rows) {
      if (row.holds === 1 && !visit(row)) return;
      // Deciding one row may mean parsing a large state.
      if (slice.isOver()) await slice.next();
    }
    last = rows.at(-1);
    if (last === undefined) return;
  }
}

function statements<Row extends Entry>({
  table,
  column,
  order,
  condition,
  columns = [],
}: Scan<Row>): Record<"first" | "ties" | "beyond", string> {
  const [direction, compare] = order === "asc" ? ["ASC", ">"] : ["DESC", "<"];
  const extra = columns.map((name) => `, t.${name}`).join("");
  const walk = (where: string): string =>
    `SELECT entries.id, entries.position, (${condition}) AS holds${extra} FROM (` +
    `SELECT id, ${column} AS position FROM ${table} ${where}` +
    ` ORDER BY ${column} ${direction}, id ${direction} LIMIT ${ENTRIES_PER_STATEMENT}` +
    `) AS entries CROSS JOIN ${table} AS t ON t.id = entries.id ORDER BY entries.position ${direction}, entries.id ${direction}`;
  return {
    first: walk(""),
    // Not one comparison of row values: SQLite would start at the first tie again and again.
    ties: walk(`WHERE ${column} = ? AND id ${compare} ?`),
    beyond: walk(`WHERE ${column} ${compare} ?`),
  };
}
