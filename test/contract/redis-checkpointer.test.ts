import { Redis } from "ioredis";
import * as vitest from "vitest";
import { openRedisCheckpointer } from "../../src/checkpointers/redis.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import { testCheckpointer } from "../../src/testing/checkpointer.js";
import { initializerOf } from "./checkpointer-factories.js";

// RedisJSON and RediSearch are in no package that a test could install: a Redis 8 or Redis Stack of the tests' own, emptied
// before each case.
const uri = process.env["REDIS_STACK_URI"];

async function open(): Promise<Checkpointer> {
  const admin = new Redis(uri ?? "");
  await admin.flushdb();
  admin.disconnect();
  return openRedisCheckpointer(uri ?? "", { cwd: "." });
}

if (uri === undefined) {
  console.warn(
    "SKIPPED: the Redis checkpointer's suites need REDIS_STACK_URI, a Redis 8 or Redis Stack that they may empty",
  );
}

// LangChain's suite (@langchain/langgraph-checkpoint-validation 1.1.1) takes vitest's functions from the global scope.
const { describe, it, expect, beforeAll, beforeEach, afterAll, afterEach } = vitest;
Object.assign(globalThis, { describe, it, test: it, expect, beforeAll, beforeEach, afterAll, afterEach });
const { validate, deltaChannelHistoryTests } = await import("@langchain/langgraph-checkpoint-validation");

vitest.describe.skipIf(uri === undefined)("Redis Stack", () => {
  const initializer = initializerOf("heddle redis:", open);
  validate(initializer);
  deltaChannelHistoryTests(initializer);
  testCheckpointer({
    vitest,
    name: "redis:",
    prunes: false,
    async open() {
      const checkpointer = await open();
      const all = [checkpointer];
      return {
        checkpointer,
        async reopen() {
          await all.pop()?.close();
          const again = await openRedisCheckpointer(uri ?? "", { cwd: "." });
          all.push(again);
          return again;
        },
        async close() {
          for (const each of all) await each.close();
        },
      };
    },
  });
});
