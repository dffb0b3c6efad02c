import { expect, it } from "vitest";
import { toJsonText } from "../../../src/core/json.js";
import type { MetadataStore } from "../../../src/core/metadata-store.js";
import type { CancelAction, MultitaskStrategy, RunLease } from "../../../src/core/run.js";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { createPostgresMetadataStore } from "../../../src/stores/postgres/index.js";
import { ALL, newAssistant, newRun, uuid } from "../../../src/testing/stores/suite.js";
import { createDatabase } from "../../support/postgres.js";

const THREADS = Array.from({ length: 6 }, (_, n) => uuid(n + 1));
const CALLERS = 24;
const CALLS = 80;
const STRATEGIES: readonly MultitaskStrategy[] = ["reject", "interrupt", "rollback", "enqueue", "enqueue"];
const ACTIONS: readonly CancelAction[] = ["interrupt", "rollback"];

/** Threads whose row says something else than their runs. */
const OUT_OF_STEP = {
  name: "",
  text: `SELECT t.thread_id, t.status, t.settled_status, t.head_run_id, running.run_id AS running, first.run_id AS first
    FROM heddle_threads t
    LEFT JOIN LATERAL (SELECT run_id FROM heddle_runs r WHERE r.thread_id = t.thread_id AND r.status = 'running') running ON true
    LEFT JOIN LATERAL (SELECT run_id, due_at FROM heddle_runs r WHERE r.thread_id = t.thread_id AND r.status = 'pending'
      ORDER BY due_at, run_id LIMIT 1) first ON true
    WHERE t.status <> CASE WHEN running.run_id IS NULL AND first.run_id IS NULL THEN t.settled_status ELSE 'busy' END
      OR t.head_run_id IS DISTINCT FROM CASE WHEN running.run_id IS NULL THEN first.run_id END
      OR t.head_due_at IS DISTINCT FROM CASE WHEN running.run_id IS NULL THEN first.due_at END`,
};
const ORPHANS = {
  name: "",
  text: `SELECT run_id FROM heddle_runs r WHERE NOT EXISTS (SELECT 1 FROM heddle_threads t WHERE t.thread_id = r.thread_id) UNION ALL
    SELECT thread_id FROM heddle_threads t WHERE NOT EXISTS (SELECT 1 FROM heddle_thread_metadata m WHERE m.thread_id = t.thread_id)`,
};

it(
  "whatever is asked at once: no call fails, nobody waits in a circle, and threads stay in step with their runs",
  {
    timeout: 60_000,
  },
  async () => {
    const { uri, drop } = await createDatabase();
    const database = await openPostgres(uri, { cwd: "/" });
    const stores = await Promise.all(
      [1, 2].map(async () => createPostgresMetadataStore(await openPostgres(uri, { cwd: "/" }))),
    );
    try {
      let created = 0;
      let seed = 1;
      const random = (below: number): number => {
        // Park and Miller's generator (CACM 31, 1988): the same calls in each run, if not in the same order.
        seed = (seed * 48_271) % 2_147_483_647;
        return seed % below;
      };
      const one = <T>(list: readonly T[]): T => list[random(list.length)] as T;
      const leases: RunLease[] = [];
      const runIds: string[] = [uuid(99)];
      const calls: readonly ((store: MetadataStore) => Promise<unknown>)[] = [
        async ({ runs }) => {
          const runId = uuid(0x1000 + (created += 1));
          const multitaskStrategy = one(STRATEGIES);
          const draft = newRun(0, one(THREADS), { runId, multitaskStrategy, delayMs: random(3), createThread: true });
          const claim = random(2) === 0 ? {} : { claim: { workerId: `w${random(4)}`, leaseMs: random(50) } };
          const outcome = await runs.create({ draft, ...claim, access: ALL });
          if (outcome.kind !== "created") return;
          runIds.push(runId);
          if (outcome.lease !== null) leases.push(outcome.lease);
        },
        async ({ runs }) => {
          for (const { lease } of await runs.claim({
            workerId: `w${random(4)}`,
            leaseMs: random(50),
            limit: 1 + random(4),
          })) {
            leases.push(lease);
          }
        },
        async ({ runs }) => {
          if (leases.length === 0) return;
          const outcome =
            random(3) === 0 ? ({ kind: "rolled-back" } as const) : ({ kind: "ended", status: "success" } as const);
          const threadPatch = { values: toJsonText({ n: random(9) }) };
          await runs.finish({ lease: one(leases), outcome, threadPatch, hasNext: random(2) === 0 });
        },
        async ({ runs }) => leases.length > 0 && runs.release({ lease: one(leases) }),
        ({ runs }) => runs.heartbeat({ leases: leases.slice(-20), leaseMs: random(100) }),
        ({ runs }) =>
          runs.reapExpired({ maxAttempts: 3, isAlive: (id) => id !== "w0", retryDelayMs: () => random(10) }),
        ({ runs }) => runs.requestCancel({ runId: one(runIds), action: one(ACTIONS), access: ALL }),
        ({ runs }) => runs.delete({ runId: one(runIds), threadId: one(THREADS), access: ALL }),
        ({ runs }) => runs.explain({ runId: one(runIds), access: ALL }),
        ({ threads }) => threads.update({ threadId: one(THREADS), metadata: { n: random(9) }, access: ALL }),
        ({ threads }) => threads.patchState({ threadId: one(THREADS), patch: {}, hasNext: random(2) === 0 }),
        async ({ threads }) => random(6) === 0 && threads.delete({ threadId: one(THREADS), access: ALL }),
        async ({ assistants }) => {
          const { assistantId } = newRun(0, "");
          if (random(4) === 0) await assistants.create({ draft: newAssistant(0, { assistantId }), access: ALL });
          if (random(8) === 0) await assistants.delete({ assistantId, access: ALL });
        },
      ];
      const caller = async (n: number): Promise<void> => {
        for (let call = 0; call < CALLS; call += 1) await one(calls)(stores[n % 2] as MetadataStore);
      };
      await Promise.all(Array.from({ length: CALLERS }, (_, n) => caller(n)));

      expect(created).toBeGreaterThan(CALLERS);
      // A connection that ends reports what it has counted.
      for (const store of stores.splice(0)) await store.close();
      expect(await database.query(OUT_OF_STEP)).toEqual([]);
      expect(await database.query(ORPHANS)).toEqual([]);
      const deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
      expect(await database.query({ name: "", text: deadlocks })).toEqual([{ deadlocks: 0 }]);
    } finally {
      for (const store of stores) await store.close();
      await database.close();
      await drop();
    }
  },
);
