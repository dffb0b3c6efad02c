import type { TimeSlice } from "../time-slice.js";
import { similarity } from "../../core/item-vectors.js";
import { guarded, type Session } from "./session.js";

/** Vectors in memory, at most: reading 100,000 of 384 dimensions from the file takes several times as long as comparing them. */
const MAX_CACHE_BYTES = 256 * 1024 * 1024;

/** Vectors in one block of the matrix, and in one statement. */
const BLOCK = 512;

/** What of a vector's item decides whether a search compares it. As the vector's row, it never changes: who changes it makes a new row. */
export interface VectorPlace {
  readonly namespace: string;
  readonly fingerprint: string | null;
}

export interface VectorColumns extends VectorPlace {
  readonly id: number;
  readonly embedding: Buffer;
}

const READ = `SELECT v.id, i.namespace, i.embedding AS fingerprint, v.embedding FROM item_vectors v JOIN items i ON i.id = v.item
  WHERE v.id > ? AND length(v.embedding) = ? ORDER BY v.id LIMIT ${BLOCK}`;

const LIVE = "SELECT count(*) AS live FROM item_vectors WHERE id <= ? AND length(embedding) = ?";

/**
 * Scores all vectors of the database. A vector's row never changes and its id is never used again (a put makes new rows), so the
 * cache reads on from the last id that it has, whoever wrote; rows that are gone are found out by who looks up the best ones.
 * What is beyond `maxBytes` is read every time; a full cache of which a quarter is dead is filled anew.
 */
export function createVectorCache(session: Session, dims: number, maxBytes = MAX_CACHE_BYTES) {
  const maxVectors = Math.floor(maxBytes / (dims * 4));
  let cached = emptyCache();
  /** Vectors when it was last filled from nothing: twice as many may be half dead ones. */
  let filled = 0;
  /** The last vector when a full cache was last looked through for dead ones. */
  let countedTo = 0;

  /** @param last id of the newest vector */
  const dropDead = (cache: ReturnType<typeof emptyCache>, last: number): void => {
    if (cache !== cached || last - countedTo < BLOCK) return;
    countedTo = last;
    const count = session.sql<{ readonly live: number }>(LIVE);
    const live = guarded(() => count.get(cache.ids.at(-1) ?? 0, dims * 4))?.live ?? 0;
    if (cache.ids.length - live < maxVectors / 4) return;
    cached = emptyCache();
    filled = 0;
  };

  const read = (after: number): readonly VectorColumns[] =>
    guarded(() => session.sql<VectorColumns>(READ).all(after, dims * 4));

  return {
    /** Ids of vectors and their scores, of those whose place `isWanted`. */
    async score(
      query: Float64Array,
      isWanted: (place: VectorPlace) => boolean,
      slice: TimeSlice,
    ): Promise<{ readonly ids: readonly number[]; readonly scores: readonly number[] }> {
      if (cached.ids.length > 2 * filled + BLOCK) {
        cached = emptyCache();
        filled = 0;
      }
      // Searches at the same time work on one cache, or on the one before.
      const cache = cached;
      const ids: number[] = [];
      const scores: number[] = [];
      const known = new Map<number, boolean>();
      let at = 0;
      const scoreCached = async (): Promise<void> => {
        for (; at < cache.ids.length; at += 1) {
          if (at % 64 === 0 && slice.isOver()) await slice.next();
          const place = cache.places[at] as number;
          let wanted = known.get(place);
          if (wanted === undefined) known.set(place, (wanted = isWanted(cache.placesById[place] as VectorPlace)));
          if (!wanted) continue;
          ids.push(cache.ids[at] as number);
          scores.push(similarity(query, cache.blocks[Math.floor(at / BLOCK)] as Float32Array, (at % BLOCK) * dims));
        }
      };
      const isFirst = cache.ids.length === 0;
      await scoreCached();
      for (;;) {
        const rows = cache.ids.length >= maxVectors ? [] : read(cache.ids.at(-1) ?? 0);
        if (rows.length === 0) break;
        for (const row of rows) if (cache.ids.length < maxVectors) add(cache, row);
        await scoreCached();
      }
      if (isFirst && cache === cached) filled = cache.ids.length;
      if (cache.ids.length < maxVectors) return { ids, scores };
      let last = cache.ids.at(-1) ?? 0;
      for (let rows = read(last); rows.length > 0; rows = read(last)) {
        for (const row of rows) {
          last = row.id;
          if (!isWanted(row)) continue;
          ids.push(row.id);
          scores.push(similarity(query, floatsOf(row.embedding)));
        }
        if (slice.isOver()) await slice.next();
      }
      dropDead(cache, last);
      return { ids, scores };
    },
  };

  function emptyCache() {
    return {
      ids: [] as number[],
      /** Of each vector, the index of its place. */
      places: [] as number[],
      placesById: [] as VectorPlace[],
      placeOf: new Map<string, number>(),
      blocks: [] as Float32Array[],
    };
  }

  function add(cache: ReturnType<typeof emptyCache>, row: VectorColumns): void {
    const { id, namespace, fingerprint, embedding } = row;
    const name = JSON.stringify([fingerprint, namespace]);
    let place = cache.placeOf.get(name);
    if (place === undefined) {
      place = cache.placesById.push({ namespace, fingerprint }) - 1;
      cache.placeOf.set(name, place);
    }
    const at = cache.ids.length;
    if (at % BLOCK === 0) cache.blocks.push(new Float32Array(BLOCK * dims));
    cache.blocks.at(-1)?.set(floatsOf(embedding), (at % BLOCK) * dims);
    cache.ids.push(id);
    cache.places.push(place);
  }
}

/** A blob as floats: a view where it is aligned, as on every machine that Node runs on they are little-endian. */
export function floatsOf(bytes: Buffer): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
