import type { Component } from "../databases/postgres/migrate.js";

/**
 * The stock tables of `PostgresSaver` (@langchain/langgraph-checkpoint-postgres 1.0.5, `migrations.js`), made where they are
 * missing, and the column `task_path`, which LangGraph for Python has in the same table (its checkpoint-postgres,
 * `MIGRATIONS[9]`, adds it `IF NOT EXISTS` as well). Names are unqualified: `search_path` chooses the schema.
 *
 * Since version 2, values may share contents (sharing.ts): `heddle_content` names one, which other programs leave alone. Contents go
 * with the last value that has one, whoever removes that. Whoever removes locks them first, and the foreign key locks them for those who
 * add, so that none goes while somebody comes to use it.
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
    `CREATE TABLE heddle_checkpoint_contents (
       content TEXT PRIMARY KEY,
       type TEXT NOT NULL,
       blob BYTEA NOT NULL
     );
     ALTER TABLE heddle_checkpoint_contents ALTER COLUMN blob SET STORAGE EXTERNAL;
     ALTER TABLE checkpoint_blobs ADD COLUMN heddle_content TEXT REFERENCES heddle_checkpoint_contents;
     CREATE INDEX heddle_checkpoint_blobs_content ON checkpoint_blobs (heddle_content) WHERE heddle_content IS NOT NULL;
     CREATE FUNCTION heddle_checkpoint_blobs_removed() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       IF EXISTS (SELECT FROM gone WHERE heddle_content IS NOT NULL) THEN
         PERFORM FROM heddle_checkpoint_contents WHERE content IN (SELECT heddle_content FROM gone) ORDER BY content FOR UPDATE;
         DELETE FROM heddle_checkpoint_contents AS c WHERE content IN (SELECT heddle_content FROM gone)
           AND NOT EXISTS (SELECT FROM checkpoint_blobs AS b WHERE b.heddle_content = c.content);
       END IF;
       RETURN NULL;
     END $$;
     CREATE TRIGGER heddle_checkpoint_blobs_removed AFTER DELETE ON checkpoint_blobs
       REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION heddle_checkpoint_blobs_removed();`,
    // How Postgres itself compresses large values: unseen by whoever reads them, and three to four times faster than its default, where the
    // server has it (290 kB of text: 2 ms instead of 7). Through EXECUTE: servers before 14 read the block whole before anything is caught.
    `DO $$
     BEGIN
       EXECUTE 'ALTER TABLE checkpoint_blobs ALTER COLUMN blob SET COMPRESSION lz4';
       EXECUTE 'ALTER TABLE checkpoint_writes ALTER COLUMN blob SET COMPRESSION lz4';
     EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;
     END $$`,
    // Others remove values by the name of their schema (`PostgresSaver`'s option), which their search_path does not have.
    `CREATE OR REPLACE FUNCTION heddle_checkpoint_blobs_removed() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       IF EXISTS (SELECT FROM gone WHERE heddle_content IS NOT NULL) THEN
         EXECUTE format('SELECT FROM %I.heddle_checkpoint_contents WHERE content IN (SELECT heddle_content FROM gone)
           ORDER BY content FOR UPDATE', TG_TABLE_SCHEMA);
         EXECUTE format('DELETE FROM %1$I.heddle_checkpoint_contents AS c WHERE content IN (SELECT heddle_content FROM gone)
           AND NOT EXISTS (SELECT FROM %1$I.checkpoint_blobs AS b WHERE b.heddle_content = c.content)', TG_TABLE_SCHEMA);
       END IF;
       RETURN NULL;
     END $$`,
  ],
};
