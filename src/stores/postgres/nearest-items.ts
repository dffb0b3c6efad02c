import type { FoundItem } from "../../core/item-store.js";
import { similarity } from "../../core/item-vectors.js";
import { ranked } from "../../core/ranking.js";
import { startTimeSlice } from "../time-slice.js";
import { createVectorMemory } from "../vector-memory.js";
import { ITEM_COLUMNS, type ItemColumns, itemOf, searchSql } from "./item-rows.js";
import type { Session } from "./session.js";

/** Vectors that one statement fetches: some megabytes. */
const FETCH = 1_000;

/** A search as it comes to SQL. */
export type NearestQuery = Parameters<typeof searchSql>[0] & { readonly limit: number; readonly offset: number };

/** @param query at unit length */
export type NearestItems = (search: NearestQuery, query: Float64Array) => Promise<readonly FoundItem[]>;

/**
 * Exact semantic search without pgvector: Postgres says which vectors the conditions leave, this process compares them. It keeps
 * vectors in memory (Postgres has no arithmetic of arrays: functions of its own take ten times as long as sending them). Of equal
 * scores the later vector comes first.
 */
export function createNearestItems(session: Session, dims: number): NearestItems {
  const memory = createVectorMemory<number>();

  const fetchVectors = async (ids: readonly number[], onVector: (id: number, vector: Float32Array) => void) => {
    for (let from = 0; from < ids.length; from += FETCH) {
      const rows = await session.query<{ id: number; embedding: Buffer }>(
        {
          name: "heddle_item_vectors",
          idempotent: true,
          text: "SELECT id, array_send(embedding) AS embedding FROM heddle_item_vectors WHERE id = ANY ($1::bigint[])",
        },
        [ids.slice(from, from + FETCH)],
      );
      for (const { id, embedding } of rows) onVector(id, arrayOf(embedding));
    }
  };

  return async (search, query) => {
    const { limit, offset } = search;
    if (limit <= 0) return [];
    const parameters: unknown[] = [dims];
    const conditions = searchSql(search, parameters).join(" AND ");
    const [candidates] = await session.query<{ ids: string | null; positions: string | null }>(
      {
        name: "",
        idempotent: true,
        text: `SELECT json_agg(v.id)::text AS ids, json_agg(i.position)::text AS positions
          FROM heddle_item_vectors v JOIN heddle_items i USING (place) WHERE v.dims = $1 AND ${conditions}`,
      },
      parameters,
    );
    const ids = JSON.parse(candidates?.ids ?? "[]") as readonly number[];
    const positions = JSON.parse(candidates?.positions ?? "[]") as readonly number[];

    const slice = startTimeSlice();
    memory.makeRoom(() => new Set(ids));
    // Those that are gone by now score below all others, and are not found again.
    const scores = new Float64Array(ids.length).fill(-2);
    const missing = new Map<number, number>();
    for (const [at, id] of ids.entries()) {
      if (at % 64 === 0 && slice.isOver()) await slice.next();
      const vector = memory.get(id);
      if (vector === undefined) missing.set(id, at);
      else scores[at] = similarity(query, vector);
    }
    await fetchVectors([...missing.keys()], (id, vector) => {
      memory.add(id, vector);
      scores[missing.get(id) as number] = similarity(query, vector);
    });

    const best: number[] = [];
    const seen = new Set<number>();
    for (const at of ranked(scores, (a, b) => (ids[a] as number) > (ids[b] as number))) {
      if (best.length >= offset + limit) break;
      if (slice.isOver()) await slice.next();
      const position = positions[at] as number;
      if (seen.has(position)) continue;
      seen.add(position);
      best.push(at);
    }
    const scoreOf = new Map(best.slice(offset).map((at) => [ids[at] as number, scores[at] as number]));
    return readPage(session, search, scoreOf);
  };
}

/** The items of vectors, if the conditions still hold, in the order of the map. */
async function readPage(
  session: Session,
  search: NearestQuery,
  scoreOf: ReadonlyMap<number, number>,
): Promise<readonly FoundItem[]> {
  if (scoreOf.size === 0) return [];
  const parameters: unknown[] = [[...scoreOf.keys()]];
  const conditions = searchSql(search, parameters).join(" AND ");
  const rows = await session.query<ItemColumns & { readonly vector_id: number }>(
    {
      name: "",
      idempotent: true,
      text: `SELECT v.id AS vector_id, i.* FROM (SELECT id, place FROM heddle_item_vectors WHERE id = ANY ($1::bigint[])) v
        JOIN (SELECT place, ${ITEM_COLUMNS} FROM heddle_items i WHERE ${conditions}) i USING (place)`,
    },
    parameters,
  );
  const byId = new Map(rows.map((row) => [row.vector_id, row]));
  return [...scoreOf].flatMap(([id, score]) => {
    const row = byId.get(id);
    return row === undefined ? [] : [{ ...itemOf(row), score }];
  });
}

/** What `array_send` makes of a `real[]` of one dimension: 20 bytes, then each element after its size, big-endian. */
function arrayOf(bytes: Buffer): Float32Array {
  const values = new Float32Array(Math.max(0, (bytes.length - 20) / 8));
  for (let i = 0; i < values.length; i += 1) values[i] = bytes.readFloatBE(24 + i * 8);
  return values;
}
