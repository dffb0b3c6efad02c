import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ALL_ROWS } from "../../src/core/auth.js";
import { fakeClock } from "../../src/testing/fake-clock.js";
import { uuid } from "../../src/testing/stores/suite.js";
import { STORES } from "../contract/store-factories.js";
import { queueCommands } from "./run-queue/commands.js";
import { QueueModel } from "./run-queue/model.js";

/** On a server each run opens a database of its own, and FerretDB reads all rows for each answer. */
const RUNS: Readonly<Record<string, number>> = { memory: 300, MongoDB: 25 };

const THREADS = [uuid(1), uuid(2), uuid(3)];

describe("the run queue does what its model does", () => {
  // A file differs from SQLite in memory in nothing that this test can see.
  for (const { name, open } of STORES.filter((store) => store.name !== "SQLite file")) {
    it(`on ${name}`, { timeout: 120_000 }, async () => {
      const checked = fc.assert(
        fc.asyncProperty(queueCommands({ maxCommands: 60 }), async (commands) => {
          const clock = fakeClock();
          const { metadata: store, close } = await open(clock);
          try {
            for (const threadId of THREADS) await store.threads.create({ threadId, metadata: {}, access: ALL_ROWS });
            const model = new QueueModel(clock.now(), THREADS);
            await fc.asyncModelRun(() => ({ model, real: { store, clock } }), commands);
          } finally {
            await close();
          }
        }),
        { numRuns: RUNS[name] ?? 150 },
      );
      await expect(checked).resolves.toBeUndefined();
    });
  }
});
