/**
 * Tables of the SQLite checkpointer. A lineage is the checkpoints of one thread and namespace: a number that grows, so
 * that what is written together lies together (text keys cost 40 % more per put). Values are kept once per version, with
 * the checkpoint that brought them:
 * - `channels` is a JSON list of `[channel, version]`, or `[channel, version, checkpoint_id]` where an earlier checkpoint's
 *   value is meant.
 * - `data` is TEXT for JSON (a list of messages has one line per message) and BLOB for bytes.
 * - `metadata` and `checkpoint` (without channel values) are JSON.
 *
 * Since version 2, values that threads or versions share lie in `heddle_checkpoint_contents`, compressed: `content` names one, and
 * `data` then says what is to be done with it (sharing.ts). Triggers remove a content with the last value that names it, whoever
 * removes that; REPLACE does not call triggers, so values are replaced by an upsert.
 */
export const CHECKPOINT_MIGRATIONS: readonly string[] = [
  `CREATE TABLE heddle_checkpoint_lineages (
     lineage INTEGER PRIMARY KEY,
     thread_id TEXT NOT NULL,
     checkpoint_ns TEXT NOT NULL,
     UNIQUE (thread_id, checkpoint_ns)
   );
   CREATE TABLE heddle_checkpoints (
     lineage INTEGER NOT NULL,
     checkpoint_id TEXT NOT NULL,
     parent_checkpoint_id TEXT,
     run_id TEXT,
     checkpoint TEXT NOT NULL,
     metadata TEXT NOT NULL,
     channels TEXT NOT NULL,
     PRIMARY KEY (lineage, checkpoint_id)
   ) WITHOUT ROWID;
   CREATE TABLE heddle_checkpoint_blobs (
     lineage INTEGER NOT NULL,
     checkpoint_id TEXT NOT NULL,
     channel TEXT NOT NULL,
     data NOT NULL,
     PRIMARY KEY (lineage, checkpoint_id, channel)
   ) WITHOUT ROWID;
   CREATE TABLE heddle_checkpoint_writes (
     lineage INTEGER NOT NULL,
     checkpoint_id TEXT NOT NULL,
     task_id TEXT NOT NULL,
     idx INTEGER NOT NULL,
     task_path TEXT NOT NULL,
     channel TEXT NOT NULL,
     data NOT NULL,
     PRIMARY KEY (lineage, checkpoint_id, task_id, idx)
   ) WITHOUT ROWID;`,
  `CREATE TABLE heddle_checkpoint_contents (
     content TEXT PRIMARY KEY,
     data NOT NULL
   );
   ALTER TABLE heddle_checkpoint_blobs ADD COLUMN content TEXT;
   CREATE INDEX heddle_checkpoint_blobs_content ON heddle_checkpoint_blobs (content) WHERE content IS NOT NULL;
   CREATE TRIGGER heddle_checkpoint_blob_removed AFTER DELETE ON heddle_checkpoint_blobs WHEN OLD.content IS NOT NULL BEGIN
     DELETE FROM heddle_checkpoint_contents WHERE content = OLD.content
       AND NOT EXISTS (SELECT 1 FROM heddle_checkpoint_blobs WHERE content = OLD.content);
   END;
   CREATE TRIGGER heddle_checkpoint_blob_replaced AFTER UPDATE OF content ON heddle_checkpoint_blobs
   WHEN OLD.content IS NOT NULL AND OLD.content IS NOT NEW.content BEGIN
     DELETE FROM heddle_checkpoint_contents WHERE content = OLD.content
       AND NOT EXISTS (SELECT 1 FROM heddle_checkpoint_blobs WHERE content = OLD.content);
   END;`,
];
