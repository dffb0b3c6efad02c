import type { Collection, Db } from "mongodb";
import type {
  ApiKeyDocument,
  AssistantDocument,
  BlobDocument,
  ChoreDocument,
  CronDocument,
  DeliveryContentDocument,
  DeliveryDocument,
  DeliveryValuesDocument,
  ItemDocument,
  RemovalDocument,
  RunDocument,
  StreamTicketDocument,
  ThreadDocument,
  VersionDocument,
} from "./documents.js";
import type { RecordChangeDocument, RecordCounterDocument, RecordDocument } from "./record-documents.js";

export interface Collections {
  readonly assistants: Collection<AssistantDocument>;
  readonly versions: Collection<VersionDocument>;
  readonly threads: Collection<ThreadDocument>;
  readonly blobs: Collection<BlobDocument>;
  readonly runs: Collection<RunDocument>;
  readonly items: Collection<ItemDocument>;
  readonly apiKeys: Collection<ApiKeyDocument>;
  readonly removals: Collection<RemovalDocument>;
  readonly chores: Collection<ChoreDocument>;
  readonly crons: Collection<CronDocument>;
  readonly deliveries: Collection<DeliveryDocument>;
  readonly deliveryContents: Collection<DeliveryContentDocument>;
  readonly deliveryValues: Collection<DeliveryValuesDocument>;
  readonly tickets: Collection<StreamTicketDocument>;
  readonly records: Collection<RecordDocument>;
  readonly recordChanges: Collection<RecordChangeDocument>;
  readonly recordCounters: Collection<RecordCounterDocument>;
}

export function collectionsOf(db: Db): Collections {
  return {
    assistants: db.collection("heddle_assistants"),
    versions: db.collection("heddle_assistant_versions"),
    threads: db.collection("heddle_threads"),
    blobs: db.collection("heddle_blobs"),
    runs: db.collection("heddle_runs"),
    // Vectors are bytes.
    items: db.collection("heddle_items", { promoteBuffers: true }),
    apiKeys: db.collection("heddle_api_keys"),
    removals: db.collection("heddle_thread_removals"),
    chores: db.collection("heddle_chores"),
    crons: db.collection("heddle_crons"),
    deliveries: db.collection("heddle_deliveries"),
    deliveryContents: db.collection("heddle_delivery_contents"),
    deliveryValues: db.collection("heddle_delivery_values"),
    tickets: db.collection("heddle_stream_tickets"),
    records: db.collection("heddle_records"),
    recordChanges: db.collection("heddle_record_changes"),
    recordCounters: db.collection("heddle_record_counters"),
  };
}

/** Indexes of assistants, threads, runs, API keys and tickets. Each may be made twice. Only ever append to this list. */
export const METADATA_MIGRATIONS: readonly ((db: Db) => Promise<void>)[] = [
  async (db) => {
    const { assistants, versions, threads, blobs, runs } = collectionsOf(db);
    await assistants.createIndexes([
      { name: "graphId", key: { graphId: 1, _id: 1 } },
      { name: "name", key: { name: 1, _id: 1 } },
      { name: "createdAt", key: { createdAt: 1, _id: 1 } },
      { name: "updatedAt", key: { updatedAt: 1, _id: 1 } },
      { name: "terms", key: { terms: 1 } },
    ]);
    await versions.createIndexes([{ name: "assistant", key: { assistant: 1, version: -1 } }]);
    await threads.createIndexes([
      { name: "createdAt", key: { createdAt: 1, _id: 1 } },
      { name: "updatedAt", key: { updatedAt: 1, _id: 1 } },
      { name: "stateUpdatedAt", key: { stateUpdatedAt: 1, _id: 1 } },
      { name: "status", key: { status: 1, _id: 1 } },
      { name: "terms", key: { terms: 1, createdAt: 1, _id: 1 } },
      { name: "temporary", key: { temporary: 1, updatedAt: 1 } },
      // Sparse: `head` and `running` are null in most threads. FerretDB 1.24 has no partial indexes.
      { name: "queue", key: { "head.dueAt": 1, "head.runId": 1 }, sparse: true },
      { name: "retries", key: { "head.retryAt": 1 }, sparse: true },
      { name: "lease", key: { "running.lease": 1 }, unique: true, sparse: true },
      { name: "leaseUntil", key: { "running.leaseUntil": 1 }, sparse: true },
      { name: "ended", key: { "ended.updatedAt": 1 }, sparse: true },
    ]);
    await blobs.createIndexes([
      { name: "thread", key: { thread: 1 } },
      { name: "createdAt", key: { createdAt: 1, _id: 1 } },
    ]);
    await runs.createIndexes([
      { name: "thread", key: { thread: 1, createdAt: -1, _id: -1 } },
      { name: "createdAt", key: { createdAt: -1, _id: -1 } },
      { name: "status", key: { status: 1, createdAt: -1, _id: -1 } },
      { name: "assistantId", key: { assistantId: 1, status: 1 } },
      { name: "delayedUntil", key: { delayedUntil: 1 }, sparse: true },
    ]);
  },
  async (db) => {
    const { apiKeys, tickets } = collectionsOf(db);
    await apiKeys.createIndexes([{ name: "digest", key: { digest: 1 } }]);
    await tickets.createIndexes([{ name: "expiresAt", key: { expiresAt: 1 } }]);
  },
  async (db) => {
    const { threads, removals } = collectionsOf(db);
    await threads.createIndexes([{ name: "expiresAt", key: { expiresAt: 1 }, sparse: true }]);
    await removals.createIndexes([{ name: "removedAt", key: { removedAt: 1 } }]);
  },
];

/** Indexes of the outbox of webhooks. Each may be made twice. Only ever append to this list. */
export const WEBHOOK_MIGRATIONS: readonly ((db: Db) => Promise<void>)[] = [
  async (db) => {
    const { deliveries, deliveryContents } = collectionsOf(db);
    await deliveries.createIndexes([
      { name: "due", key: { status: 1, nextAttemptAt: 1, _id: 1 } },
      { name: "touched", key: { status: 1, updatedAt: 1 } },
      { name: "createdAt", key: { createdAt: -1, _id: -1 } },
      { name: "threadId", key: { threadId: 1 } },
      { name: "runId", key: { runId: 1 } },
      { name: "contentId", key: { contentId: 1 } },
    ]);
    await deliveryContents.createIndexes([{ name: "createdAt", key: { createdAt: 1, _id: 1 } }]);
  },
];

/** Indexes of crons. Each may be made twice. Only ever append to this list. */
export const CRON_MIGRATIONS: readonly ((db: Db) => Promise<void>)[] = [
  async (db) => {
    await collectionsOf(db).crons.createIndexes([
      { name: "due", key: { nextRunAt: 1, leaseUntil: 1, _id: 1 } },
      { name: "leaseUntil", key: { leaseUntil: 1, nextRunAt: 1 } },
      { name: "assistantId", key: { assistantId: 1 } },
      { name: "threadId", key: { threadId: 1 } },
      { name: "createdAt", key: { createdAt: 1, _id: 1 } },
      { name: "terms", key: { terms: 1 } },
    ]);
  },
];

/** Indexes of records. Each may be made twice. Only ever append to this list. */
export const RECORD_MIGRATIONS: readonly ((db: Db) => Promise<void>)[] = [
  async (db) => {
    const { records, recordChanges } = collectionsOf(db);
    await records.createIndexes([
      { name: "key", key: { collectionId: 1, key: 1 } },
      { name: "created", key: { collectionId: 1, sequence: 1 } },
      { name: "owner", key: { ownerId: 1, sequence: 1 } },
      { name: "terms", key: { terms: 1 } },
      { name: "expiresAt", key: { expiresAt: 1 }, sparse: true },
      { name: "goneAt", key: { goneAt: 1 }, sparse: true },
      { name: "pendingAt", key: { pendingAt: 1 }, sparse: true },
    ]);
    await recordChanges.createIndexes([
      { name: "version", key: { record: 1, version: 1 } },
      { name: "at", key: { at: 1 } },
    ]);
  },
];

/** Indexes of the long-term store. Each may be made twice. Only ever append to this list. */
export const ITEM_MIGRATIONS: readonly ((db: Db) => Promise<void>)[] = [
  async (db) => {
    await collectionsOf(db).items.createIndexes([
      { name: "namespace", key: { namespace: 1, updatedAt: -1 } },
      { name: "updatedAt", key: { updatedAt: -1, _id: -1 } },
    ]);
  },
  async (db) => {
    await collectionsOf(db).items.createIndexes([
      { name: "expiresAt", key: { expiresAt: 1 }, sparse: true },
      // What a semantic search asks for before it reads vectors.
      { name: "dims", key: { dims: 1, namespace: 1, rev: 1 }, sparse: true },
    ]);
  },
];
