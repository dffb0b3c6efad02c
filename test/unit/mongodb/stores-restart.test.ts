import { describe, expect, it } from "vitest";
import { openMongo } from "../../../src/databases/mongodb/open.js";
import { createMongoMetadataStore } from "../../../src/stores/mongodb/index.js";
import { ALL, CLAIM, Rows } from "../../../src/testing/stores/suite.js";
import { hasMongo, startOwnMongo } from "../../support/mongodb.js";

const RUNS = 30;

describe.skipIf(!hasMongo())("the metadata store while MongoDB is away", () => {
  it("ends every run once, although the server is killed and comes back", { timeout: 90_000 }, async ({ skip }) => {
    // Only FerretDB can be stopped by tests.
    const server = await startOwnMongo();
    if (server === null) {
      const why = "tests that stop MongoDB need FerretDB, which Go builds";
      if (process.env["CI"] !== undefined) throw new Error(why);
      console.warn(`SKIPPED: ${why}`);
      skip(why);
      return;
    }
    const database = await openMongo(`${server.uri}heddle_restart`, { cwd: "/" });
    const store = await createMongoMetadataStore(database);
    try {
      const rows = new Rows(store);
      const threadIds = [await rows.thread(), await rows.thread(), await rows.thread()];
      let ended = 0;
      const work = threadIds.map(async (threadId) => {
        for (let n = 0; n < RUNS / threadIds.length; n += 1) {
          const { runId } = await rows.run(threadId);
          const [claimed] = await store.runs.claim({ ...CLAIM, limit: 1, threadId });
          if (claimed === undefined) throw new Error("the run is not due");
          expect(claimed).toMatchObject({ run: { runId, attempt: 1 }, lease: { leaseToken: 1 } });
          expect(await rows.finish(claimed.lease)).toBe(true);
          ended += 1;
          if (ended === 5 || ended === 15) {
            await server.stop("SIGKILL");
            await server.start();
          }
        }
      });
      await Promise.all(work);
      const runs = await store.runs.list({ limit: 100, offset: 0, access: ALL });
      expect(runs.map(({ status, attempt }) => [status, attempt])).toEqual(
        Array.from({ length: RUNS }, () => ["success", 1]),
      );
      expect(await store.threads.count({ status: "idle", access: ALL })).toBe(threadIds.length);
    } finally {
      await store.close();
      await server.close();
    }
  });
});
