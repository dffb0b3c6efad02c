import type { Term } from "../../core/filter-terms.js";
import { startTimeSlice } from "../time-slice.js";
import { SortedRows } from "./sorted-rows.js";
import { TermIndex } from "./term-index.js";

/** Up to this many candidates are filtered and sorted at once; beyond, the order is walked in time slices. */
export const FEW_ROWS = 2_000;

/** How many rows of an order are looked at without a copy of it: a tenth of a millisecond's work to half of one. */
const GLANCE_ROWS = 4_000;

/** How many rows are decided between two looks at the clock; parsing one thread's state may take a millisecond. */
const ROWS_PER_LOOK = 8;

export interface RowQuery<Row> {
  /** Every match has all of these. */
  readonly terms: readonly Term[];
  /** Decides rows that have all terms; `null` when the terms say everything. */
  readonly residual: ((row: Row) => boolean) | null;
  /** When given, all matches are among these. */
  readonly candidates?: ReadonlySet<Row>;
  /** How many rows match, where the caller knows. */
  readonly total?: number;
}

export interface RowPage<Field extends string> {
  readonly sortBy: Field;
  readonly sortOrder: "asc" | "desc";
  readonly limit: number;
  readonly offset: number;
}

/**
 * Rows with an order per sort field and an index of terms. Unfiltered pages and totals cost microseconds at any offset;
 * filtered ones look at the rows of the rarest term; what no index answers is walked in time slices.
 */
export class IndexedRows<Row extends object, Field extends string> {
  readonly #all = new Set<Row>();
  readonly #orders: ReadonlyMap<Field, { readonly rows: SortedRows<Row>; readonly compare: Compare<Row> }>;
  readonly #terms = new TermIndex<Row>();

  constructor(compares: Readonly<Record<Field, Compare<Row>>>) {
    this.#orders = new Map(
      (Object.keys(compares) as Field[]).map((field) => [
        field,
        { rows: new SortedRows(compares[field]), compare: compares[field] },
      ]),
    );
  }

  insert(row: Row, terms: Iterable<Term>): void {
    this.#all.add(row);
    for (const order of this.#orders.values()) order.rows.insert(row);
    for (const term of terms) this.#terms.add(term, row);
  }

  remove(row: Row, terms: Iterable<Term>): void {
    this.#all.delete(row);
    for (const order of this.#orders.values()) order.rows.remove(row);
    for (const term of terms) this.#terms.remove(term, row);
  }

  /** Change what these orders are sorted by. */
  reorder(row: Row, fields: readonly Field[], change: () => void): void {
    for (const field of fields) this.#orders.get(field)?.rows.remove(row);
    change();
    for (const field of fields) this.#orders.get(field)?.rows.insert(row);
  }

  /** Replace terms; those in both lists stay. */
  retag(row: Row, before: readonly Term[], after: readonly Term[]): void {
    for (const term of before) if (!after.includes(term)) this.#terms.remove(term, row);
    for (const term of after) if (!before.includes(term)) this.#terms.add(term, row);
  }

  async search(query: RowQuery<Row>, page: RowPage<Field>): Promise<{ readonly rows: Row[]; readonly total: number }> {
    const order = this.#orders.get(page.sortBy);
    if (order === undefined) return { rows: [], total: 0 };
    const { sortOrder, offset, limit } = page;
    const { rarest, decide } = this.#plan(query);
    if (rarest === null && decide === null) {
      return { rows: order.rows.page(sortOrder, offset, limit), total: this.#all.size };
    }
    const glance = this.#glance(order.rows, { rarest, decide }, page);
    if (glance !== null) return glance;
    if (rarest !== null && rarest.size <= FEW_ROWS) {
      const rows = (decide === null ? [...rarest] : await this.#few(rarest, decide)).sort(order.compare);
      if (sortOrder === "desc") rows.reverse();
      return { rows: rows.slice(offset, offset + limit), total: rows.length };
    }
    const matches = decide ?? ((row: Row) => rarest?.has(row) ?? true);
    const known = query.total ?? (decide === null ? rarest?.size : undefined);
    const enough = known === undefined ? Number.POSITIVE_INFINITY : offset + limit;
    const { rows, seen } = await this.#walk(order.rows.toArray(sortOrder), matches, { offset, limit, enough });
    return { rows, total: known ?? seen };
  }

  /** A range of an order; see {@link SortedRows.range}. */
  range(field: Field, isBefore: (row: Row) => boolean, isInside: (row: Row) => boolean): Iterable<Row> {
    return this.#orders.get(field)?.rows.range(isBefore, isInside) ?? [];
  }

  async count(query: RowQuery<Row>): Promise<number> {
    if (query.total !== undefined) return query.total;
    const { rarest, decide } = this.#plan(query);
    if (decide === null) return (rarest ?? this.#all).size;
    const everyMatch = { offset: 0, limit: 0, enough: Number.POSITIVE_INFINITY };
    return (await this.#walk([...(rarest ?? this.#all)], decide, everyMatch)).seen;
  }

  /** The smallest set that has all matches (`null`: all rows), and what decides within it (`null`: all match). */
  #plan(query: RowQuery<Row>): { rarest: ReadonlySet<Row> | null; decide: ((row: Row) => boolean) | null } {
    // What every row has says nothing: the owner's mark on a server with one owner.
    const sets = query.terms.map((term) => this.#terms.get(term)).filter((set) => set.size < this.#all.size);
    if (query.candidates !== undefined) sets.push(query.candidates);
    sets.sort((a, b) => a.size - b.size);
    const [rarest = null] = sets;
    const { residual } = query;
    if (sets.length <= 1 && residual === null) return { rarest, decide: null };
    return { rarest, decide: (row) => sets.every((set) => set.has(row)) && (residual === null || residual(row)) };
  }

  /** A page whose matches lie so close together that the first rows of the order have it; `null` when they do not. */
  #glance(
    rows: SortedRows<Row>,
    { rarest, decide }: { readonly rarest: ReadonlySet<Row> | null; readonly decide: ((row: Row) => boolean) | null },
    { sortOrder, offset, limit }: RowPage<Field>,
  ): { readonly rows: Row[]; readonly total: number } | null {
    if (rarest === null || decide !== null) return null;
    const end = Math.min(offset + limit, rarest.size);
    const visits = (end * this.#all.size) / Math.max(1, rarest.size);
    // Sorting the matches themselves is not more work then.
    if (visits > Math.min(GLANCE_ROWS / 2, rarest.size)) return null;
    const found: Row[] = [];
    let left = GLANCE_ROWS;
    for (const row of rows.walk(sortOrder)) {
      if (found.length === end) return { rows: found.slice(offset), total: rarest.size };
      if ((left -= 1) === 0) return null;
      if (rarest.has(row)) found.push(row);
    }
    return { rows: found.slice(offset), total: rarest.size };
  }

  async #few(rows: Iterable<Row>, matches: (row: Row) => boolean): Promise<Row[]> {
    const all = { offset: 0, limit: Number.POSITIVE_INFINITY, enough: Number.POSITIVE_INFINITY };
    return (await this.#walk([...rows], matches, all)).rows;
  }

  /** Decide a snapshot of rows in time slices; rows that are gone by then are passed over. */
  async #walk(
    rows: readonly Row[],
    matches: (row: Row) => boolean,
    window: { readonly offset: number; readonly limit: number; readonly enough: number },
  ): Promise<{ rows: Row[]; seen: number }> {
    const slice = startTimeSlice();
    const inWindow: Row[] = [];
    let seen = 0;
    for (let i = 0; i < rows.length && seen < window.enough; i += 1) {
      if (i % ROWS_PER_LOOK === 0 && slice.isOver()) await slice.next();
      const row = rows[i] as Row;
      if (!this.#all.has(row) || !matches(row)) continue;
      if (seen >= window.offset && inWindow.length < window.limit) inWindow.push(row);
      seen += 1;
    }
    return { rows: inWindow, seen };
  }
}

export type Compare<Row> = (a: Row, b: Row) => number;

/** Order of rows by a key, ties by id. */
export function compareBy<Row>(key: (row: Row) => string | number, id: (row: Row) => string): Compare<Row> {
  return (a, b) => {
    const [left, right] = [key(a), key(b)];
    if (left !== right) return left < right ? -1 : 1;
    const [leftId, rightId] = [id(a), id(b)];
    return leftId === rightId ? 0 : leftId < rightId ? -1 : 1;
  };
}
