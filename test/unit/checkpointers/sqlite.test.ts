import Database from "better-sqlite3";
import { build } from "esbuild";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { createCheckpointerRegistry } from "../../../src/checkpointers/registry.js";
import { openSqliteCheckpointer } from "../../../src/checkpointers/sqlite.js";
import { LEASE_KEY } from "../../../src/core/checkpointer.js";
import { openSqlite } from "../../../src/databases/sqlite/open.js";
import { chainOf, listOf, threadConfig } from "../../../src/testing/checkpointer/fixture.js";

let cwd: string;
beforeAll(async () => {
  // Below the project, so that a bundle in it finds the packages.
  cwd = await mkdtemp(join(resolve("node_modules"), ".heddle-test-"));
});
afterAll(() => rm(cwd, { recursive: true }));

describe("the SQLite checkpointer", () => {
  it("is set up and written by several processes that start together", async () => {
    const outfile = join(cwd, "writer.mjs");
    const contents = `
      import { openSqliteCheckpointer } from "./src/checkpointers/sqlite.ts";
      import { chainOf } from "./src/testing/checkpointer/fixture.ts";
      const checkpointer = await openSqliteCheckpointer("sqlite:./together.db", { cwd: process.argv[2] });
      const chain = chainOf(checkpointer.saver, "shared", process.argv[3]);
      for (let i = 0; i < 20; i += 1) await chain.put({ n: i });
      await checkpointer.close();`;
    const stdin = { contents, resolveDir: resolve("."), loader: "ts" as const };
    await build({
      stdin,
      outfile,
      bundle: true,
      packages: "external",
      platform: "node",
      format: "esm",
      logLevel: "error",
    });
    const writers = Array.from({ length: 4 }, (_, i) => {
      const child = spawn(process.execPath, [outfile, cwd, `ns-${i}`], { stdio: ["ignore", "ignore", "pipe"] });
      let errors = "";
      child.stderr.on("data", (chunk) => (errors += String(chunk)));
      return once(child, "exit").then(([code]) => ({ code: code as unknown, errors }));
    });
    expect(await Promise.all(writers)).toEqual(writers.map(() => ({ code: 0, errors: "" })));
    const checkpointer = await openSqliteCheckpointer("sqlite:./together.db", { cwd });
    expect(await listOf(checkpointer.saver as BaseCheckpointSaver, threadConfig("shared"))).toHaveLength(80);
    await checkpointer.close();
  }, 60_000);

  it("keeps an unchanged value once, and leaves nothing behind when thread or runs are deleted", async () => {
    const context = { cwd, shared: new Map<string, unknown>() };
    const checkpointer = await openSqliteCheckpointer("sqlite:./rows.db", context);
    const { db, close } = await openSqlite("sqlite:./rows.db", context);
    const rows = () =>
      ["checkpoints", "checkpoint_blobs", "checkpoint_writes", "checkpoint_lineages"].map((table) =>
        db.prepare(`SELECT count(*) FROM heddle_${table}`).pluck().get(),
      );
    const saver = checkpointer.saver as BaseCheckpointSaver;
    const chain = chainOf(saver, "t");
    await chain.put({ big: "x".repeat(100_000), n: 0 }, { metadata: { run_id: "run-1" } });
    for (let n = 1; n < 10; n += 1) await chain.put({ n }, { metadata: { run_id: "run-2" } });
    await saver.putWrites(chain.config(), [["n", 1]], "task");
    expect(rows()).toEqual([10, 11, 1, 1]);
    await checkpointer.deleteRun({ threadId: "t", runId: "run-1" });
    expect(rows()).toEqual([9, 10, 1, 1]);
    await checkpointer.deleteRun({ threadId: "t", runId: "run-2" });
    expect(rows()).toEqual([0, 0, 0, 1]);
    await chain.put({ n: 11 });
    await checkpointer.deleteThread("t");
    expect(rows()).toEqual([0, 0, 0, 0]);
    close();
    await checkpointer.close();
  });

  it("does not take an old metadata store's table for the run rows of today", async () => {
    const old = new Database(join(cwd, "old.db"));
    old.exec("CREATE TABLE runs (run_id TEXT PRIMARY KEY, lease_token INTEGER NOT NULL, status TEXT NOT NULL)");
    old.close();
    const checkpointer = await openSqliteCheckpointer("sqlite:./old.db", { cwd, shared: new Map() });
    const chain = chainOf(checkpointer.saver as BaseCheckpointSaver, "t");
    await chain.put({ n: 1 }, { configurable: { [LEASE_KEY]: { runId: "elsewhere", leaseToken: 1 } } });
    expect(chain.ids).toHaveLength(1);
    await checkpointer.close();
  });

  it("names who speaks when the database fails", async () => {
    const checkpointer = await openSqliteCheckpointer("sqlite:./gone.db", { cwd });
    await checkpointer.close();
    await expect(chainOf(checkpointer.saver as BaseCheckpointSaver, "t").put({ n: 1 })).rejects.toMatchObject({
      code: "STORAGE_UNAVAILABLE",
      message: expect.stringMatching(/^SQLite checkpointer: /) as string,
    });
  });

  it("forgets everything only when it is in memory", async () => {
    const registry = createCheckpointerRegistry();
    for (const [uri, durable] of [
      ["sqlite::memory:", false],
      ["sqlite:./d.db", true],
      ["memory:", false],
    ] as const) {
      // prettier-ignore
      const checkpointer = await registry.open(uri, { cwd });
      expect([uri, checkpointer.durable]).toEqual([uri, durable]);
      await checkpointer.close();
    }
    await expect(registry.open("memory:?x=1", { cwd: tmpdir() })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(registry.open("mystery:", { cwd })).rejects.toThrow(/Known schemes: memory:, .*sqlite:/);
  });
});
