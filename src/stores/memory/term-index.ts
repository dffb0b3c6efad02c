import type { Term } from "../../core/filter-terms.js";

/** Rows by term. A term of one row holds that row itself: ids in metadata would otherwise cost a set each. */
export class TermIndex<Row extends object> {
  readonly #rows = new Map<Term, Row | Set<Row>>();

  add(term: Term, row: Row): void {
    const present = this.#rows.get(term);
    if (present === undefined) this.#rows.set(term, row);
    else if (present instanceof Set) present.add(row);
    else if (present !== row) this.#rows.set(term, new Set([present, row]));
  }

  remove(term: Term, row: Row): void {
    const present = this.#rows.get(term);
    if (present === row) this.#rows.delete(term);
    else if (present instanceof Set) {
      present.delete(row);
      if (present.size === 0) this.#rows.delete(term);
    }
  }

  /** The rows that have a term. */
  get(term: Term): ReadonlySet<Row> {
    const present = this.#rows.get(term);
    if (present === undefined) return new Set();
    return present instanceof Set ? present : new Set([present]);
  }
}
