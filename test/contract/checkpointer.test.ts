import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vitest from "vitest";
import { createMemoryCheckpointer } from "../../src/checkpointers/memory.js";
import { createCheckpointerRegistry } from "../../src/checkpointers/registry.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import { openSqlite } from "../../src/databases/sqlite/open.js";
import { testCheckpointer } from "../../src/testing/checkpointer.js";

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
    const opened: Checkpointer[] = [];
    const open = async (): Promise<Checkpointer> => {
      const checkpointer = await registry.open("sqlite:./test.db", context);
      opened.push(checkpointer);
      return checkpointer;
    };
    return {
      checkpointer: await open(),
      async reopen() {
        await opened.at(-1)?.close();
        close();
        return open();
      },
      async close() {
        for (const checkpointer of opened) await checkpointer.close();
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
