import { checkpointCollections, SEALED_TYPE, searchable } from "../../checkpointers/mongodb-documents.js";
import type { Encoded } from "../../checkpointers/serde.js";
import { areSealed, type Place } from "../../core/cipher.js";
import type { MongoDatabase } from "../../databases/mongodb/open.js";
import type { Resealed, Resealer } from "../../encryption/reseal.js";
import { PLACES } from "../../encryption/sealed-rows.js";
import { collectionsOf } from "../../stores/mongodb/collections.js";
import type { PendingChange } from "../../stores/mongodb/record-documents.js";
import type { CellTable } from "./cells.js";
import { CHECKPOINT_PLACES, resealData, resealMetadata } from "./sql-cells.js";

type Db = MongoDatabase["db"];
type Collection = ReturnType<Db["collection"]>;
type Document = Readonly<Record<string, unknown>>;
/** Bytes, as the driver reads them with or without `promoteBuffers`. */
type Bytes = Buffer | { readonly buffer: Uint8Array };

/** One field of a document, and what it becomes: `set` only where `was` still is. */
interface FieldChange {
  readonly was: Document;
  readonly set: Document;
}

interface DocumentField {
  readonly name: string;
  readonly collection: Collection;
  /** Of the document, what is needed. */
  readonly projection: Document;
  reseal(document: Document): Resealed<FieldChange> | null;
}

/** The values of a MongoDB database that are encrypted, or should be. Events are not among them: they are packed, and go by themselves. */
export async function mongoCells(
  database: MongoDatabase,
  resealer: Resealer,
  keeps: { readonly storage: boolean; readonly checkpoints: boolean },
): Promise<readonly CellTable[]> {
  const fields = [
    ...(keeps.storage ? await storageFields(database, resealer) : []),
    ...(keeps.checkpoints ? checkpointFields(database, resealer) : []),
  ];
  return fields.map((field) => cellsOf(database, field) as CellTable);
}

/** What a document says at a dotted path, where it is text. */
const textField =
  (database: MongoDatabase) =>
  (
    name: string,
    collection: Named,
    path: string,
    reseal: (stored: string, document: Document) => Resealed<string> | null,
    more: Document = {},
  ): DocumentField => ({
    name,
    collection: rawOf(database, collection),
    projection: { [path]: 1, ...more },
    reseal(document) {
      const stored = path.split(".").reduce<unknown>((value, key) => (value as Document | null)?.[key], document);
      if (typeof stored !== "string") return null;
      const resealed = reseal(stored, document);
      if (resealed === null) return null;
      const { keyId, next } = resealed;
      return { keyId, next: next === null ? null : { was: { [path]: stored }, set: { [path]: next } } };
    },
  });

type StateField = "values" | "interrupts" | "error";
const STATES: readonly StateField[] = ["values", "interrupts", "error"];

/** A blob is of the thread that names it; which of its fields it is, only the thread knows. */
async function blobFieldsOf({ threads }: ReturnType<typeof collectionsOf>): Promise<ReadonlyMap<string, StateField>> {
  const fields = new Map<string, StateField>();
  for await (const thread of threads.find({}, { projection: { values: 1, interrupts: 1, error: 1 } })) {
    for (const field of STATES) {
      const stored = thread[field];
      if (stored !== null && stored !== undefined && "blob" in stored) fields.set(stored.blob, field);
    }
  }
  return fields;
}

/** By their `uid`, which is all that versions know of their assistants. There are as many as somebody has made by hand. */
async function assistantIdsOf({ assistants }: ReturnType<typeof collectionsOf>): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  for await (const { _id, uid } of assistants.find({}, { projection: { uid: 1 } })) ids.set(uid, _id);
  return ids;
}

async function storageFields(database: MongoDatabase, resealer: Resealer): Promise<readonly DocumentField[]> {
  const { json, object, kwargs, item } = resealer;
  const collections = collectionsOf(database.db);
  const { assistants, versions, threads, blobs, runs, items, deliveryContents, deliveryValues } = collections;
  const assistantIds = await assistantIdsOf(collections);
  const blobFields = await blobFieldsOf(collections);
  const text = textField(database);
  const at =
    (placeOf: (id: string) => Place) =>
    (stored: string, { _id }: Document): Resealed<string> | null =>
      json(stored, placeOf(String(_id)));
  const objectAt =
    (placeOf: (id: string) => Place) =>
    (stored: string, { _id }: Document): Resealed<string> | null =>
      object(stored, placeOf(String(_id)));
  return [
    ...(["config", "context"] as const).flatMap((field) => [
      text(
        `assistants: ${field}`,
        assistants,
        field,
        objectAt((id) => PLACES.assistant(id, field)),
      ),
      text(
        `assistant versions: ${field}`,
        versions,
        field,
        (stored, { assistant }) => {
          const assistantId = assistantIds.get(String(assistant));
          return assistantId === undefined ? null : object(stored, PLACES.assistant(assistantId, field));
        },
        { assistant: 1 },
      ),
    ]),
    text(
      "threads: config",
      threads,
      "config",
      objectAt((id) => PLACES.thread(id, "config")),
    ),
    ...STATES.map((field) =>
      text(
        `threads: ${field}`,
        threads,
        `${field}.text`,
        at((id) => PLACES.thread(id, field)),
      ),
    ),
    text(
      "threads: large values",
      blobs,
      "text",
      (stored, { _id, threadId }) => {
        const field = blobFields.get(String(_id));
        return field === undefined ? null : json(stored, PLACES.thread(String(threadId), field));
      },
      { threadId: 1 },
    ),
    text(
      "runs: error",
      runs,
      "error",
      at((id) => PLACES.run(id, "error")),
    ),
    text("runs: what was sent", runs, "kwargs", (stored, { _id }) => kwargs(stored, String(_id))),
    text("webhooks: what was sent", deliveryContents, "kwargs", (stored, { runId }) => kwargs(stored, String(runId)), {
      runId: 1,
    }),
    text(
      "webhooks: messages",
      deliveryContents,
      "message",
      (stored, { deliveryId }) => json(stored, PLACES.message(String(deliveryId))),
      { deliveryId: 1 },
    ),
    text(
      "webhooks: error",
      deliveryContents,
      "error",
      (stored, { runId }) => json(stored, PLACES.run(String(runId), "error")),
      { runId: 1 },
    ),
    text(
      "webhooks: values",
      deliveryValues,
      "text",
      (stored, { threadId }) => json(stored, PLACES.thread(String(threadId), "values")),
      { threadId: 1 },
    ),
    ...recordFields(database, resealer),
    text(
      "items",
      items,
      "value",
      (stored, { namespace, key }) => item(stored, JSON.parse(String(namespace)) as readonly string[], String(key)),
      { namespace: 1, key: 1 },
    ),
  ];
}

const RECORD_PLACE = { space: 1, owner: 1, collection: 1, key: 1 } as const;

function placeOfRecord({ space, owner, collection, key }: Document): Place {
  return PLACES.record({
    space: String(space),
    owner: String(owner),
    collection: String(collection),
    key: String(key),
  });
}

/** What is in records, and what was lately. */
function recordFields(database: MongoDatabase, resealer: Resealer): readonly DocumentField[] {
  const { records, recordChanges } = collectionsOf(database.db);
  const text = textField(database);
  const at = (stored: string, document: Document): Resealed<string> => resealer.text(stored, placeOfRecord(document));
  return [
    text("records", records, "value", at, RECORD_PLACE),
    pendingChanges(database, resealer),
    text("records: changes", recordChanges, "value", at, RECORD_PLACE),
    text("records: values before", recordChanges, "previous", at, RECORD_PLACE),
  ];
}

/** Values that were in a record before, as far as they are still in its own document: all of them at once. */
function pendingChanges(database: MongoDatabase, { text }: Resealer): DocumentField {
  return {
    name: "records: values before, not handed over",
    collection: rawOf(database, collectionsOf(database.db).records),
    projection: { ...RECORD_PLACE, pending: 1 },
    reseal(document) {
      const pending = (document["pending"] ?? []) as readonly PendingChange[];
      let found: string | null | undefined;
      let isChanged = false;
      const set = pending.map((change) => {
        if (change.previous === null) return change;
        const { keyId, next } = text(change.previous, placeOfRecord(document));
        found ??= keyId;
        if (next === null) return change;
        isChanged = true;
        return { ...change, previous: next };
      });
      if (found === undefined) return null;
      return { keyId: found, next: isChanged ? { was: { pending }, set: { pending: set } } : null };
    },
  };
}

function checkpointFields(database: MongoDatabase, resealer: Resealer): readonly DocumentField[] {
  const { checkpoints, writes } = checkpointCollections(database.db);
  const address = { thread_id: 1, checkpoint_ns: 1, checkpoint_id: 1 };
  const typed = (
    name: string,
    collection: Named,
    field: "checkpoint" | "value",
    placeOf: (document: Document) => Place,
    more: Document = {},
  ): DocumentField => ({
    name,
    collection: rawOf(database, collection),
    projection: { ...address, type: 1, [field]: 1, ...more },
    reseal(document) {
      const { type } = document as { readonly type: string };
      if (type !== "json" && type !== "bytes" && type !== SEALED_TYPE) return null;
      const stored = bytesOf(document[field] as Bytes);
      const encoded: Encoded = type === "json" ? stored.toString("utf8") : stored;
      const { keyId, next } = resealData(resealer, encoded, placeOf(document));
      if (next === null) return { keyId, next: null };
      const isSealed = next instanceof Uint8Array && areSealed(next);
      const isBytes = next instanceof Uint8Array;
      const data = isBytes ? Buffer.from(next) : Buffer.from(typeof next === "string" ? next : `[${next.join(",")}]`);
      const set = { type: isSealed ? SEALED_TYPE : isBytes ? "bytes" : "json", [field]: data };
      return { keyId, next: { was: { type, [field]: document[field] }, set } };
    },
  });
  const partsOf = ({ thread_id, checkpoint_ns, checkpoint_id }: Document): [string, string, string] => [
    String(thread_id),
    String(checkpoint_ns),
    String(checkpoint_id),
  ];
  return [
    {
      name: "checkpoints: metadata",
      collection: rawOf(database, checkpoints),
      projection: { ...address, metadata: 1 },
      reseal(document) {
        const text = bytesOf(document["metadata"] as Bytes).toString("utf8");
        const { keyId, next } = resealMetadata(resealer, text, CHECKPOINT_PLACES.metadata(...partsOf(document)));
        if (next === null) return { keyId, next: null };
        const fields = { metadata: Buffer.from(next), metadata_search: searchable(JSON.parse(next) as object) };
        return { keyId, next: { was: { metadata: document["metadata"] }, set: fields } };
      },
    },
    typed("checkpoints: values", checkpoints, "checkpoint", (document) =>
      CHECKPOINT_PLACES.checkpoint(...partsOf(document)),
    ),
    typed(
      "checkpoints: pending writes",
      writes,
      "value",
      (document) => CHECKPOINT_PLACES.write(...partsOf(document), String(document["task_id"]), Number(document["idx"])),
      { task_id: 1, idx: 1 },
    ),
  ];
}

type Named = Pick<Collection, "collectionName">;

/** A collection whose documents may be anything. */
function rawOf({ db }: MongoDatabase, { collectionName }: Named): Collection {
  return db.collection(collectionName, { promoteBuffers: true });
}

/** What a document goes by, for who has to find it: the address of a checkpoint, else its id. */
function nameOf(document: Document): string {
  const { _id, thread_id: thread, checkpoint_id: checkpoint, task_id: task, idx } = document;
  const parts = thread === undefined ? [_id] : [thread, checkpoint, task, idx].filter((part) => part !== undefined);
  return parts.map(String).join(" ");
}

/**
 * A document over 16 MiB, or a command that holds one: as the server says it (10334 BSONObjectTooLarge; 17419 and 17420 of an update's
 * result; 2 of FerretDB), and the driver (bson 7), whose buffer of 17 MiB is full before.
 */
function isTooLarge(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && (at.code === 10334 || at.code === 17419 || at.code === 17420)) return true;
    if (/too large|larger than|out of range|out of bounds|maximum size/i.test(at.message)) return true;
  }
  return false;
}

function bytesOf(value: Bytes): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer);
}

function cellsOf({ retrying }: MongoDatabase, field: DocumentField): CellTable<Document, FieldChange> {
  const { name, collection, projection, reseal } = field;
  return {
    name,
    read: (after, limit) => {
      const condition = after === null ? {} : { _id: { $gt: after["_id"] } };
      return retrying(() =>
        collection
          .find(condition as Document, { projection })
          .sort({ _id: 1 })
          .limit(limit)
          .toArray(),
      );
    },
    reseal,
    async replace(changes) {
      let replaced = 0;
      const refused: string[] = [];
      for (const { cell, next } of changes) {
        const condition = { _id: cell["_id"], ...next.was } as Document;
        try {
          const { modifiedCount } = await retrying(() => collection.updateOne(condition, { $set: next.set }));
          replaced += modifiedCount;
        } catch (error) {
          if (!isTooLarge(error)) throw error;
          refused.push(`${collection.collectionName} ${nameOf(cell)}`);
        }
      }
      return { replaced, refused };
    },
  };
}
