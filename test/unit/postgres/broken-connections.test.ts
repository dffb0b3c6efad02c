import { afterEach, describe, expect, it } from "vitest";
import type { DriverContext } from "../../../src/core/driver.js";
import type { Patience } from "../../../src/databases/postgres/attempts.js";
import { openPostgres, type PostgresDatabase } from "../../../src/databases/postgres/open.js";
import { createDatabase } from "../../support/postgres.js";
import { startLossyProxy } from "./lossy-proxy.js";

const QUICK: Patience = { waitMs: 10_000, queryTimeoutMs: 300 };
const ONE = { name: "one", text: "SELECT 1 AS one", idempotent: true } as const;
const KILL_OTHERS = {
  name: "",
  text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = $1`,
};

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function open(
  options: Partial<DriverContext> & { readonly patience?: Patience; readonly uri?: string } = {},
): Promise<{ readonly uri: string; readonly database: PostgresDatabase }> {
  const { patience, uri: given, ...context } = options;
  let uri = given;
  if (uri === undefined) {
    const made = await createDatabase();
    closers.push(() => made.drop());
    ({ uri } = made);
  }
  const database = await openPostgres(uri, { cwd: "/", ...context }, patience);
  closers.push(() => database.close());
  return { uri, database };
}

/** A database behind a proxy. */
async function openBehindProxy(options: Parameters<typeof open>[0] = {}) {
  const made = await createDatabase();
  closers.push(() => made.drop());
  const proxy = await startLossyProxy(made.uri);
  closers.push(() => proxy.close());
  return { proxy, ...(await open({ ...options, uri: proxy.uri })) };
}

async function until(holds: () => boolean): Promise<void> {
  for (let looks = 0; !holds(); looks += 1) {
    if (looks > 1_000) throw new Error("waited for nothing");
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
}

async function untilFound(find: () => Promise<readonly unknown[]>): Promise<void> {
  for (let looks = 0; (await find()).length === 0; looks += 1) if (looks > 1_000) throw new Error("found nothing");
}

describe("connections that break", () => {
  it("idle ones are told to the log, and to nobody else", async () => {
    const warnings: string[] = [];
    const logger = { info: () => {}, warn: (_: object, message: string) => void warnings.push(message) };
    const { uri, database } = await open({ logger });
    await Promise.all(Array.from({ length: 5 }, () => database.query(ONE)));
    const idle = database.pool.idleCount;
    const other = await openPostgres(uri, { cwd: "/", maxConnections: 1 });
    // Its own connection is the one that asks.
    await other.query(KILL_OTHERS, ["heddle"]);
    await until(() => database.pool.totalCount === 0);
    expect(warnings).toHaveLength(idle);
    expect(await database.query(ONE)).toEqual([{ one: 1 }]);
    await other.close();
  });

  it("in the middle of a statement: it is repeated if that is safe, and otherwise the caller is told", async () => {
    const { uri, database } = await open();
    const other = await openPostgres(uri, { cwd: "/", maxConnections: 1 });
    const sleeping = (idempotent: boolean) =>
      database.query({ name: "", text: "SELECT pg_sleep($1), $2::text AS again", idempotent }, (again) => [
        again ? 0 : 30,
        String(again),
      ]);
    const running = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
    const killSleeper = async (): Promise<void> => {
      await untilFound(() => other.query({ name: "", text: running }));
      await other.query(KILL_OTHERS, ["heddle"]);
    };
    const [rows] = await Promise.all([sleeping(true), killSleeper()]);
    expect(rows[0]?.["again"]).toBe("true");
    const [refused] = await Promise.allSettled([sleeping(false), killSleeper()]);
    expect(refused).toMatchObject({ status: "rejected", reason: { code: "STORAGE_UNAVAILABLE" } });
    await other.close();
  });

  it("half-open: noticed by a question without an answer; the other old ones are not asked then", async () => {
    const { proxy, database } = await openBehindProxy({ patience: QUICK });
    await Promise.all(Array.from({ length: 8 }, () => database.query({ name: "", text: "SELECT pg_sleep(0.05)" })));
    expect(database.pool.idleCount).toBe(8);
    proxy.halfOpen();
    const started = performance.now();
    expect(await database.query(ONE)).toEqual([{ one: 1 }]);
    // One question without an answer, not eight.
    expect(performance.now() - started).toBeLessThan(3 * QUICK.queryTimeoutMs);
    expect(database.pool.totalCount).toBe(1);
  });

  it("a transaction whose BEGIN finds a dead one is begun again; what was begun is not", async () => {
    const { proxy, database } = await openBehindProxy({ maxConnections: 1, patience: QUICK });
    proxy.halfOpen();
    let begun = 0;
    const work = async (breaks: boolean): Promise<unknown> =>
      database.transaction(async (client) => {
        begun += 1;
        if (breaks) proxy.halfOpen();
        return client.query(ONE);
      });
    expect(await work(false)).toEqual([{ one: 1 }]);
    await expect(work(true)).rejects.toMatchObject({ code: "STORAGE_UNAVAILABLE" });
    expect(begun).toBe(2);
    expect(await database.query(ONE)).toEqual([{ one: 1 }]);
  });

  it("a server that stays away: one sentence, after the patience", async () => {
    const { proxy, database } = await openBehindProxy({ patience: { ...QUICK, waitMs: 200 } });
    await proxy.close();
    await expect(database.query(ONE)).rejects.toMatchObject({ code: "STORAGE_UNAVAILABLE" });
    await expect(database.query(ONE)).rejects.toThrow(/^The Postgres database 127.0.0.1:\d+\/\w+ does not answer: /);
  });

  it("what cannot be opened is said at once", async () => {
    const { uri } = await open();
    const wrong = new URL(uri);
    wrong.password = "wrong";
    wrong.username = "nobody";
    await expect(openPostgres(wrong.href, { cwd: "/" })).rejects.toMatchObject({ code: "STORAGE_UNAVAILABLE" });
    wrong.pathname = "/no-such-database";
    await expect(openPostgres(wrong.href, { cwd: "/" })).rejects.toThrow("refuses");
    await expect(openPostgres("postgres:5432", { cwd: "/" })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(openPostgres("postgres://host:port/db", { cwd: "/" })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
    });
  });

  it("a closed database says so, also to whoever waits", async () => {
    const { proxy, database } = await openBehindProxy({ patience: QUICK });
    proxy.halfOpen();
    const waiting = database.query(ONE).catch(String);
    await proxy.close();
    await until(() => database.pool.totalCount === 0);
    await database.close();
    expect(await waiting).toContain("was closed");
    await expect(database.query(ONE)).rejects.toMatchObject({ code: "STORAGE_UNAVAILABLE" });
  });

  it("there are never more than were allowed", async () => {
    const { database } = await open({ maxConnections: 3 });
    let most = 0;
    database.pool.on("connect", () => {
      most = Math.max(most, database.pool.totalCount);
    });
    const answers = await Promise.all(Array.from({ length: 60 }, () => database.query(ONE)));
    expect(answers).toHaveLength(60);
    expect(most).toBe(3);
  });

  it("deadlocks are tried again", async () => {
    const { database } = await open();
    await database.query({
      name: "",
      text: "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)",
    });
    let tries = 0;
    const cross = (first: number, second: number) =>
      database.transaction(async (client) => {
        tries += 1;
        await client.query({ name: "", text: `UPDATE t SET n = n + 1 WHERE id = ${first}` });
        // Both hold their first row before either asks for its second.
        while (tries < 2) await new Promise((resolve) => void setTimeout(resolve, 5));
        await client.query({ name: "", text: `UPDATE t SET n = n + 1 WHERE id = ${second}` });
      });
    await Promise.all([cross(1, 2), cross(2, 1)]);
    expect(tries).toBeGreaterThan(2);
    expect(await database.query({ name: "", text: "SELECT sum(n)::int AS sum FROM t" })).toEqual([{ sum: 4 }]);
  });

  it("a statement whose table has changed is prepared anew", async () => {
    const { database } = await open({ maxConnections: 1 });
    await database.query({ name: "", text: "CREATE TABLE t (a int); INSERT INTO t VALUES (1)" });
    const all = { name: "all", text: "SELECT * FROM t" };
    expect(await database.query(all)).toEqual([{ a: 1 }]);
    await database.query({ name: "", text: "ALTER TABLE t ADD COLUMN b int DEFAULT 2" });
    expect(await database.query(all)).toEqual([{ a: 1, b: 2 }]);
  });
});
