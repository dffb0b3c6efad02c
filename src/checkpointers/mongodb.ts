import type { Db } from "mongodb";
import type { Checkpointer, Saver } from "../core/checkpointer.js";
import type { DriverContext } from "../core/driver.js";
import { migrate, type Component } from "../databases/mongodb/migrate.js";
import { openMongo } from "../databases/mongodb/open.js";
import { checkpointCollections, COLLECTIONS } from "./mongodb-documents.js";
import { HeddleMongoSaver } from "./mongodb-saver.js";
import { MAX_DOCUMENT_BYTES } from "./mongodb-size.js";
import { pruneThread, threadStorage } from "./mongodb-retention.js";
import { sealingWith } from "./sealing.js";
import { copyThread, deleteRun, threadIds } from "./mongodb-threads.js";

/** What a MongoDB checkpointer has beside the interface. */
export interface MongoCheckpointer extends Checkpointer {
  /** Ids of threads that have checkpoints after `after`, in order. For copying a whole storage. */
  threadIds(params: { readonly after: string | null; readonly limit: number }): Promise<readonly string[]>;
}

/**
 * Checkpoints in MongoDB, in the collections of langgraph-checkpoint-mongodb.
 * @param uri as for `openMongo`
 * @param context.maxDocumentBytes larger states are refused. Default, and at most: MongoDB's 16 MiB, less 16 KiB.
 * @throws HeddleError as `openMongo`
 */
export async function openMongoCheckpointer(
  uri: string,
  context: DriverContext & { readonly maxDocumentBytes?: number },
): Promise<MongoCheckpointer> {
  const database = await openMongo(uri, context);
  try {
    await migrate(database, [CHECKPOINTS]);
  } catch (error) {
    await database.close();
    throw error;
  }
  const { retrying } = database;
  const maxDocumentBytes = Math.min(context.maxDocumentBytes ?? MAX_DOCUMENT_BYTES, MAX_DOCUMENT_BYTES);
  const sealing = sealingWith(context.cipher);
  const saver = new HeddleMongoSaver(database, { maxDocumentBytes, sealing });
  const collections = checkpointCollections(database.db);
  return {
    saver: saver as Saver,
    durable: true,
    // The run is another document: without transactions no single write can ask for both.
    fenced: false,
    deleteRun: (params) => deleteRun(collections, retrying, params),
    deleteThread: (threadId) => saver.deleteThread(threadId),
    copyThread: (params) => copyThread(collections, retrying, sealing, params),
    prune: (params) => pruneThread(collections, retrying, sealing, params),
    storage: (threadId) => threadStorage(collections, retrying, sealing, threadId),
    threadIds: (params) => threadIds(collections, retrying, params),
    close: () => database.close(),
  };
}

/** MongoDB's codes for an index that is there under another name or with other options. */
const INDEX_EXISTS = new Set([85, 86]);

/** The indexes that `MongoDBSaver.setup` of langgraph-checkpoint-mongodb 1.4.1 makes, by the same names, and one more. */
export const CHECKPOINTS: Component = {
  name: "checkpoints",
  migrations: [
    async (db) => {
      const newest = { thread_id: 1, checkpoint_ns: 1, checkpoint_id: -1 } as const;
      await ensureIndex(db, COLLECTIONS.checkpoints, newest, "thread_ns_checkpoint_idx");
      const writes = { thread_id: 1, checkpoint_ns: 1, checkpoint_id: 1, task_id: 1, idx: 1 } as const;
      await ensureIndex(db, COLLECTIONS.writes, writes, "thread_ns_checkpoint_task_idx");
      // Lists over all namespaces of a thread are sorted by it, whatever their states weigh.
      await ensureIndex(
        db,
        COLLECTIONS.checkpoints,
        { thread_id: 1, checkpoint_id: -1 },
        "heddle_thread_checkpoint_idx",
      );
    },
  ],
};

async function ensureIndex(db: Db, collection: string, keys: Record<string, 1 | -1>, name: string): Promise<void> {
  try {
    await db.collection(collection).createIndex(keys, { name });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && INDEX_EXISTS.has(Number(error.code)))) throw error;
  }
}
