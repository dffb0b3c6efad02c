/** Vectors in memory, at most. */
const MAX_BYTES = 256 * 1024 * 1024;
/** What a typed array and its place in a map take beside its numbers. */
const OVERHEAD_BYTES = 200;

/**
 * Vectors that a database has, by an id that is never used for another one: kept in memory so that an exact search reads each
 * only once. When it is full, what a search did not ask for goes; what still has no place is read every time.
 */
export interface VectorMemory<Id> {
  get(id: Id): Float32Array | undefined;
  add(id: Id, vector: Float32Array): void;
  /** Make room, if it is full. @param wanted what a search asks for */
  makeRoom(wanted: () => ReadonlySet<Id>): void;
}

export function createVectorMemory<Id>(maxBytes = MAX_BYTES): VectorMemory<Id> {
  const vectors = new Map<Id, Float32Array>();
  let bytes = 0;
  const sizeOf = (vector: Float32Array): number => vector.byteLength + OVERHEAD_BYTES;
  return {
    get: (id) => vectors.get(id),
    add(id, vector) {
      if (bytes + sizeOf(vector) > maxBytes || vectors.has(id)) return;
      vectors.set(id, vector);
      bytes += sizeOf(vector);
    },
    makeRoom(wanted) {
      // Nearly: the next vector may be larger than the last.
      if (bytes < 0.9 * maxBytes) return;
      const kept = wanted();
      for (const [id, vector] of vectors) {
        if (kept.has(id)) continue;
        vectors.delete(id);
        bytes -= sizeOf(vector);
      }
    },
  };
}
