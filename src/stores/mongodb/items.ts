import { randomUUID } from "node:crypto";
import type { Filter } from "mongodb";
import { HeddleError } from "../../core/errors.js";
import { checkItemFilter, isItemVisible, matchesItemFilter } from "../../core/item-filter.js";
import { createNamespaceListing, literalPrefix, namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemStore } from "../../core/item-store.js";
import type { Item } from "../../core/item.js";
import type { AccessFilter } from "../../core/auth.js";
import { type JsonObject, toJsonText } from "../../core/json.js";
import { isDuplicateKey } from "../../databases/mongodb/failures.js";
import type { MongoDatabase } from "../../databases/mongodb/open.js";
import { startTimeSlice } from "../time-slice.js";
import { collectionsOf } from "./collections.js";
import type { ItemDocument } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import { itemOf } from "./rows.js";
import { plainItems } from "../plain-items.js";

/** MongoDB's limit of 16 MiB, less what an item's other fields may take. */
const MAX_VALUE_BYTES = 16 * 1024 * 1024 - 64 * 1024;
const MAX_TRIES = 50;
const BATCH = 200;

/** The long-term store in MongoDB. @param close gives the connections back */
export function createMongoItems(database: MongoDatabase, close: () => Promise<void>): ItemStore {
  const { items } = collectionsOf(database.db);

  const find = (namespace: readonly string[], key: string): Promise<ItemDocument | null> =>
    database.retrying(() => items.findOne({ _id: itemId(namespace, key) }));

  return plainItems({
    async put({ namespace, key, value, access }) {
      const text = toJsonText(value);
      const sizeBytes = Buffer.byteLength(text);
      if (sizeBytes > MAX_VALUE_BYTES) {
        throw new HeddleError("ITEM_INVALID", {
          message: `The item "${key}" has ${sizeBytes} bytes as JSON; MongoDB stores at most ${MAX_VALUE_BYTES} in one document. Split it.`,
          details: { limitBytes: MAX_VALUE_BYTES, sizeBytes },
        });
      }
      const place = { _id: itemId(namespace, key), namespace: namespaceText(namespace), key };
      if (access.kind === "all") await upsert(database, place, text);
      else return putVisible(database, { place, text, access, value, namespace });
      return { kind: "stored" };
    },

    async get({ namespace, key, access }) {
      const document = await find(namespace, key);
      if (document === null) return { kind: "missing" };
      const item = itemOf(document);
      return isItemVisible(access, item) ? { kind: "found", item } : { kind: "hidden" };
    },

    async delete({ namespace, key, access }) {
      const document = await find(namespace, key);
      if (document === null) return { kind: "missing" };
      if (!isItemVisible(access, itemOf(document))) return { kind: "hidden" };
      await database.retrying(() => items.deleteOne({ _id: document._id }));
      return { kind: "deleted" };
    },

    async search({ namespacePrefix, filter = {}, limit, offset, access }) {
      checkItemFilter(filter);
      if (limit <= 0) return [];
      const under = itemsUnder(namespacePrefix);
      const sort = { updatedAt: -1, _id: -1 } as const;
      if (access.kind === "all" && Object.keys(filter).length === 0) {
        const page = await database.retrying(() => items.find(under, { sort }).skip(offset).limit(limit).toArray());
        return page.map(itemOf);
      }
      return database.retrying(async () => {
        const found: Item[] = [];
        const slice = startTimeSlice();
        for await (const document of items.find(under, { sort, batchSize: BATCH })) {
          const item = itemOf(document);
          if (matchesItemFilter(item.value, filter) && isItemVisible(access, item)) found.push(item);
          if (found.length >= offset + limit) break;
          if (slice.isOver()) await slice.next();
        }
        return found.slice(offset);
      });
    },

    async listNamespaces({ limit, offset, access, ...query }) {
      const listing = createNamespaceListing(query);
      const texts = await database.retrying(() =>
        items
          .aggregate<{ _id: string }>([
            { $match: itemsUnder(literalPrefix(query.prefix ?? [])) },
            { $group: { _id: "$namespace" } },
          ])
          .toArray(),
      );
      for (const { _id: text } of texts) {
        const namespace = JSON.parse(text) as readonly string[];
        if (listing.wants(namespace) && (await hasVisibleItem(database, text, access))) listing.add(namespace);
      }
      return listing.page(limit, offset);
    },

    close,
  });
}

type Place = Pick<ItemDocument, "_id" | "namespace" | "key">;

async function upsert(database: MongoDatabase, place: Place, value: string): Promise<void> {
  const { items } = collectionsOf(database.db);
  const { _id, ...inserted } = place;
  await database.retrying(async () => {
    const updatedAt = database.serverNow();
    const update = {
      $set: { value, rev: randomUUID(), updatedAt },
      $setOnInsert: { ...inserted, createdAt: updatedAt },
    };
    try {
      await items.updateOne({ _id }, update, { upsert: true });
    } catch (error) {
      // Two that insert at the same time: the second one updates.
      if (!isDuplicateKey(error)) throw error;
      await items.updateOne({ _id }, update);
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
  },
): Promise<Awaited<ReturnType<ItemStore["put"]>>> {
  const { items } = collectionsOf(database.db);
  const { place, text, access, value, namespace } = params;
  const { _id, key } = place;
  const rev = randomUUID();
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const existing = await database.retrying(() => items.findOne({ _id }));
    if (existing?.rev === rev) return { kind: "stored" };
    if (existing !== null && !isItemVisible(access, itemOf(existing))) return { kind: "hidden" };
    if (!isItemVisible(access, { namespace, key, value })) return { kind: "forbidden" };
    const updatedAt = database.serverNow();
    const fields = { value: text, rev, updatedAt };
    const isWritten = await database.retrying(async () => {
      if (existing === null) return insertOnce(items, { ...place, ...fields, createdAt: updatedAt });
      return (await items.updateOne({ _id, rev: existing.rev }, { $set: fields })).matchedCount > 0;
    });
    if (isWritten) return { kind: "stored" };
  }
  throw new HeddleError("STORAGE_UNAVAILABLE", {
    message: `The item "${key}" could not be written: others write it all the time.`,
  });
}

/** Key of an item's document. */
function itemId(namespace: readonly string[], key: string): string {
  return JSON.stringify([namespace, key]);
}

function itemsUnder(prefix: readonly string[]): Filter<ItemDocument> {
  if (prefix.length === 0) return {};
  const { from, to } = namespaceRange(prefix);
  return { $or: [{ namespace: namespaceText(prefix) }, { namespace: { $gte: from, $lt: to } }] };
}

async function hasVisibleItem(database: MongoDatabase, namespace: string, access: AccessFilter): Promise<boolean> {
  if (access.kind === "all") return true;
  const { items } = collectionsOf(database.db);
  return database.retrying(async () => {
    const slice = startTimeSlice();
    for await (const document of items.find({ namespace }, { batchSize: BATCH })) {
      if (isItemVisible(access, itemOf(document))) return true;
      if (slice.isOver()) await slice.next();
    }
    return false;
  });
}
