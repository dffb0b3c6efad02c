import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vitest from "vitest";
import { createMemoryCheckpointer } from "../../src/checkpointers/memory.js";
import { createCheckpointerRegistry } from "../../src/checkpointers/registry.js";
import { createStoreRegistry } from "../../src/stores/registry.js";
import { openPostgres } from "../../src/databases/postgres/open.js";
import { openSqlite } from "../../src/databases/sqlite/open.js";
import { testCheckpointer } from "../../src/testing/checkpointer.js";
import { createDatabase } from "../support/postgres.js";
import { reopenable } from "./checkpointer-factories.js";

const registry = createCheckpointerRegistry();

testCheckpointer({
  vitest,
  name: "memory:",
  async open() {
    const checkpointer = createMemoryCheckpointer();
    return { checkpointer, close: () => checkpointer.close() };
  },
});

testCheckpointer({
  vitest,
  name: "sqlite: a file beside the metadata store",
  async open() {
    const cwd = await mkdtemp(join(tmpdir(), "heddle-checkpointer-"));
    const context = { cwd, shared: new Map<string, unknown>() };
    const { db, close } = await openSqlite("sqlite:./test.db", context);
    db.exec("CREATE TABLE runs (run_id TEXT PRIMARY KEY, lease_token INTEGER NOT NULL, status TEXT NOT NULL)");
    const files = await reopenable(() => registry.open("sqlite:./test.db", context));
    return {
      ...files,
      async reopen() {
        close();
        return files.reopen();
      },
      async close() {
        await files.close();
        close();
        await rm(cwd, { recursive: true });
      },
      leases: {
        async hold({ runId, leaseToken }) {
          db.prepare("INSERT INTO runs VALUES (?, ?, 'running')").run(runId, leaseToken);
        },
        async lose({ runId }) {
          db.prepare("UPDATE runs SET lease_token = lease_token + 1 WHERE run_id = ?").run(runId);
        },
      },
    };
  },
});

testCheckpointer({
  vitest,
  name: "sqlite: in memory",
  async open() {
    const checkpointer = await registry.open("sqlite::memory:", { cwd: "." });
    return { checkpointer, close: () => checkpointer.close() };
  },
});

testCheckpointer({
  vitest,
  name: "sqlite: not compressed",
  async open() {
    const checkpointer = await registry.open("sqlite::memory:", { cwd: ".", compressCheckpoints: false });
    return { checkpointer, close: () => checkpointer.close() };
  },
});

testCheckpointer({
  vitest,
  name: "postgres: compressed",
  async open() {
    const { uri, drop } = await createDatabase();
    return reopenable(() => registry.open(uri, { cwd: ".", compressCheckpoints: true }), drop);
  },
});

testCheckpointer({
  vitest,
  name: "postgres: a database of its own",
  async open() {
    const { uri, drop } = await createDatabase();
    return reopenable(() => registry.open(uri, { cwd: "." }), drop);
  },
});

testCheckpointer({
  vitest,
  name: "postgresql: beside the run rows",
  async open() {
    const { uri, drop } = await createDatabase();
    const context = { cwd: ".", shared: new Map<string, unknown>() };
    const database = await openPostgres(uri, context);
    const sql = (text: string, values: readonly unknown[] = []) => database.query({ name: "", text }, values);
    const store = await createStoreRegistry().open(uri, context);
    const opened = await reopenable(
      () => registry.open(uri, context),
      async () => {
        await store.items.close();
        await store.metadata.close();
        await database.close();
        await drop();
      },
    );
    return {
      ...opened,
      leases: {
        async hold({ runId, leaseToken }, threadId) {
          await sql(
            `INSERT INTO heddle_runs (run_id, thread_id, assistant_id, graph_id, created_at, updated_at, due_at, status,
               multitask_strategy, temporary, attempt, lease_token, metadata, kwargs)
             VALUES ($1, $2, 'a', 'g', 0, 0, 0, 'running', 'enqueue', false, 1, $3, '{}', '{}')`,
            [runId, threadId, leaseToken],
          );
        },
        async lose({ runId }) {
          await sql("UPDATE heddle_runs SET lease_token = lease_token + 1 WHERE run_id = $1", [runId]);
        },
      },
    };
  },
});
