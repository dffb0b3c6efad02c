import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import * as vitest from "vitest";
import { openMongoCheckpointer } from "../../src/checkpointers/mongodb.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";

// LangChain's suite (@langchain/langgraph-checkpoint-validation 1.1.1) takes vitest's functions from the global scope.
const { describe, expect, beforeAll, beforeEach, afterAll, afterEach } = vitest;
/** A checkpoint is one document, whole: whoever puts a value has it kept. The suite skips it for the stock saver, too. */
const SKIPPED = "should only store channel_values that have changed (based on newVersions)";
const it = new Proxy(vitest.it, {
  apply: (target, self, args) => Reflect.apply(args[0] === SKIPPED ? target.skip : target, self, args) as unknown,
});
Object.assign(globalThis, { describe, it, test: it, expect, beforeAll, beforeEach, afterAll, afterEach });
const { validate, deltaChannelHistoryTests } = await import("@langchain/langgraph-checkpoint-validation");

const closers = new Map<BaseCheckpointSaver, () => Promise<void>>();
const initializer = {
  checkpointerName: "heddle mongodb:",
  async createCheckpointer() {
    // The suite expects an empty saver each time.
    const { uri, drop } = await createMongoDatabase();
    const checkpointer = await openMongoCheckpointer(uri, { cwd: "." });
    const saver = checkpointer.saver as BaseCheckpointSaver;
    closers.set(saver, async () => {
      await checkpointer.close();
      await drop();
    });
    return saver;
  },
  async destroyCheckpointer(saver: BaseCheckpointSaver) {
    await closers.get(saver)?.();
    closers.delete(saver);
  },
};

describe.skipIf(!hasMongo())("MongoDB", () => {
  validate(initializer);
  deltaChannelHistoryTests(initializer);
});
