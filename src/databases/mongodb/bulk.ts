/**
 * Updates in one command. FerretDB 1.24 on SQLite holds a connection for each until the command ends, and has a hundred: with
 * more it waits for itself for ever. To MongoDB a few commands more make no difference.
 */
const MAX_UPDATES = 25;

/** Operations in portions that one `bulkWrite` may hold. */
export function inBulks<T>(operations: readonly T[]): readonly (readonly T[])[] {
  const bulks: T[][] = [];
  for (let start = 0; start < operations.length; start += MAX_UPDATES) {
    bulks.push(operations.slice(start, start + MAX_UPDATES));
  }
  return bulks;
}
