import * as vitest from "vitest";
import type { StoreClock } from "../../src/core/clock.js";
import { openPostgres } from "../../src/databases/postgres/open.js";
import { createPostgresItemStore } from "../../src/stores/postgres/index.js";
import { ITEM_DIMS } from "../../src/testing/stores/item-store-vectors.js";
import { testItemStore } from "../../src/testing/stores/item-store.js";
import { startPgvector } from "../support/pgvector.js";

const { afterAll, beforeAll, expect, it } = vitest;
vitest.vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: Awaited<ReturnType<typeof startPgvector>>;
beforeAll(async () => {
  server = await startPgvector();
  await server.db.exec("CREATE EXTENSION vector");
});
afterAll(() => server.close());

async function open(clock: StoreClock, exactItems: number, dims = ITEM_DIMS) {
  const { drop } = await server.useSchema();
  const database = await openPostgres(server.uri, { cwd: "/", clock, maxConnections: 1 });
  const store = await createPostgresItemStore(database, { clock, vectors: { dims, exactItems } });
  return {
    store,
    async close() {
      await store.close();
      await drop();
    },
  };
}

for (const [name, exactItems] of [
  ["Postgres with pgvector, compared one by one", 10_000],
  ["Postgres with pgvector, by index", -1],
] as const) {
  testItemStore({ name, vitest, open: (clock) => open(clock, exactItems) });
}

const ALL = { kind: "all" } as const;

it("makes an index, which searches use, and finds what one by one finds", async () => {
  const { store, close } = await open({ now: () => 1_000 }, -1, 16);
  try {
    let seed = 7;
    const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647 - 0.5;
    const vectors = Array.from({ length: 1_200 }, () => Float32Array.from({ length: 16 }, random));
    for (const [n, values] of vectors.entries()) {
      const namespace = n % 100 === 0 ? ["rare"] : ["common"];
      await store.put({ namespace, key: `k${n}`, value: { n }, access: ALL, vectors: [{ path: "text", values }] });
    }
    const cosine = (a: Float32Array, b: Float32Array): number => {
      const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
      return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    };
    let hits = 0;
    for (let round = 0; round < 20; round += 1) {
      const nearest = Float32Array.from({ length: 16 }, random);
      const expected = [...vectors.keys()]
        .sort((a, b) => cosine(vectors[b] as Float32Array, nearest) - cosine(vectors[a] as Float32Array, nearest))
        .map((n) => `k${n}`);
      const search = { namespacePrefix: [], limit: 10, offset: 0, access: ALL, nearest };
      const found = (await store.search(search)).map(({ key }) => key);
      hits += found.filter((key) => expected.slice(0, 10).includes(key)).length;
      // The twelve of a rare namespace are far from one another: no neighbourhood has them all.
      const rare = await store.search({ ...search, namespacePrefix: ["rare"], limit: 12 });
      expect(rare.map(({ key }) => key)).toEqual(expected.filter((key) => Number(key.slice(1)) % 100 === 0));
    }
    expect(hits).toBeGreaterThanOrEqual(198);
    const { rows } = await server.db.query<{ "QUERY PLAN": string }>(
      `EXPLAIN SELECT id FROM heddle_item_vectors v WHERE v.dims = 16
       ORDER BY v.embedding::vector(16) <#> '[${Array(16).fill(1).join(",")}]'::vector(16) LIMIT 10`,
    );
    expect(rows.map((row) => row["QUERY PLAN"]).join("\n")).toContain("heddle_item_vectors_hnsw_16");
  } finally {
    await close();
  }
});

it("makes the extension where the server has it, and an index over vectors that are there already", async () => {
  await server.db.exec("DROP EXTENSION vector CASCADE");
  const clock = { now: () => 1_000 };
  const { drop } = await server.useSchema();
  const context = { cwd: "/", clock, maxConnections: 1 };
  const plain = await createPostgresItemStore(await openPostgres(server.uri, context), { clock });
  await plain.put({ namespace: ["n"], key: "before", value: {}, access: ALL });
  await plain.close();
  const store = await createPostgresItemStore(await openPostgres(server.uri, context), { clock, vectors: { dims: 2 } });
  try {
    const { rows } = await server.db.query("SELECT 1 FROM pg_indexes WHERE indexname = 'heddle_item_vectors_hnsw_2'");
    expect(rows).toHaveLength(1);
    const values = Float32Array.of(1, 1);
    await store.put({ namespace: ["n"], key: "after", value: {}, access: ALL, vectors: [{ path: "text", values }] });
    const found = await store.search({ namespacePrefix: [], limit: 9, offset: 0, access: ALL, nearest: values });
    expect(found.map(({ key }) => key)).toEqual(["after"]);
  } finally {
    await store.close();
    await drop();
  }
});
