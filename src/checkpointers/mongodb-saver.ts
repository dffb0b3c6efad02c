import type { RunnableConfig } from "@langchain/core/runnables";
import type {
  Checkpoint,
  CheckpointListOptions,
  CheckpointMetadata,
  CheckpointTuple,
  PendingWrite,
} from "@langchain/langgraph-checkpoint";
import { MongoDBSaver } from "@langchain/langgraph-checkpoint-mongodb";
import type { AnyBulkWriteOperation } from "mongodb";
import { inBulks } from "../databases/mongodb/bulk.js";
import { isDuplicateKey } from "../databases/mongodb/failures.js";
import type { MongoDatabase } from "../databases/mongodb/open.js";
import {
  checkpointCollections,
  checkpointFields,
  documentId,
  metadataFields,
  nameOf,
  toTuple,
  writeFields,
  type CheckpointCollections,
  type WriteDocument,
} from "./mongodb-documents.js";
import { findCheckpoint, findWrites, load, nextBatchSize, pick, type StoredCheckpoint } from "./mongodb-reader.js";
import { stateTooLarge } from "./mongodb-size.js";
import { deleteThread } from "./mongodb-threads.js";
import { beforeId, configOf, listKey, putKey, readKey, writesKey } from "./saver-config.js";
import { PLACES, sealingWith, type Sealing } from "./sealing.js";
import { CheckpointSerde } from "./serde.js";
import { writeIndex } from "./stored-checkpoint.js";

/** Upserts of one key at the same time: the one that comes second finds the document when it tries again. */
const MAX_COLLISIONS = 5;

/**
 * `MongoDBSaver` (langgraph-checkpoint-mongodb 1.4.1) on its own collections, which each may read of the other. Against it:
 * - pending writes are in the order of live execution, with `task_path`, and may be bytes;
 * - errors and interrupts replace earlier ones, also beside other writes;
 * - metadata may have any keys, and filters mean containment, also of objects and lists;
 * - a list reads in batches, not a query per checkpoint; `limit: 0` is none;
 * - a state that does not fit into a document is refused before it is sent (`STATE_TOO_LARGE`);
 * - operations wait for a server that is away, and carrying one out twice leaves one document.
 */
export class HeddleMongoSaver extends MongoDBSaver {
  declare serde: CheckpointSerde;
  readonly #database: MongoDatabase;
  readonly #collections: CheckpointCollections;
  readonly #maxDocumentBytes: number;
  readonly #sealing: Sealing;

  constructor(database: MongoDatabase, options: { readonly maxDocumentBytes: number; readonly sealing?: Sealing }) {
    super({ client: database.client, dbName: database.db.databaseName }, new CheckpointSerde());
    this.#database = database;
    this.#collections = checkpointCollections(database.db);
    this.#maxDocumentBytes = options.maxDocumentBytes;
    this.#sealing = options.sealing ?? sealingWith(undefined);
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const key = readKey(config);
    if (key === undefined) return undefined;
    const { threadId, checkpointNs, checkpointId } = key;
    const find = () => findCheckpoint(this.#collections, threadId, checkpointNs, checkpointId);
    const found = await this.#database.retrying(find);
    return found === null ? undefined : this.#tuple(found);
  }

  override async *list(config: RunnableConfig, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const limit = options.limit ?? Infinity;
    if (limit <= 0) return;
    const { retrying } = this.#database;
    const query = { ...listKey(config), beforeId: beforeId(options.before), filter: options.filter, limit };
    const picked = await retrying(() => pick(this.#collections, query));
    let loaded: readonly StoredCheckpoint[] = [];
    for (let at = 0; at < picked.length;) {
      const batch = picked.slice(at, at + nextBatchSize(loaded));
      at += batch.length;
      loaded = await retrying(() => load(this.#collections, batch));
      for (const stored of loaded) yield await this.#tuple(stored);
    }
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
  ): Promise<RunnableConfig> {
    const { threadId, checkpointNs, checkpointId: parentId } = putKey(config);
    const address = { thread_id: threadId, checkpoint_ns: checkpointNs, checkpoint_id: checkpoint.id };
    const of = nameOf(address);
    const fields = {
      parent_checkpoint_id: parentId ?? null,
      ...checkpointFields(this.#sealing, of, this.serde.encodeText(checkpoint)),
      ...metadataFields(this.serde, this.#sealing, of, metadata, Object.keys(config.configurable ?? {})),
    };
    const _id = documentId(threadId, checkpointNs, checkpoint.id);
    this.#assertFits({ _id, ...address, ...fields }, `The state of thread ${threadId}`, checkpoint.channel_values);
    await this.#upserting(() =>
      this.#collections.checkpoints.updateOne(address, { $set: fields, $setOnInsert: { _id } }, { upsert: true }),
    );
    return configOf(threadId, checkpointNs, checkpoint.id);
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath = "",
  ): Promise<void> {
    if (writes.length === 0) return;
    const { threadId, checkpointNs, checkpointId } = writesKey(config);
    const operations = writes.map(([channel, value], position): AnyBulkWriteOperation<WriteDocument> => {
      const idx = writeIndex(channel, position);
      const address = {
        thread_id: threadId,
        checkpoint_ns: checkpointNs,
        checkpoint_id: checkpointId,
        task_id: taskId,
        idx,
      };
      const place = PLACES.write(threadId, checkpointNs, checkpointId, taskId, idx);
      const data = value instanceof Uint8Array ? value : this.serde.encodeText(value);
      const fields = { channel, ...writeFields(this.#sealing, data, place), task_path: taskPath };
      const _id = documentId(threadId, checkpointNs, checkpointId, taskId, idx);
      const what = `What a task of thread ${threadId} wrote`;
      this.#assertFits({ _id, ...address, ...fields }, what, { [channel]: value });
      // A task that runs again keeps what it wrote first; the special channels tell of its newest attempt.
      const update = idx >= 0 ? { $setOnInsert: { _id, ...fields } } : { $set: fields, $setOnInsert: { _id } };
      return { updateOne: { filter: address, update, upsert: true } };
    });
    for (const bulk of inBulks(operations)) {
      await this.#upserting(() => this.#collections.writes.bulkWrite([...bulk]));
    }
  }

  override async deleteThread(threadId: string): Promise<void> {
    await deleteThread(this.#collections, this.#database.retrying, threadId);
  }

  #assertFits(document: object, what: string, values: Readonly<Record<string, unknown>>): void {
    const sizeBytes = this.#database.documentBytes(document);
    const limitBytes = this.#maxDocumentBytes;
    if (sizeBytes > limitBytes) throw stateTooLarge({ serde: this.serde, what, sizeBytes, limitBytes, values });
  }

  async #upserting(work: () => Promise<unknown>): Promise<void> {
    for (let collisions = 0; ; collisions += 1) {
      try {
        await this.#database.retrying(work);
        return;
      } catch (error) {
        if (!isDuplicateKey(error) || collisions >= MAX_COLLISIONS) throw error;
      }
    }
  }

  #tuple({ document, writes }: StoredCheckpoint): Promise<CheckpointTuple> {
    const { thread_id, checkpoint_ns } = document;
    return toTuple(this.serde, this.#sealing, document, writes, (parentId) =>
      this.#database.retrying(() =>
        findWrites(this.#collections, { thread_id, checkpoint_ns, checkpoint_id: parentId }),
      ),
    );
  }
}
