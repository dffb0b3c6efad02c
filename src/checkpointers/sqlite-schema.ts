/**
 * Tables of the SQLite checkpointer. Values are kept once per version, with the checkpoint that brought them:
 * - `channels` is a JSON list of `[channel, version]`, or `[channel, version, checkpoint_id]` where an earlier checkpoint's
 *   value is meant.
 * - `data` is TEXT for JSON (a list of messages has one line per message) and BLOB for bytes.
 * - `metadata` and `checkpoint` (without channel values) are JSON.
 */
export const CHECKPOINT_MIGRATIONS: readonly string[] = [
  `CREATE TABLE heddle_checkpoints (
     thread_id TEXT NOT NULL,
     checkpoint_ns TEXT NOT NULL,
     checkpoint_id TEXT NOT NULL,
     parent_checkpoint_id TEXT,
     run_id TEXT,
     checkpoint TEXT NOT NULL,
     metadata TEXT NOT NULL,
     channels TEXT NOT NULL,
     PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
   ) WITHOUT ROWID;
   CREATE TABLE heddle_checkpoint_blobs (
     thread_id TEXT NOT NULL,
     checkpoint_ns TEXT NOT NULL,
     checkpoint_id TEXT NOT NULL,
     channel TEXT NOT NULL,
     data NOT NULL,
     PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, channel)
   ) WITHOUT ROWID;
   CREATE TABLE heddle_checkpoint_writes (
     thread_id TEXT NOT NULL,
     checkpoint_ns TEXT NOT NULL,
     checkpoint_id TEXT NOT NULL,
     task_id TEXT NOT NULL,
     idx INTEGER NOT NULL,
     task_path TEXT NOT NULL,
     channel TEXT NOT NULL,
     data NOT NULL,
     PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
   ) WITHOUT ROWID;`,
];
