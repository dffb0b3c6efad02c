import Database from "better-sqlite3";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { seedStorage } from "../maintenance/seeded-storage.js";
import { createDatabase } from "../support/postgres.js";
import { createProject, graphFile, heddle } from "./heddle.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-storage-commands-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A command in the folder, without a `langgraph.json`. */
const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) => heddle(args, { cwd: dir, env });

function tables(file: string): readonly unknown[] {
  const database = new Database(join(dir, file), { readonly: true });
  try {
    return database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all();
  } finally {
    database.close();
  }
}

describe("heddle migrate", () => {
  it("prints versions before and after; --dry-run changes nothing and exits with 2 while something is pending", () => {
    const pending = run(["migrate", "--dry-run"]);
    expect(pending.status).toBe(2);
    expect(pending.stdout).toMatch(/^sqlite:\.heddle\/heddle\.db\n {2}metadata +0 → \d/);
    expect(pending.stdout).toMatch(/checkpoints +0 → 2\n/);
    expect(pending.stdout).toMatch(/\d+ migrations pending, nothing was changed\n$/);
    expect(existsSync(join(dir, ".heddle"))).toBe(false);
    const applied = run(["migrate"]);
    expect(applied).toMatchObject({ status: 0, stderr: "" });
    expect(applied.stdout).toMatch(/applied \d+ migrations\n$/);
    expect(existsSync(join(dir, ".heddle/heddle.db"))).toBe(true);
    const done = run(["migrate", "--dry-run"]);
    expect(done.status).toBe(0);
    expect(done.stdout).toMatch(/metadata +\d +up to date/);
    expect(done.stdout).toMatch(/nothing is pending\n$/);
  });

  it("goes by the environment and by langgraph.json, like serve", async () => {
    const database = await createDatabase();
    const project = createProject(
      { graphs: { agent: "./agent.ts:graph" }, env: { DATABASE_URI: "sqlite:./named.db" } },
      { "agent.ts": graphFile("x") },
    );
    try {
      const { status, stdout } = run(["migrate"], { DATABASE_URI: database.uri });
      expect(status).toBe(0);
      expect(stdout).toContain("postgres://postgres:***@");
      expect(run(["migrate", "--dry-run"], { DATABASE_URI: database.uri }).status).toBe(0);
      expect(heddle(["migrate"], { cwd: project.dir }).stdout).toMatch(/^sqlite:\.\/named\.db\n/);
      expect(existsSync(join(project.dir, "named.db"))).toBe(true);
    } finally {
      project.remove();
      await database.drop();
    }
  });

  it("has a table for checkpoints where they are alone", () => {
    const { stdout } = run(["migrate", "--storage", "sqlite:a.db", "--checkpointer", "sqlite:b.db"]);
    expect(stdout).toMatch(/^sqlite:a\.db\n(?: {2}(?!checkpoints).*\n)*sqlite:b\.db\n {2}checkpoints +0 → 2\n/);
    const again = run(["migrate", "--storage", "sqlite:a.db"], { LANGGRAPH_CHECKPOINTER: "sqlite:b.db" });
    expect(again.stdout).toMatch(/sqlite:b\.db\n {2}checkpoints +2 +up to date\n/);
    const doctor = run(["doctor", "--storage", "sqlite:a.db"], { LANGGRAPH_CHECKPOINTER: "sqlite:b.db" });
    expect(doctor.stdout).toMatch(/\ncheckpointer {2}sqlite:b\.db\n {2}ok/);
  });

  it("compresses and decompresses checkpoints, one way at a time", async () => {
    await seedStorage(`sqlite:${join(dir, "d.db")}`, 3);
    const storage = ["--storage", "sqlite:d.db"];
    const both = run(["migrate", ...storage, "--compress", "--decompress"]);
    expect([both.status, both.stderr]).toEqual([1, expect.stringContaining("--decompress exclude one another")]);
    const compressed = run(["migrate", ...storage, "--compress"]);
    expect([compressed.status, compressed.stderr]).toEqual([0, ""]);
    expect(run(["migrate", ...storage, "--compress"]).stdout).toMatch(/all checkpoints are compressed\n$/);
    expect(run(["migrate", ...storage, "--decompress"]).status).toBe(0);
    expect(run(["migrate", ...storage, "--decompress"]).stdout).toMatch(/all checkpoints are stock\n$/);
    expect(run(["migrate", "--storage", "memory:", "--decompress"]).stderr).toContain("never compressed");
  });

  it("is 1 and a sentence when the database is none", () => {
    const { status, stderr, stdout } = run(["migrate", "--storage", "oracle://me:s3cr3t@h/db"]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/oracle:.*Known schemes: sqlite:, postgres:/);
    expect(stdout + stderr).not.toContain("s3cr3t");
  });
});

describe("heddle copy", () => {
  it("copies, compares, and refuses a second time", { timeout: 60_000 }, async () => {
    await seedStorage(`sqlite:${join(dir, "a.db")}`, 3);
    const database = await createDatabase();
    try {
      const { status, stdout, stderr } = run(["copy", "--from", "sqlite:a.db", "--to", database.uri]);
      expect(stderr).toBe("");
      expect(status).toBe(0);
      expect(stdout).toContain("Stop all servers");
      expect(stdout).toContain("Event logs are not copied");
      expect(stdout).toMatch(/copying checkpoints +3 of 3\n/);
      expect(stdout).toMatch(/equal +threads +3 rows +([0-9a-f]{12}) \1\n/);
      expect(stdout).toMatch(/The copy is complete: all checksums agree; \d+ checkpoints/);
      expect(stdout).toContain("postgres://postgres:***@");
      const again = run(["copy", "--from", "sqlite:a.db", "--to", database.uri]);
      expect(again.status).toBe(1);
      expect(again.stderr).toMatch(/is not empty \(it has assistants\)/);
    } finally {
      await database.drop();
    }
  });

  it("takes checkpoints from where they are, and puts them where they are to be", { timeout: 60_000 }, async () => {
    await seedStorage(`sqlite:${join(dir, "a.db")}`, 3);
    const away = run(["copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db", "--to-checkpointer", "sqlite:c.db"]);
    expect(away).toMatchObject({ status: 0, stderr: "" });
    expect(away.stdout).toContain("to    sqlite:b.db with checkpoints in sqlite:c.db\n");
    expect(tables("b.db")).not.toContain("heddle_checkpoints");
    expect(tables("c.db")).toContain("heddle_checkpoints");
    expect(tables("c.db")).not.toContain("threads");
    const args = ["copy", "--from", "sqlite:b.db", "--to", "sqlite:d.db"];
    const back = run([...args, "--from-checkpointer", "sqlite:c.db"]);
    expect(back).toMatchObject({ status: 0, stderr: "" });
    const sums = (stdout: string): unknown =>
      /equal +checkpoints +3 threads +[0-9a-f]{12} [0-9a-f]{12}\n/.exec(stdout)?.[0];
    expect(sums(back.stdout)).toBeDefined();
    expect(sums(back.stdout)).toBe(sums(away.stdout));
    const count = (stdout: string): number => Number(/(\d+) checkpoints were copied/.exec(stdout)?.[1]);
    expect(count(away.stdout)).toBeGreaterThan(3);
    expect(count(back.stdout)).toBe(count(away.stdout));
  });

  it("needs both ends", () => {
    expect(run(["copy", "--from", "sqlite:a.db"])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("required option '--to <uri>'") as string,
    });
  });
});

describe("heddle doctor", () => {
  it("is content with a fresh folder", () => {
    const { status, stdout } = run(["doctor"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^storage {2}sqlite:\.heddle\/heddle\.db\n {2}ok +file +.*does not exist yet/);
    expect(stdout).toMatch(/0 problems, 0 warnings\n$/);
    expect(existsSync(join(dir, ".heddle"))).toBe(false);
  });

  it("warns when a database's clock is not this machine's", async () => {
    const database = await createDatabase();
    const late = "data:text/javascript,const real=Date.now;Date.now=()=>real()+600000";
    try {
      const { status, stdout } = heddle(["doctor", "--storage", database.uri], {
        cwd: dir,
        nodeArgs: ["--import", late],
      });
      expect(stdout).toMatch(
        /\n {2}warning +clock +its clock is (?:599|600)\d{3} ms behind \(± \d+ ms\)\n +→ Leases go by its clock/,
      );
      // Not a reason not to start.
      expect(status).toBe(0);
    } finally {
      await database.drop();
    }
  });

  it("asks each database for as many connections as a server would open", async () => {
    const database = await createDatabase();
    try {
      const args = ["doctor", "--storage", "sqlite:a.db", "--checkpointer", database.uri];
      const { stdout } = run(args, { LANGGRAPH_POSTGRES_POOL_MAX_SIZE: "3" });
      expect(stdout).toMatch(/\ncheckpointer {2}postgres:[^]*\n {2}ok +pool +up to 3 connections, 3 per process/);
    } finally {
      await database.drop();
    }
  });

  it("exits with 1 and a way out when a part is away, and goes on with the others", () => {
    const args = ["doctor", "--storage", "sqlite:a.db", "--redis", "redis://me:s3cr3t@127.0.0.1:1"];
    const { status, stdout, stderr } = run(args);
    expect(status).toBe(1);
    expect(stdout).toMatch(/ok +file/);
    expect(stdout).toMatch(
      /redis {2}redis:\/\/me:\*\*\*@127\.0\.0\.1:1\n {2}problem +connection .*127\.0\.0\.1:1.*\n +→ Check/,
    );
    expect(stdout).toMatch(/1 problems, 0 warnings\n$/);
    expect(stdout + stderr).not.toContain("s3cr3t");
  });
});
