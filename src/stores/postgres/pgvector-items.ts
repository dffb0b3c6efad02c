import type { FoundItem } from "../../core/item-store.js";
import type { Logger } from "../../core/logger.js";
import type { PostgresDatabase, SqlClient } from "../../databases/postgres/open.js";
import type { Pgvector } from "../../databases/postgres/pgvector.js";
import { ITEM_COLUMNS, type ItemColumns, itemOf, searchSql } from "./item-rows.js";
import type { NearestItems, NearestQuery } from "./nearest-items.js";
import type { Session } from "./session.js";

/** Up to this many items that pass the conditions are compared one by one: right to the last, and some 20 ms. */
const EXACT_ITEMS = 10_000;
/** Vectors that the index walks at once. More find more of the true neighbours (pgvector's default: 40). */
const EF_SEARCH = 200;
/** Further down than this an index is no help. */
const MAX_DEPTH = 1_000;
/** What an HNSW index takes of 32-bit floats. */
const MAX_INDEXED_DIMS = 2_000;
/** Up to this many vectors the index is made before the store opens. */
const FEW_VECTORS = 2_000;
const INDEX_TIMEOUT_MS = 3_600_000;

/**
 * Semantic search by pgvector. Exact where the conditions leave few items (a namespace, a filter, an access filter), so that the
 * best of them are never missed; by an HNSW index where they leave many, going on until enough pass, and exact after all where
 * the index finds fewer than were asked for. Vectors have unit length, so their inner product is the cosine.
 */
export async function createPgvectorItems(deps: {
  readonly database: PostgresDatabase;
  readonly session: Session;
  readonly pgvector: Pgvector;
  readonly dims: number;
  /** Default 10,000. */
  readonly exactItems?: number | undefined;
  readonly logger?: Pick<Logger, "info" | "warn"> | undefined;
}): Promise<NearestItems> {
  const { database, session, pgvector, dims, exactItems = EXACT_ITEMS, logger } = deps;
  const vectorSql = (expression: string): string => `${expression}::${pgvector.schema}.vector(${dims})`;
  const distanceSql = (parameter: string): string =>
    `${vectorSql("v.embedding")} OPERATOR(${pgvector.schema}.<#>) ${vectorSql(parameter)}`;
  let isIndexed = false;
  if (pgvector.scansOn && dims <= MAX_INDEXED_DIMS) {
    const indexed = makeIndex(database, dims, vectorSql("embedding"), pgvector.schema).then(
      () => void (isIndexed = true),
      (error: unknown) =>
        logger?.warn({ err: error }, "The index of items' vectors could not be made: they are compared one by one"),
    );
    if (await hasFewVectors(database)) await indexed;
  }

  const exact = async (search: NearestQuery, query: string): Promise<readonly FoundItem[]> => {
    const parameters: unknown[] = [query, dims];
    const conditions = searchSql(search, parameters).join(" AND ");
    const page = `LIMIT $${parameters.push(search.limit)} OFFSET $${parameters.push(search.offset)}`;
    const text = `WITH best AS (
        SELECT i.place, max(-(${distanceSql("$1")})) AS score FROM heddle_items i JOIN heddle_item_vectors v USING (place)
        WHERE v.dims = $2 AND ${conditions} GROUP BY i.place
      ), page AS (
        SELECT best.* FROM best JOIN heddle_items i USING (place) ORDER BY score DESC, i.updated_at DESC, i.position DESC ${page}
      ) SELECT ${ITEM_COLUMNS}, score FROM page JOIN heddle_items i USING (place)
      ORDER BY score DESC, i.updated_at DESC, i.position DESC`;
    const rows = await session.query<ScoredColumns>({ name: "", idempotent: true, text }, parameters);
    return rows.map(foundOf);
  };

  const hasFewItems = async (search: NearestQuery): Promise<boolean> => {
    const parameters: unknown[] = [];
    const conditions = searchSql(search, parameters).join(" AND ");
    const text = `SELECT count(*) AS count FROM (SELECT 1 FROM heddle_items i WHERE ${conditions} LIMIT ${exactItems + 1}) AS few`;
    const [row] = await session.query<{ count: number }>({ name: "", idempotent: true, text }, parameters);
    return (row?.count ?? 0) <= exactItems;
  };

  /** @returns `null` when the index gives fewer than were asked for */
  const indexed = async (search: NearestQuery, query: string): Promise<readonly FoundItem[] | null> => {
    const wanted = search.offset + search.limit;
    return database.transaction(async (client) => {
      await client.query({
        name: "heddle_hnsw_settings",
        text: `SELECT set_config('hnsw.ef_search', '${EF_SEARCH}', true), set_config('hnsw.iterative_scan', 'strict_order', true)`,
      });
      // An item may have several vectors among the best.
      for (let count = wanted + 20; count <= 4 * MAX_DEPTH; count *= 2) {
        const rows = await readNearest(client, search, query, count);
        const best = new Map<string, ScoredColumns>();
        for (const row of rows) if (!best.has(row.place)) best.set(row.place, row);
        const sorted = [...best.values()].sort(bestFirst);
        const [last, cut] = [sorted[wanted - 1], rows.at(-1)];
        // All of the last score are there, so that the order is that of one by one, and of the next page.
        if (last !== undefined && cut !== undefined && cut.score < last.score) {
          return sorted.slice(search.offset, wanted).map(foundOf);
        }
        if (rows.length < count) return null;
      }
      return null;
    });
  };

  const readNearest = (client: SqlClient, search: NearestQuery, query: string, count: number) => {
    const parameters: unknown[] = [query];
    const conditions = searchSql(search, parameters).join(" AND ");
    return client.query<ScoredColumns>(
      {
        name: "",
        text: `SELECT ${ITEM_COLUMNS}, encode(place, 'hex') AS place, position, -(distance) AS score FROM (
            SELECT i.*, ${distanceSql("$1")} AS distance FROM heddle_item_vectors v JOIN heddle_items i USING (place)
            WHERE v.dims = ${dims} AND ${conditions} ORDER BY ${distanceSql("$1")} LIMIT ${count}
          ) AS nearest`,
      },
      parameters,
    );
  };

  return async (search, vector) => {
    if (search.limit <= 0) return [];
    const query = `[${vector.join(",")}]`;
    if (!isIndexed || search.offset + search.limit > MAX_DEPTH || (await hasFewItems(search))) {
      return exact(search, query);
    }
    return (await indexed(search, query)) ?? exact(search, query);
  };
}

type ScoredColumns = ItemColumns & { readonly place: string; readonly position: number; readonly score: number };

function foundOf(row: ScoredColumns): FoundItem {
  return { ...itemOf(row), score: Math.max(-1, Math.min(1, row.score)) };
}

function bestFirst(a: ScoredColumns, b: ScoredColumns): number {
  return b.score - a.score || b.updated_at - a.updated_at || b.position - a.position;
}

async function hasFewVectors(database: PostgresDatabase): Promise<boolean> {
  const [row] = await database.query<{ count: number }>({
    name: "",
    idempotent: true,
    text: `SELECT count(*) AS count FROM (SELECT 1 FROM heddle_item_vectors LIMIT ${FEW_VECTORS + 1}) AS few`,
  });
  return (row?.count ?? 0) <= FEW_VECTORS;
}

/** Without stopping those who write. What a process that died left unfinished is made anew. */
async function makeIndex(database: PostgresDatabase, dims: number, vector: string, schema: string): Promise<void> {
  const name = `heddle_item_vectors_hnsw_${dims}`;
  const run = (text: string) => database.query({ name: "", idempotent: true, text, timeoutMs: INDEX_TIMEOUT_MS });
  const [found] = await database.query<{ valid: boolean; building: boolean }>({
    name: "",
    idempotent: true,
    text: `SELECT i.indisvalid AS valid,
        EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) AS building
      FROM pg_index i WHERE i.indexrelid = to_regclass('${name}')`,
  });
  if (found?.valid === true) return;
  // Another process makes it: this one compares one by one until it is opened again.
  if (found?.building === true) throw new Error("another process is making the index");
  if (found !== undefined) await run(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
  await run(`CREATE INDEX CONCURRENTLY IF NOT EXISTS ${name} ON heddle_item_vectors
    USING hnsw ((${vector}) ${schema}.vector_ip_ops) WHERE dims = ${dims}`);
}
