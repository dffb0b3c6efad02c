/** Rows asked for at once. */
const BATCH = 200;

/** A list in parts of what a store is asked for at once. */
export function batches<T>(all: readonly T[]): readonly (readonly T[])[] {
  const count = Math.ceil(all.length / BATCH);
  return Array.from({ length: count }, (_, index) => all.slice(index * BATCH, (index + 1) * BATCH));
}
