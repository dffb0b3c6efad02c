import { randomUUID } from "node:crypto";
import type { Filter } from "mongodb";
import type { AccessFilter } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import { checkItemFilter, isItemVisible, matchesItemFilter } from "../../core/item-filter.js";
import { createNamespaceListing, literalPrefix, namespaceText } from "../../core/item-namespace.js";
import type { ItemStore } from "../../core/item-store.js";
import { type JsonObject, toJsonText } from "../../core/json.js";
import { isDuplicateKey } from "../../databases/mongodb/failures.js";
import type { MongoDatabase } from "../../databases/mongodb/open.js";
import { unitQuery, unitVectors, type VectorOptions } from "../../core/item-vectors.js";
import { startTimeSlice } from "../time-slice.js";
import { collectionsOf } from "./collections.js";
import type { ItemDocument, ItemExtras } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import {
  embeddingFields,
  embeddingOf,
  extrasOf,
  isLive,
  itemId,
  itemOf,
  itemsUnder,
  liveAt,
  packed,
  WITHOUT_VECTORS,
  withUnset,
} from "./item-documents.js";
import { createNearestItems } from "./nearest-items.js";

/** MongoDB's limit of 16 MiB, less what an item's other fields may take. */
const MAX_ITEM_BYTES = 16 * 1024 * 1024 - 64 * 1024;
const MAX_TRIES = 50;
const BATCH = 200;

type Found = Omit<ItemDocument, "vectors">;

/**
 * The long-term store in MongoDB.
 * @param close gives the connections back
 * @param vectors absent: it keeps none
 */
export function createMongoItems(
  database: MongoDatabase,
  close: () => Promise<void>,
  vectors?: VectorOptions,
): ItemStore {
  const { items } = collectionsOf(database.db);
  const nearestItems = vectors && createNearestItems(database, vectors.dims);

  /** Only while they are as they were read: a put in between has a time of its own. */
  const refresh = async (documents: readonly Pick<ItemDocument, "_id" | "rev" | "ttlMs">[]): Promise<void> => {
    const now = database.serverNow();
    const writes = documents.flatMap(({ _id, rev, ttlMs }) =>
      ttlMs === undefined
        ? []
        : [{ updateOne: { filter: { _id, rev, ...liveAt(now) }, update: { $set: { expiresAt: now + ttlMs } } } }],
    );
    if (writes.length > 0) await database.retrying(() => items.bulkWrite(writes));
  };

  return {
    async put({ namespace, key, value, access, ttlMs = null, vectors: given, embedding }) {
      const text = toJsonText(value);
      const units = unitVectors(given, vectors);
      const sizeBytes = Buffer.byteLength(text) + units.reduce((sum, { values }) => sum + values.byteLength + 200, 0);
      if (sizeBytes > MAX_ITEM_BYTES) {
        throw new HeddleError("ITEM_INVALID", {
          message: `The item "${key}" has ${sizeBytes} bytes as JSON, with its vectors; MongoDB stores at most ${MAX_ITEM_BYTES} in one document. Split it.`,
          details: { limitBytes: MAX_ITEM_BYTES, sizeBytes },
        });
      }
      const place = { _id: itemId(namespace, key), namespace: namespaceText(namespace), key };
      const extras = (now: number) => extrasOf({ now, ttlMs, embedding, vectors: units });
      if (access.kind !== "all") return putVisible(database, { place, text, access, value, namespace, extras });
      await upsert(database, place, text, extras);
      return { kind: "stored" };
    },

    async get({ namespace, key, access, refreshTtl = false }) {
      const document = await findItem(database, namespace, key);
      if (document === null) return { kind: "missing" };
      const item = itemOf(document);
      if (!isItemVisible(access, item)) return { kind: "hidden" };
      if (refreshTtl) await refresh([document]);
      return { kind: "found", item };
    },

    delete: (params) => deleteItem(database, params),

    async search(params) {
      const { filter = {}, nearest, refreshTtl = false } = params;
      checkItemFilter(filter);
      const query = nearest && unitQuery(nearest, vectors);
      if (params.limit <= 0) return [];
      if (query !== undefined && nearestItems !== undefined) {
        const found = await nearestItems(params, query);
        if (refreshTtl) await refresh(found.map(({ document }) => document));
        return found.map(({ item }) => item);
      }
      const found = await latestItems(database, params, filter);
      if (refreshTtl) await refresh(found);
      return found.map(itemOf);
    },

    listNamespaces: (query) => listNamespaces(database, query),
    scan: (params) => scanItems(database, params),

    embed: (params) => embedItem(database, params, vectors),

    async sweepExpired({ limit }) {
      const expired = { expiresAt: { $lte: database.serverNow() } };
      const options = { sort: { expiresAt: 1 }, projection: { _id: 1 } } as const;
      const found = await database.retrying(() => items.find(expired, options).limit(limit).toArray());
      if (found.length === 0) return 0;
      const ids = found.map(({ _id }) => _id);
      // Again the condition: one may have been refreshed, or put anew.
      const gone = await database.retrying(() => items.deleteMany({ _id: { $in: ids }, ...expired }));
      return gone.deletedCount;
    },

    close,
  };
}

async function findItem(database: MongoDatabase, namespace: readonly string[], key: string): Promise<Found | null> {
  const { items } = collectionsOf(database.db);

  const _id = itemId(namespace, key);
  // By the id alone: FerretDB 1.24 reads the whole collection for a filter that names more.
  const found = await database.retrying(() => items.findOne({ _id }, { projection: WITHOUT_VECTORS }));
  return found !== null && isLive(found, database.serverNow()) ? found : null;
}

async function latestItems(
  database: MongoDatabase,
  params: Parameters<ItemStore["search"]>[0],
  filter: JsonObject,
): Promise<readonly Found[]> {
  const { items } = collectionsOf(database.db);

  const { namespacePrefix, limit, offset, access } = params;
  const under = { $and: [itemsUnder(namespacePrefix), liveAt(database.serverNow())] };
  const options = { sort: { updatedAt: -1, _id: -1 }, projection: WITHOUT_VECTORS } as const;
  if (access.kind === "all" && Object.keys(filter).length === 0) {
    return database.retrying(() => items.find(under, options).skip(offset).limit(limit).toArray());
  }
  return database.retrying(async () => {
    const found: Found[] = [];
    const slice = startTimeSlice();
    for await (const document of items.find(under, { ...options, batchSize: BATCH })) {
      const item = itemOf(document);
      if (matchesItemFilter(item.value, filter) && isItemVisible(access, item)) found.push(document);
      if (found.length >= offset + limit) break;
      if (slice.isOver()) await slice.next();
    }
    return found.slice(offset);
  });
}

async function listNamespaces(
  database: MongoDatabase,
  { limit, offset, access, ...query }: Parameters<ItemStore["listNamespaces"]>[0],
): ReturnType<ItemStore["listNamespaces"]> {
  const { items } = collectionsOf(database.db);

  const listing = createNamespaceListing(query);
  const under = { $and: [itemsUnder(literalPrefix(query.prefix ?? [])), liveAt(database.serverNow())] };
  const texts = await database.retrying(() =>
    items.aggregate<{ _id: string }>([{ $match: under }, { $group: { _id: "$namespace" } }]).toArray(),
  );
  for (const { _id: text } of texts) {
    const namespace = JSON.parse(text) as readonly string[];
    if (listing.wants(namespace) && (await hasVisibleItem(database, text, access))) listing.add(namespace);
  }
  return listing.page(limit, offset);
}

async function scanItems(
  database: MongoDatabase,
  { namespacePrefix, staleFor, limit, after, access }: Parameters<ItemStore["scan"]>[0],
): ReturnType<ItemStore["scan"]> {
  const { items } = collectionsOf(database.db);

  const filters: Filter<ItemDocument>[] = [itemsUnder(namespacePrefix), liveAt(database.serverNow())];
  if (after !== null) filters.push({ _id: { $gt: after } });
  if (staleFor !== undefined) filters.push({ "embedding.fingerprint": { $ne: staleFor } });
  return database.retrying(async () => {
    const found: Found[] = [];
    const slice = startTimeSlice();
    const cursor = items.find({ $and: filters }, { sort: { _id: 1 }, projection: WITHOUT_VECTORS, batchSize: BATCH });
    for await (const document of cursor) {
      if (isItemVisible(access, itemOf(document))) found.push(document);
      if (found.length >= limit) break;
      if (slice.isOver()) await slice.next();
    }
    return {
      items: found.map((document) => ({ item: itemOf(document), embedding: embeddingOf(document) })),
      next: found.length < limit ? null : (found.at(-1)?._id ?? after),
    };
  });
}

async function deleteItem(
  database: MongoDatabase,
  { namespace, key, access }: Parameters<ItemStore["delete"]>[0],
): ReturnType<ItemStore["delete"]> {
  const { items } = collectionsOf(database.db);

  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const document = await findItem(database, namespace, key);
    if (document === null) return { kind: "missing" };
    if (!isItemVisible(access, itemOf(document))) return { kind: "hidden" };
    const { _id, rev } = document;
    // What was judged, and not what somebody has put in its place since.
    const isGone = await database.retrying(async () => {
      if ((await items.deleteOne({ _id, rev })).deletedCount > 0) return true;
      return (await items.findOne({ _id }, { projection: { _id: 1 } })) === null;
    });
    if (isGone) return { kind: "deleted" };
  }
  throw contended(key);
}

async function embedItem(
  database: MongoDatabase,
  { namespace, key, updatedAt, vectors: given, embedding, value }: Parameters<ItemStore["embed"]>[0],
  vectors: VectorOptions | undefined,
): ReturnType<ItemStore["embed"]> {
  const { items } = collectionsOf(database.db);

  const _id = itemId(namespace, key);
  const rev = randomUUID();
  const units = packed(unitVectors(given, vectors));
  const { set, unset } = withUnset(embeddingFields(embedding, units), ["vectors", "dims"]);
  const filter = { _id, updatedAt, "embedding.fingerprint": { $ne: embedding.fingerprint } };
  const text = value === undefined ? {} : { value: toJsonText(value) };
  return database.retrying(async () => {
    const live = liveAt(database.serverNow());
    const update = changeOf({ ...set, ...text, rev }, unset);
    if ((await items.updateOne({ ...filter, ...live }, update)).matchedCount > 0) return true;
    // Written by the try before, whose answer was lost.
    return (await items.findOne({ _id, rev }, { projection: { _id: 1 } })) !== null;
  });
}

type Place = Pick<ItemDocument, "_id" | "namespace" | "key">;
type Extras = (now: number) => ReturnType<typeof extrasOf>;

/** FerretDB 1.24 refuses an empty `$unset`. */
function changeOf(
  set: ItemExtras & Pick<ItemDocument, "rev"> & Partial<Pick<ItemDocument, "value" | "createdAt" | "updatedAt">>,
  unset: Readonly<Partial<Record<keyof ItemExtras, "">>>,
) {
  return { $set: set, ...(Object.keys(unset).length > 0 && { $unset: unset }) };
}

async function upsert(database: MongoDatabase, place: Place, value: string, extras: Extras): Promise<void> {
  const { items } = collectionsOf(database.db);
  const { _id, ...inserted } = place;
  await database.retrying(async () => {
    const updatedAt = database.serverNow();
    const { set, unset } = extras(updatedAt);
    const before = await items.findOne({ _id }, { projection: { expiresAt: 1 } });
    // What takes the place of an expired one is a new item.
    const isNew = before !== null && !isLive(before, updatedAt);
    const fields = { ...set, value, rev: randomUUID(), updatedAt, ...(isNew && { createdAt: updatedAt }) };
    const change = changeOf(fields, unset);
    const upserted = { ...change, $setOnInsert: { ...inserted, ...(!isNew && { createdAt: updatedAt }) } };
    try {
      await items.updateOne({ _id }, upserted, { upsert: true });
    } catch (error) {
      // Two that insert at the same time: the second one updates.
      if (!isDuplicateKey(error)) throw error;
      await items.updateOne({ _id }, change);
    }
  });
}

/** What is replaced must be visible, and what replaces it too; nobody may write in between. */
async function putVisible(
  database: MongoDatabase,
  params: {
    readonly place: Place;
    readonly text: string;
    readonly access: AccessFilter;
    readonly value: JsonObject;
    readonly namespace: readonly string[];
    readonly extras: Extras;
  },
): Promise<Awaited<ReturnType<ItemStore["put"]>>> {
  const { items } = collectionsOf(database.db);
  const { place, text, access, value, namespace, extras } = params;
  const { _id, key } = place;
  const rev = randomUUID();
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const stored = await database.retrying(() => items.findOne({ _id }, { projection: WITHOUT_VECTORS }));
    if (stored?.rev === rev) return { kind: "stored" };
    const updatedAt = database.serverNow();
    const existing = stored !== null && isLive(stored, updatedAt) ? stored : null;
    if (existing !== null && !isItemVisible(access, itemOf(existing))) return { kind: "hidden" };
    if (!isItemVisible(access, { namespace, key, value })) return { kind: "forbidden" };
    const { set, unset } = extras(updatedAt);
    const fields = { ...set, value: text, rev, updatedAt };
    const isWritten = await database.retrying(async () => {
      if (existing !== null) {
        return (await items.updateOne({ _id, rev: existing.rev }, changeOf(fields, unset))).matchedCount > 0;
      }
      // What takes the place of an expired one is a new item.
      if (stored !== null) await items.deleteOne({ _id, rev: stored.rev });
      return insertOnce(items, { ...place, ...fields, createdAt: updatedAt });
    });
    if (isWritten) return { kind: "stored" };
  }
  throw contended(key);
}

function contended(key: string): HeddleError {
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `The item "${key}" could not be written: others write it all the time.`,
  });
}

async function hasVisibleItem(database: MongoDatabase, namespace: string, access: AccessFilter): Promise<boolean> {
  if (access.kind === "all") return true;
  const { items } = collectionsOf(database.db);
  const live = { namespace, ...liveAt(database.serverNow()) };
  return database.retrying(async () => {
    const slice = startTimeSlice();
    for await (const document of items.find(live, { projection: WITHOUT_VECTORS, batchSize: BATCH })) {
      if (isItemVisible(access, itemOf(document))) return true;
      if (slice.isOver()) await slice.next();
    }
    return false;
  });
}
