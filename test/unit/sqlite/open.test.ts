import { mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { HeddleError } from "../../../src/core/errors.js";
import { migrate } from "../../../src/databases/sqlite/migrate.js";
import { assertNodeVersion, openSqlite } from "../../../src/databases/sqlite/open.js";
import { sqlitePath } from "../../../src/databases/sqlite/uri.js";

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "heddle-sqlite-"));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

async function failure(fn: () => unknown): Promise<HeddleError> {
  try {
    await fn();
  } catch (error) {
    return error as HeddleError;
  }
  throw new Error("did not throw");
}

describe("sqlitePath", () => {
  it("takes a path relative to cwd, an absolute one and memory", () => {
    expect(sqlitePath("sqlite:./a b.db", cwd)).toBe(join(cwd, "a b.db"));
    expect(sqlitePath("sqlite:data/x.db", cwd)).toBe(join(cwd, "data", "x.db"));
    expect(sqlitePath(`sqlite:${cwd}/x.db`, "/elsewhere")).toBe(join(cwd, "x.db"));
    expect(sqlitePath(`sqlite://${pathToFileURL(join(cwd, "a b.db")).pathname}`, "/elsewhere")).toBe(
      join(cwd, "a b.db"),
    );
    expect(sqlitePath("sqlite:", cwd)).toBe(":memory:");
    expect(sqlitePath("sqlite::memory:", cwd)).toBe(":memory:");
    expect(sqlitePath("sqlite://:memory:", cwd)).toBe(":memory:");
  });

  it.each(["sqlite://host/x.db", "sqlite:x.db?mode=ro", "sqlite:///%zz.db", "postgres://x"])(
    "refuses %s",
    async (uri) => {
      const error = await failure(() => sqlitePath(uri, cwd));
      expect(error.code).toBe("CONFIG_INVALID");
      expect(error.message).toContain("sqlite:./file.db");
    },
  );

  it("gives one name to one file behind a symbolic link, also before it exists", () => {
    symlinkSync(cwd, `${cwd}-link`);
    try {
      expect(sqlitePath(`sqlite:${cwd}-link/new/x.db`, "/")).toBe(join(cwd, "new", "x.db"));
    } finally {
      unlinkSync(`${cwd}-link`);
    }
  });
});

describe("openSqlite", () => {
  it("makes missing folders and turns on WAL and foreign keys", async () => {
    const opened = await openSqlite("sqlite:./deep/er/x.db", { cwd });
    expect(opened.path).toBe(join(cwd, "deep", "er", "x.db"));
    expect(opened.db.pragma("journal_mode", { simple: true })).toBe("wal");
    expect(opened.db.pragma("foreign_keys", { simple: true })).toBe(1);
    expect(opened.db.pragma("synchronous", { simple: true })).toBe(1);
    expect(opened.db.pragma("busy_timeout", { simple: true })).toBe(5_000);
    opened.close();
    expect(opened.db.open).toBe(false);
  });

  it("shares one connection per path within an application and closes it with the last user", async () => {
    const shared = new Map<string, unknown>();
    const [a, b] = await Promise.all([
      openSqlite("sqlite:./x.db", { cwd, shared }),
      openSqlite(`sqlite:${cwd}/x.db`, { cwd: "/", shared }),
    ]);
    const memory = await openSqlite("sqlite:", { cwd, shared });
    expect(a.db).toBe(b.db);
    expect(memory.db).not.toBe(a.db);
    a.close();
    a.close();
    expect(b.db.open).toBe(true);
    b.close();
    expect(b.db.open).toBe(false);
    const again = await openSqlite("sqlite:./x.db", { cwd, shared });
    expect(again.db.open).toBe(true);
    again.close();
    memory.close();
    expect(shared.size).toBe(0);
  });

  it("keeps applications apart in memory", async () => {
    const a = await openSqlite("sqlite::memory:", { cwd, shared: new Map() });
    const b = await openSqlite("sqlite::memory:", { cwd, shared: new Map() });
    a.db.exec("CREATE TABLE t (x)");
    expect(b.db.prepare("SELECT count(*) FROM sqlite_schema").pluck().get()).toBe(0);
    a.close();
    b.close();
  });

  it("names the file and the reason when it can't be opened", async () => {
    writeFileSync(
      join(cwd, "text.db"),
      "not a database, but long enough to have a header of one hundred bytes ".repeat(4),
    );
    const corrupt = await failure(() => openSqlite("sqlite:./text.db", { cwd }));
    expect(corrupt.code).toBe("STORAGE_UNAVAILABLE");
    expect(corrupt.message).toMatch(/text\.db can't be opened: file is not a database/);
    const folder = await failure(() => openSqlite("sqlite:.", { cwd }));
    expect(folder.code).toBe("STORAGE_UNAVAILABLE");
  });

  it("refuses a Node that better-sqlite3 would crash", async () => {
    const error = await failure(() => assertNodeVersion("20.19.2"));
    expect(error.code).toBe("STORAGE_UNAVAILABLE");
    expect(error.message).toBe("SQLite storage needs Node 22 or newer (better-sqlite3 13); this is Node 20.19.2.");
    assertNodeVersion("22.12.0");
  });
});

describe("migrate", () => {
  it("applies each migration once, per component, and survives reopening", async () => {
    const first = await openSqlite("sqlite:./x.db", { cwd });
    migrate(first.db, "metadata", ["CREATE TABLE a (x)"]);
    migrate(first.db, "items", ["CREATE TABLE b (x); CREATE TABLE c (x)"]);
    migrate(first.db, "metadata", ["CREATE TABLE a (x)"]);
    first.close();
    const second = await openSqlite("sqlite:./x.db", { cwd });
    migrate(second.db, "metadata", ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"]);
    const rows = second.db.prepare("SELECT component, version FROM heddle_migrations ORDER BY 1, 2").raw().all();
    expect(rows).toEqual([
      ["items", 1],
      ["metadata", 1],
      ["metadata", 2],
    ]);
    second.close();
  });

  it("refuses a newer schema", async () => {
    const opened = await openSqlite("sqlite:", { cwd });
    migrate(opened.db, "events", ["CREATE TABLE a (x)", "CREATE TABLE b (x)"]);
    const error = await failure(() => migrate(opened.db, "events", ["CREATE TABLE a (x)"]));
    expect(error.code).toBe("STORAGE_UNAVAILABLE");
    expect(error.message).toMatch(/newer Heddle: its "events" tables have version 2, this one knows 1/);
    opened.close();
  });

  it("leaves the database as it was when one fails", async () => {
    const opened = await openSqlite("sqlite:", { cwd });
    const error = await failure(() => migrate(opened.db, "events", ["CREATE TABLE a (x)", "CREATE TABLE a (x)"]));
    expect(error.code).toBe("STORAGE_UNAVAILABLE");
    expect(opened.db.prepare("SELECT count(*) FROM sqlite_schema").pluck().get()).toBe(0);
    opened.close();
  });
});
