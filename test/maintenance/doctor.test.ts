import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { diagnose } from "../../src/maintenance/diagnose.js";
import type { Finding } from "../../src/maintenance/findings.js";
import { upgradeSchema } from "../../src/maintenance/schema-versions.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { createDatabase } from "../support/postgres.js";
import { hasRedis, openTestRedis } from "../support/redis.js";
import { startTransactionPooler } from "../support/transaction-pooler.js";
import { temporaryFolder } from "./seeded-storage.js";

const folder = temporaryFolder();

async function look(uri: string, context: object = {}): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for await (const finding of diagnose({ uri, context: { cwd: folder, ...context } })) findings.push(finding);
  return findings;
}

const verdicts = (findings: readonly Finding[]): Record<string, string> =>
  Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict]));
const find = (findings: readonly Finding[], name: string): Finding | undefined =>
  findings.find(({ check }) => check === name);

describe("SQLite", () => {
  it("is looked into, and stays as it is", async () => {
    expect(verdicts(await look("sqlite:none.db"))).toEqual({ file: "ok" });
    expect(readdirSync(folder)).toEqual([]);
    await upgradeSchema({ uri: "sqlite:made.db", context: { cwd: folder }, parts: "all" });
    const findings = await look("sqlite:made.db");
    const all = ["file", "version", "journal", "tables", "writing", "latency"];
    expect(verdicts(findings)).toEqual(Object.fromEntries(all.map((name) => [name, "ok"])));
    expect(find(findings, "latency")?.detail).toMatch(/^p50 \d+\.\d ms, p99 \d+\.\d ms over 20 pings$/);
  });

  it("that is old, newer, locked or none of ours gets a way out", async () => {
    const path = join(folder, "old.db");
    const db = new Sqlite(path);
    const stale = await look("sqlite:old.db");
    expect(find(stale, "tables")).toMatchObject({
      verdict: "warning",
      detail: expect.stringMatching(/metadata 0 → \d/) as string,
      wayOut: expect.stringContaining("heddle migrate") as string,
    });
    await upgradeSchema({ uri: "sqlite:old.db", context: { cwd: folder }, parts: "all" });
    db.exec("INSERT INTO heddle_migrations VALUES ('items', 99, 0)");
    expect(find(await look("sqlite:old.db"), "tables")).toMatchObject({
      verdict: "problem",
      detail: expect.stringContaining("items 99") as string,
    });
    db.exec("UPDATE heddle_migrations SET component = 'crystal balls' WHERE version = 99");
    expect(find(await look("sqlite:old.db"), "tables")?.detail).toContain("crystal balls");
    db.close();
    writeFileSync(join(folder, "text.db"), "no database at all, but long enough to be looked at".repeat(20));
    const [, connection] = await look("sqlite:text.db");
    expect(connection).toMatchObject({ check: "connection", verdict: "problem" });
  });

  it.skipIf(process.getuid?.() === 0)("that can't be written is a problem", async () => {
    mkdirSync(join(folder, "locked"));
    chmodSync(join(folder, "locked"), 0o500);
    expect(verdicts(await look("sqlite:locked/a.db"))).toEqual({ file: "problem" });
  });
});

describe("Postgres", () => {
  let uri: string;
  let drop: () => Promise<void>;
  beforeAll(async () => {
    ({ uri, drop } = await createDatabase());
  });
  afterAll(() => drop());

  it("is asked for everything that a server needs of it", async () => {
    const before = await look(uri);
    expect(verdicts(before)).toEqual({
      version: "ok",
      tables: "warning",
      clock: "ok",
      latency: "ok",
      pool: "ok",
      notifications: "ok",
      "session locks": "ok",
    });
    await upgradeSchema({ uri, context: { cwd: folder }, parts: "all" });
    const after = await look(uri, { maxConnections: 7 });
    expect(find(after, "tables")).toMatchObject({
      verdict: "ok",
      detail: expect.stringMatching(/metadata \d+, .*checkpoints \d+, up to date/) as string,
    });
    expect(find(after, "pool")?.detail).toMatch(
      /^up to 7 connections, one that listens and one of the lease thread, 9 per process; .*\d+ of 297 left$/,
    );
    const findings: Finding[] = [];
    const context = { cwd: folder, maxConnections: 7 };
    for await (const finding of diagnose({ uri, context, parts: "checkpoints" })) findings.push(finding);
    expect(find(findings, "pool")?.detail).toMatch(/^up to 7 connections, 7 per process; /);
    expect(find(after, "clock")?.detail).toMatch(/^its clock is \d+ ms (behind|ahead)/);
  });

  it("behind PgBouncer without a direct address is a problem", async () => {
    const pooler = await startTransactionPooler(uri);
    const pooled = new URL(uri);
    pooled.port = String(pooler.port);
    try {
      const findings = await look(uri, { directUri: pooled.href });
      for (const name of ["notifications", "session locks"]) {
        expect(find(findings, name)).toMatchObject({
          verdict: "problem",
          detail: expect.stringContaining("PgBouncer") as string,
          wayOut: expect.stringContaining("POSTGRES_DIRECT_URI") as string,
        });
      }
    } finally {
      await pooler.close();
    }
  });

  it("whose user may not create tables is a problem while there are none", async () => {
    const { uri: empty, name, drop: dropEmpty } = await createDatabase();
    const admin = new pg.Client({ connectionString: empty });
    await admin.connect();
    const user = `${name}_reader`;
    try {
      await admin.query(`CREATE ROLE ${user} LOGIN PASSWORD 'x'; REVOKE CREATE ON SCHEMA public FROM PUBLIC`);
      const limited = new URL(empty);
      [limited.username, limited.password] = [user, "x"];
      const findings = await look(limited.href);
      expect(find(findings, "rights")).toMatchObject({ verdict: "problem" });
      await admin.query(`ALTER ROLE ${user} SET default_transaction_read_only = on`);
      expect(find(await look(limited.href), "writing")).toMatchObject({ verdict: "problem" });
    } finally {
      await admin.end();
      await dropEmpty();
      const server = new pg.Client({ connectionString: process.env["POSTGRES_TEST_URI"] });
      await server.connect();
      await server.query(`DROP ROLE IF EXISTS ${user}`);
      await server.end();
    }
  });

  it("with a wrong password says so without it", async () => {
    const wrong = new URL(uri);
    wrong.password = "s3cr3t-and-wrong";
    const [finding, ...rest] = await look(wrong.href);
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ check: "connection", verdict: "problem" });
    expect(JSON.stringify(finding)).not.toContain("s3cr3t");
  });
});

describe.runIf(hasMongo())("MongoDB", () => {
  it("is asked for everything that a server needs of it", async () => {
    const { uri, drop } = await createMongoDatabase();
    try {
      const context = { cwd: folder };
      expect(find(await look(uri), "tables")).toMatchObject({ verdict: "warning" });
      await upgradeSchema({ uri, context, parts: "all" });
      const findings = await look(uri);
      expect(findings.map(({ check }) => check)).toEqual(["version", "tables", "clock", "latency", "pool"]);
      expect(verdicts(findings)).toMatchObject({ version: "ok", tables: "ok", clock: "ok", pool: "ok" });
    } finally {
      await drop();
    }
  });
});

describe.runIf(hasRedis())("Redis", () => {
  it("is told from one that throws jobs away", async () => {
    const redis = await openTestRedis();
    try {
      await redis.admin.config("SET", "maxmemory-policy", "noeviction");
      const good = await look(redis.uniqueUri());
      const all = ["version", "memory", "persistence", "modules", "clock", "latency", "notifications"];
      expect(good.map(({ check }) => check)).toEqual(all);
      expect(good.filter(({ verdict }) => verdict === "problem")).toEqual([]);
      await redis.admin.config("SET", "maxmemory-policy", "allkeys-lru");
      expect(find(await look(redis.uniqueUri()), "memory")).toMatchObject({
        verdict: "problem",
        detail: expect.stringContaining("allkeys-lru") as string,
        wayOut: expect.stringContaining("noeviction") as string,
      });
    } finally {
      await redis.admin.config("SET", "maxmemory-policy", "noeviction");
      await redis.close();
    }
  });
});

it("an unknown scheme names the known ones, memory forgets", async () => {
  expect(await look("oracle://h/db")).toMatchObject([{ check: "connection", verdict: "problem" }]);
  expect(await look("memory:")).toMatchObject([{ check: "durability", verdict: "warning" }]);
});
