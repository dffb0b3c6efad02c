import { expect, it } from "vitest";
import { toJsonText } from "../../../src/core/json.js";
import type { RunLease } from "../../../src/core/run.js";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { createPostgresMetadataStore } from "../../../src/stores/postgres/index.js";
import { ALL, newRun, Rows } from "../../../src/testing/stores/suite.js";
import { startPostgres } from "../../support/postgres.js";

const THREADS = 12;
const RESTARTS = 3;
/** Calls between two restarts, so that each one finds work under way. */
const CALLS_PER_RESTART = 400;

it(
  "a restart of the database costs latency: every call resolves, nothing is lost or done twice",
  {
    timeout: 120_000,
  },
  async () => {
    const server = await startPostgres();
    const database = await openPostgres(server.uri, { cwd: "/" });
    let lostConnections = 0;
    database.pool.on("remove", () => void (lostConnections += 1));
    const store = await createPostgresMetadataStore(database);
    const rows = new Rows(store);
    try {
      const threadIds = await Promise.all(Array.from({ length: THREADS }, () => rows.thread()));
      const created: string[] = [];
      const ended: string[] = [];
      let calls = 0;
      let stopped = false;
      const call = async <T>(result: Promise<T>): Promise<T> => {
        const value = await result;
        calls += 1;
        return value;
      };
      const finish = async (lease: RunLease): Promise<void> => {
        const outcome = { kind: "ended", status: "success" } as const;
        const threadPatch = { values: toJsonText({ run: lease.runId }) };
        const { accepted } = await call(store.runs.finish({ lease, outcome, threadPatch, hasNext: false }));
        expect(accepted).toBe(true);
        ended.push(lease.runId);
      };

      const creator = async (threadId: string): Promise<void> => {
        while (!stopped) {
          const runId = rows.id();
          const draft = newRun(0, threadId, { runId });
          const claim = { workerId: "creator", leaseMs: 600_000 };
          const outcome = await call(store.runs.create({ draft, claim, access: ALL }));
          if (outcome.kind !== "created") throw new Error(outcome.kind);
          created.push(runId);
          if (outcome.lease !== null) await finish(outcome.lease);
          expect(await call(store.runs.get({ runId, access: ALL }))).toMatchObject({ runId });
        }
      };
      const claimer = async (n: number): Promise<void> => {
        while (!stopped || ended.length < created.length) {
          const claimed = await call(store.runs.claim({ workerId: `worker-${n}`, leaseMs: 600_000, limit: 4 }));
          const leases = claimed.map(({ lease }) => lease);
          const beat = await call(store.runs.heartbeat({ leases, leaseMs: 600_000 }));
          expect(beat.lost).toEqual([]);
          for (const lease of leases) await finish(lease);
        }
      };
      // Two creators for each thread, so that runs queue as well.
      const work = Promise.all([
        ...[...threadIds, ...threadIds].map(creator),
        ...Array.from({ length: 4 }, (_, n) => claimer(n)),
      ]);
      const madeCalls = async (target: number): Promise<void> => {
        while (calls < target) await new Promise((resolve) => void setTimeout(resolve, 5));
      };
      const restarting = async (): Promise<void> => {
        for (const restart of Array.from({ length: RESTARTS }, (_, n) => n + 1)) {
          await madeCalls(restart * CALLS_PER_RESTART);
          await server.stop();
          await server.start();
        }
        await madeCalls(calls + CALLS_PER_RESTART);
      };
      await Promise.race([work, restarting()]);
      stopped = true;
      await work;

      expect(lostConnections).toBeGreaterThanOrEqual(RESTARTS);
      expect(new Set(ended).size).toBe(ended.length);
      expect([...ended].sort()).toEqual([...created].sort());
      const stored = await store.runs.list({ limit: 100_000, offset: 0, access: ALL });
      expect(stored.map((run) => run.runId).sort()).toEqual([...created].sort());
      expect(stored.filter((run) => run.status !== "success" || run.attempt !== 1)).toEqual([]);
      for (const threadId of threadIds) expect(await rows.threadStatusOf(threadId)).toBe("idle");
    } finally {
      await store.close();
      await server.close();
    }
  },
);
