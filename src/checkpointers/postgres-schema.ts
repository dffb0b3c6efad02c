import type { Component } from "../databases/postgres/migrate.js";

/**
 * The stock tables of `PostgresSaver` (@langchain/langgraph-checkpoint-postgres 1.0.5, `migrations.js`), made where they are
 * missing, and the column `task_path`, which LangGraph for Python has in the same table (its checkpoint-postgres,
 * `MIGRATIONS[9]`, adds it `IF NOT EXISTS` as well). Names are unqualified: `search_path` chooses the schema.
 */
export const CHECKPOINT_TABLES: Component = {
  name: "checkpoints",
  migrations: [
    `CREATE TABLE IF NOT EXISTS checkpoint_migrations (v INTEGER PRIMARY KEY);
     CREATE TABLE IF NOT EXISTS checkpoints (
       thread_id TEXT NOT NULL,
       checkpoint_ns TEXT NOT NULL DEFAULT '',
       checkpoint_id TEXT NOT NULL,
       parent_checkpoint_id TEXT,
       type TEXT,
       checkpoint JSONB NOT NULL,
       metadata JSONB NOT NULL DEFAULT '{}',
       PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
     );
     CREATE TABLE IF NOT EXISTS checkpoint_blobs (
       thread_id TEXT NOT NULL,
       checkpoint_ns TEXT NOT NULL DEFAULT '',
       channel TEXT NOT NULL,
       version TEXT NOT NULL,
       type TEXT NOT NULL,
       blob BYTEA,
       PRIMARY KEY (thread_id, checkpoint_ns, channel, version)
     );
     CREATE TABLE IF NOT EXISTS checkpoint_writes (
       thread_id TEXT NOT NULL,
       checkpoint_ns TEXT NOT NULL DEFAULT '',
       checkpoint_id TEXT NOT NULL,
       task_id TEXT NOT NULL,
       idx INTEGER NOT NULL,
       channel TEXT NOT NULL,
       type TEXT,
       blob BYTEA NOT NULL,
       PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
     );
     ALTER TABLE checkpoint_blobs ALTER COLUMN blob DROP NOT NULL;
     ALTER TABLE checkpoint_writes ADD COLUMN IF NOT EXISTS task_path TEXT NOT NULL DEFAULT '';
     INSERT INTO checkpoint_migrations SELECT generate_series(0, 4) ON CONFLICT DO NOTHING;`,
  ],
};
