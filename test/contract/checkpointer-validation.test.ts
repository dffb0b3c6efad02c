import * as vitest from "vitest";
import { afterAll } from "vitest";
import { createMemoryCheckpointer } from "../../src/checkpointers/memory.js";
import { openSqliteCheckpointer } from "../../src/checkpointers/sqlite.js";
import { openPostgresCheckpointer } from "../../src/checkpointers/postgres.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import { createDatabase } from "../support/postgres.js";
import { initializerOf } from "./checkpointer-factories.js";

// LangChain's suite (@langchain/langgraph-checkpoint-validation 1.1.1) takes vitest's functions from the global scope.
const { describe, it, expect, beforeAll, beforeEach, afterEach } = vitest;
Object.assign(globalThis, { describe, it, test: it, expect, beforeAll, beforeEach, afterAll, afterEach });
const { validate, deltaChannelHistoryTests } = await import("@langchain/langgraph-checkpoint-validation");

const drivers: readonly { readonly name: string; open(): Promise<Checkpointer> }[] = [
  { name: "heddle memory:", open: async () => createMemoryCheckpointer() },
  { name: "heddle sqlite:", open: () => openSqliteCheckpointer("sqlite::memory:", { cwd: "." }) },
  { name: "heddle postgres:", open: () => openDisposable(false) },
  { name: "heddle postgres: compressed", open: () => openDisposable(true) },
];

/** The suite expects an empty saver each time. */
async function openDisposable(compressCheckpoints: boolean): Promise<Checkpointer> {
  const { uri, drop } = await createDatabase(await template());
  const checkpointer = await openPostgresCheckpointer(uri, { cwd: ".", compressCheckpoints });
  return {
    ...checkpointer,
    async close() {
      await checkpointer.close();
      await drop();
    },
  };
}

let prepared: ReturnType<typeof createDatabase> | undefined;
afterAll(async () => (await prepared)?.drop());

/** A database with the tables. */
async function template(): Promise<string> {
  prepared ??= createDatabase().then(async (database) => {
    await (await openPostgresCheckpointer(database.uri, { cwd: "." })).close();
    return database;
  });
  return (await prepared).name;
}

for (const { name, open } of drivers) {
  const initializer = initializerOf(name, open);
  validate(initializer);
  deltaChannelHistoryTests(initializer);
}
