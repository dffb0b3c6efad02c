import { afterAll, beforeAll, expect, it } from "vitest";
import { openPostgres, type PostgresDatabase } from "../../../src/databases/postgres/open.js";
import { createPostgresMetadataStore } from "../../../src/stores/postgres/index.js";
import { createDatabase } from "../../support/postgres.js";

let database: PostgresDatabase;
let close: () => Promise<void>;

beforeAll(async () => {
  const { uri, drop } = await createDatabase();
  database = await openPostgres(uri, { cwd: "/" });
  const store = await createPostgresMetadataStore(await openPostgres(uri, { cwd: "/" }));
  await database.query({
    name: "",
    timeoutMs: 60_000,
    text: `
      INSERT INTO heddle_threads (thread_id, updated_at, state_updated_at, status, settled_status, temporary, head_due_at, head_run_id)
        SELECT 't' || n, n, n, CASE WHEN n % 100 = 0 THEN 'busy' ELSE 'idle' END, 'idle', false,
          CASE WHEN n % 100 = 0 THEN n END, CASE WHEN n % 100 = 0 THEN 'r' || n END FROM generate_series(1, 20000) n;
      INSERT INTO heddle_thread_metadata (thread_id, created_at, metadata, config)
        SELECT 't' || n, n, jsonb_build_object('graph_id', 'agent', 'owner', 'o' || n), '{}' FROM generate_series(1, 20000) n;
      INSERT INTO heddle_runs (run_id, thread_id, assistant_id, graph_id, created_at, updated_at, due_at, status, multitask_strategy,
          temporary, attempt, lease_token, metadata, kwargs)
        SELECT 'r' || n, 't' || n, 'a', 'agent', n, n, n,
          CASE WHEN n % 100 = 0 THEN 'pending' WHEN n % 1000 = 1 THEN 'running' ELSE 'success' END, 'enqueue', false, 1, 1, '{}', '{}'
        FROM generate_series(1, 20000) n;
      ANALYZE heddle_threads; ANALYZE heddle_thread_metadata; ANALYZE heddle_runs;`,
  });
  close = async () => {
    await store.close();
    await database.close();
    await drop();
  };
});

afterAll(() => close());

async function plan(sql: string): Promise<string> {
  const rows = await database.query<{ "QUERY PLAN": string }>({ name: "", text: `EXPLAIN ${sql}` });
  return rows.map((row) => row["QUERY PLAN"]).join("\n");
}

it.each([
  // With status in a partial index's condition it would be looked up there, among all running runs.
  [
    "a lease",
    "SELECT 1 FROM heddle_runs WHERE run_id = 'r1001' AND status = 'running' AND lease_token = 1 FOR SHARE",
    "runs_pkey",
  ],
  ["a run", "SELECT * FROM heddle_runs WHERE run_id = 'r5'", "runs_pkey"],
  [
    "running runs",
    "SELECT * FROM heddle_runs WHERE status || '' = 'running' AND lease_until < 5",
    "one_running_per_thread",
  ],
  [
    "what a thread waits for",
    "SELECT * FROM heddle_runs r WHERE thread_id = 't100' AND status || '' = 'pending' ORDER BY due_at, run_id LIMIT 1",
    "runs_waiting",
  ],
  [
    "runs of a thread",
    "SELECT * FROM heddle_runs WHERE thread_id = 't5' ORDER BY created_at DESC, run_id DESC LIMIT 10",
    "runs_by_thread",
  ],
  [
    "the queue",
    "SELECT * FROM heddle_threads WHERE head_run_id IS NOT NULL AND head_due_at < 5000 ORDER BY head_due_at, head_run_id LIMIT 5",
    "threads_queue",
  ],
  ["threads by metadata", `SELECT * FROM heddle_thread_metadata WHERE metadata @> '{"owner": "o77"}'`, "by_metadata"],
  [
    "the latest threads",
    "SELECT * FROM heddle_threads ORDER BY updated_at DESC, thread_id DESC LIMIT 10",
    "by_updated_at",
  ],
  [
    "the newest threads",
    "SELECT * FROM heddle_thread_metadata ORDER BY created_at DESC, thread_id DESC LIMIT 10",
    "by_created_at",
  ],
  [
    "busy threads",
    "SELECT * FROM heddle_threads WHERE status = 'busy' AND status <> 'idle' ORDER BY updated_at DESC LIMIT 10",
    "not_idle",
  ],
])("finds %s by an index", async (_, sql, index) => {
  expect(await plan(sql)).toContain(index);
});

it("allows one running run per thread, whoever writes", async () => {
  const twice = `INSERT INTO heddle_runs (run_id, thread_id, assistant_id, graph_id, created_at, updated_at, due_at, status,
      multitask_strategy, temporary, attempt, lease_token, metadata, kwargs)
    SELECT 'again', thread_id, 'a', 'agent', 1, 1, 1, 'running', 'enqueue', false, 1, 1, '{}', '{}'
    FROM heddle_runs WHERE run_id = 'r1001'`;
  await expect(database.query({ name: "", text: twice })).rejects.toMatchObject({
    code: "23505",
    constraint: "heddle_runs_one_running_per_thread",
  });
});
