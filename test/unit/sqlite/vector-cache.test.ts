import Database from "better-sqlite3";
import { afterEach, expect, it } from "vitest";
import { createSession } from "../../../src/stores/sqlite/session.js";
import { createVectorCache } from "../../../src/stores/sqlite/vector-cache.js";
import { startTimeSlice } from "../../../src/stores/time-slice.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const DIMS = 2;
/** Of a full cache. */
const MAX = 2_000;
const QUERY = Float64Array.of(1, 0);

const opened: Database.Database[] = [];
afterEach(() => {
  for (const db of opened.splice(0)) db.close();
});

/** A cache for {@link MAX} vectors over the tables that it reads, and how many rows its searches have read. */
function setUp() {
  const db = new Database(":memory:");
  opened.push(db);
  db.exec(`CREATE TABLE items (id INTEGER PRIMARY KEY, namespace TEXT, embedding TEXT);
    CREATE TABLE item_vectors (id INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER, embedding BLOB);
    INSERT INTO items VALUES (1, 'n', 'f')`);
  const session = createSession(db, fakeClock());
  let read = 0;
  const counted = new Set<string>();
  const counting: typeof session = {
    ...session,
    sql<Row>(text: string) {
      const statement = session.sql<Row>(text);
      if (counted.has(text)) return statement;
      counted.add(text);
      const all = statement.all.bind(statement);
      statement.all = (...values) => {
        const rows = all(...values);
        read += rows.length;
        return rows;
      };
      return statement;
    },
  };
  const cache = createVectorCache(counting, DIMS, MAX * DIMS * 4);
  const insert = db.prepare("INSERT INTO item_vectors (item, embedding) VALUES (1, ?)");
  const vector = Buffer.from(Float32Array.of(1, 0).buffer);
  return {
    add: db.transaction((count: number) => {
      for (let n = 0; n < count; n += 1) insert.run(vector);
    }),
    removeOldest: (count: number) =>
      db.prepare("DELETE FROM item_vectors WHERE id IN (SELECT id FROM item_vectors ORDER BY id LIMIT ?)").run(count),
    async search() {
      read = 0;
      const { ids, scores } = await cache.score(QUERY, () => true, startTimeSlice());
      expect(scores.every((score) => score === 1)).toBe(true);
      return { ids, read };
    },
  };
}

it("reads what is beyond a full cache with each search, and nothing of what it has", async () => {
  const { add, search } = setUp();
  add(MAX + 700);
  expect((await search()).ids).toHaveLength(MAX + 700);
  expect(await search()).toMatchObject({ read: 700 });
  add(1);
  expect((await search()).read).toBe(701);
});

it("fills a full cache anew when a quarter of it is dead", async () => {
  const { add, removeOldest, search } = setUp();
  add(MAX + 1);
  await search();
  // A fifth: reading all would cost more than it gains.
  removeOldest(MAX / 5);
  add(MAX / 5 + 600);
  await search();
  expect((await search()).read).toBe(1 + MAX / 5 + 600);
  removeOldest(MAX / 2);
  add(600);
  await search();
  const live = MAX + 1 - MAX / 5 + MAX / 5 + 600 - MAX / 2 + 600;
  const { ids, read } = await search();
  expect(new Set(ids).size).toBe(live);
  // By blocks, of which the last one does not fit whole.
  expect(read).toBeGreaterThanOrEqual(live);
  expect(read).toBeLessThan(live + 512);
  expect((await search()).read).toBe(live - MAX);
});
