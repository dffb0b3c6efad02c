/** Buckets are split at twice this many rows: small enough to shift quickly, large enough to skip over by the hundred. */
const BUCKET_ROWS = 256;

/**
 * Rows in a total order, in buckets: insert and remove take about a microsecond at 100,000 rows, and any page is found
 * by skipping whole buckets. A row must not change in what it is ordered by while it is inside.
 */
export class SortedRows<Row> {
  readonly #compare: (a: Row, b: Row) => number;
  readonly #buckets: Row[][] = [];
  #size = 0;

  /** @param compare never 0 for two different rows */
  constructor(compare: (a: Row, b: Row) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#size;
  }

  insert(row: Row): void {
    this.#size += 1;
    const at = Math.min(this.#bucketFor(row), this.#buckets.length - 1);
    const bucket = this.#buckets[at];
    if (bucket === undefined) {
      this.#buckets.push([row]);
      return;
    }
    const position = this.#lowerBound(bucket, row);
    if (position === bucket.length) bucket.push(row);
    else bucket.splice(position, 0, row);
    if (bucket.length > 2 * BUCKET_ROWS) this.#buckets.splice(at + 1, 0, bucket.splice(BUCKET_ROWS));
  }

  /** @returns whether the row was inside */
  remove(row: Row): boolean {
    const at = this.#bucketFor(row);
    const bucket = this.#buckets[at];
    if (bucket === undefined) return false;
    const position = this.#lowerBound(bucket, row);
    if (bucket[position] !== row) return false;
    if (bucket.length === 1) this.#buckets.splice(at, 1);
    else bucket.splice(position, 1);
    this.#size -= 1;
    return true;
  }

  /** All rows, in order or in reverse. */
  *[Symbol.iterator](): Generator<Row, void, void> {
    for (const bucket of this.#buckets) yield* bucket;
  }

  /** All rows, one after the other. Nothing may be inserted or removed meanwhile. */
  *walk(order: "asc" | "desc"): Generator<Row, void, void> {
    const last = this.#buckets.length - 1;
    for (let at = 0; at <= last; at += 1) {
      const bucket = this.#buckets[order === "asc" ? at : last - at] ?? [];
      const end = bucket.length - 1;
      for (let i = 0; i <= end; i += 1) yield bucket[order === "asc" ? i : end - i] as Row;
    }
  }

  toArray(order: "asc" | "desc"): Row[] {
    const rows = this.#buckets.flat();
    return order === "asc" ? rows : rows.toReversed();
  }

  /** A page, without visiting the rows before it. */
  page(order: "asc" | "desc", offset: number, limit: number): Row[] {
    const from = order === "asc" ? offset : Math.max(0, this.#size - offset - limit);
    const to = order === "asc" ? offset + limit : this.#size - offset;
    const rows: Row[] = [];
    let start = 0;
    for (const bucket of this.#buckets) {
      if (start >= to) break;
      const end = start + bucket.length;
      if (end > from) rows.push(...bucket.slice(Math.max(0, from - start), Math.min(bucket.length, to - start)));
      start = end;
    }
    return order === "asc" ? rows : rows.toReversed();
  }

  /** The rows from the first that `isBefore` denies, while `isInside`: a range of the order. */
  *range(isBefore: (row: Row) => boolean, isInside: (row: Row) => boolean): Generator<Row, void, void> {
    let at = partitionPoint(this.#buckets, (bucket) => isBefore(bucket.at(-1) as Row));
    for (let bucket = this.#buckets[at]; bucket !== undefined; bucket = this.#buckets[++at]) {
      for (let i = partitionPoint(bucket, isBefore); i < bucket.length; i += 1) {
        const row = bucket[i] as Row;
        if (!isInside(row)) return;
        yield row;
      }
    }
  }

  /** The first bucket whose last row is not before `row`. */
  #bucketFor(row: Row): number {
    const last = this.#buckets.at(-1);
    // Most rows are newer than all others.
    if (last !== undefined && this.#compare(last.at(-1) as Row, row) < 0) return this.#buckets.length;
    return partitionPoint(this.#buckets, (bucket) => this.#compare(bucket.at(-1) as Row, row) < 0);
  }

  #lowerBound(bucket: readonly Row[], row: Row): number {
    return partitionPoint(bucket, (other) => this.#compare(other, row) < 0);
  }
}

/** Index of the first element that `isBefore` denies, in a list where it holds for a leading part only. */
export function partitionPoint<T>(list: readonly T[], isBefore: (element: T) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(list[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low;
}
