import * as vitest from "vitest";
import { openMongoCheckpointer } from "../../src/checkpointers/mongodb.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { initializerOf } from "./checkpointer-factories.js";

// LangChain's suite (@langchain/langgraph-checkpoint-validation 1.1.1) takes vitest's functions from the global scope.
const { describe, expect, beforeAll, beforeEach, afterAll, afterEach } = vitest;
/** A checkpoint is one document, whole: whoever puts a value has it kept. The suite skips it for the stock saver, too. */
const SKIPPED = "should only store channel_values that have changed (based on newVersions)";
const it = new Proxy(vitest.it, {
  apply: (target, self, args) => Reflect.apply(args[0] === SKIPPED ? target.skip : target, self, args) as unknown,
});
Object.assign(globalThis, { describe, it, test: it, expect, beforeAll, beforeEach, afterAll, afterEach });
const { validate, deltaChannelHistoryTests } = await import("@langchain/langgraph-checkpoint-validation");

const initializer = initializerOf("heddle mongodb:", async () => {
  // The suite expects an empty saver each time.
  const { uri, drop } = await createMongoDatabase();
  const checkpointer = await openMongoCheckpointer(uri, { cwd: "." });
  return {
    ...checkpointer,
    async close() {
      await checkpointer.close();
      await drop();
    },
  };
});

describe.skipIf(!hasMongo())("MongoDB", () => {
  validate(initializer);
  deltaChannelHistoryTests(initializer);
});
