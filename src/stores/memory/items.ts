import type { StoreClock } from "../../core/clock.js";
import { checkItemFilter, isItemVisible, matchesItemFilter } from "../../core/item-filter.js";
import { createNamespaceListing, literalPrefix } from "../../core/item-namespace.js";
import type { ItemStore } from "../../core/item-store.js";
import type { EpochMs } from "../../core/json.js";
import { copyJson } from "../../core/json.js";
import type { TransferRow } from "../../core/row-transfer.js";
import { unitQuery, unitVectors, type VectorOptions, vectorBytes, vectorOf } from "../../core/item-vectors.js";
import { startTimeSlice } from "../time-slice.js";
import { itemRow, transferKey, valueOf } from "../transfer-rows.js";
import { createItemRows, itemOf, type ItemContent, type ItemRow, itemView, placesUnder } from "./item-rows.js";
import { nearestItems } from "./nearest-items.js";

/** How many rows are decided between two looks at the clock. */
const ROWS_PER_LOOK = 8;

/** An item store whose rows `heddle copy` can read and write. */
export interface MemoryItems extends ItemStore {
  readonly transfer: {
    read(after: string | null, limit: number): readonly TransferRow[];
    write(rows: readonly TransferRow[]): void;
  };
}

/**
 * The long-term store in memory. Values are copied when they come in and when they go out.
 * @param vectors absent: it keeps none
 */
export function createMemoryItems(clock: StoreClock, vectors?: VectorOptions): MemoryItems {
  const rows = createItemRows();

  const isLive = ({ content: { expiresAt } }: ItemRow): boolean => expiresAt === null || expiresAt > clock.now();

  /** Rows change and go while a search pauses. */
  const isThere = (row: ItemRow): boolean => row.place.items.get(row.key) === row && isLive(row);

  const find = (namespace: readonly string[], key: string): ItemRow | undefined => {
    const row = rows.find(namespace, key);
    return row !== undefined && isLive(row) ? row : undefined;
  };

  const refresh = (row: ItemRow): void => {
    const { ttlMs } = row.content;
    if (ttlMs !== null) rows.change(row, { ...row.content, expiresAt: clock.now() + ttlMs });
  };

  return {
    async put({ namespace, key, value, access, ttlMs = null, vectors: given, embedding = null }) {
      const existing = find(namespace, key);
      if (existing !== undefined && !isItemVisible(access, itemView(existing))) return { kind: "hidden" };
      if (!isItemVisible(access, { namespace, key, value })) return { kind: "forbidden" };
      const now = clock.now();
      const content: ItemContent = {
        value: copyJson(value),
        updatedAt: now,
        ttlMs,
        expiresAt: ttlMs === null ? null : now + ttlMs,
        embedding,
        vectors: unitVectors(given, vectors),
      };
      if (existing !== undefined) rows.change(existing, content);
      else {
        const expired = rows.find(namespace, key);
        if (expired !== undefined) rows.remove(expired);
        rows.insert({ namespace, key, createdAt: now }, content);
      }
      return { kind: "stored" };
    },

    async get({ namespace, key, access, refreshTtl = false }) {
      const row = find(namespace, key);
      if (row === undefined) return { kind: "missing" };
      if (!isItemVisible(access, itemView(row))) return { kind: "hidden" };
      if (refreshTtl) refresh(row);
      return { kind: "found", item: itemOf(row) };
    },

    async delete({ namespace, key, access }) {
      const row = find(namespace, key);
      if (row === undefined) return { kind: "missing" };
      if (!isItemVisible(access, itemView(row))) return { kind: "hidden" };
      rows.remove(row);
      return { kind: "deleted" };
    },

    async search({ namespacePrefix, filter = {}, limit, offset, access, nearest, fingerprint, refreshTtl = false }) {
      checkItemFilter(filter);
      const query = nearest && unitQuery(nearest, vectors);
      const candidates = rows.latestUnder(namespacePrefix);
      const passes = (row: ItemRow): boolean =>
        isThere(row) && matchesItemFilter(row.content.value, filter) && isItemVisible(access, itemView(row));
      if (query !== undefined) {
        const isOf = ({ content: { embedding } }: ItemRow): boolean =>
          fingerprint === undefined || embedding?.fingerprint === fingerprint;
        const found = await nearestItems(candidates, query, { limit, offset }, (row) => isOf(row) && passes(row));
        if (refreshTtl) for (const { row } of found) refresh(row);
        return found.map(({ item }) => item);
      }
      const slice = startTimeSlice();
      const found: ItemRow[] = [];
      for (let i = 0; i < candidates.length && found.length < offset + limit; i += 1) {
        if (i % ROWS_PER_LOOK === 0 && slice.isOver()) await slice.next();
        const row = candidates[i] as ItemRow;
        if (passes(row)) found.push(row);
      }
      const page = found.slice(offset);
      if (refreshTtl) for (const row of page) if (isThere(row)) refresh(row);
      return page.map(itemOf);
    },

    async listNamespaces({ limit, offset, access, ...query }) {
      const slice = startTimeSlice();
      const listing = createNamespaceListing(query);
      let looked = 0;
      // A snapshot: namespaces may come and go while the walk pauses.
      const places = [...rows.under(literalPrefix(query.prefix ?? []))];
      for (const place of places) {
        looked += 1;
        if (looked % ROWS_PER_LOOK === 0 && slice.isOver()) await slice.next();
        if (!listing.wants(place.namespace)) continue;
        for (const row of place.items.values()) {
          if (!isLive(row) || !isItemVisible(access, itemView(row))) continue;
          listing.add(place.namespace);
          break;
        }
      }
      return listing.page(limit, offset);
    },

    async scan({ namespacePrefix, staleFor, limit, after, access }) {
      const slice = startTimeSlice();
      const last = after === null ? 0 : Number(after);
      const isUnder = placesUnder(namespacePrefix);
      const found: ItemRow[] = [];
      const candidates = [
        ...rows.byCreation.range(
          (row) => row.sequence <= last,
          () => true,
        ),
      ];
      for (const row of candidates) {
        if (slice.isOver()) await slice.next();
        if (staleFor !== undefined && row.content.embedding?.fingerprint === staleFor) continue;
        if (!isUnder(row.place.text) || !isThere(row) || !isItemVisible(access, itemView(row))) continue;
        found.push(row);
        if (found.length >= limit) break;
      }
      const next = found.length < limit ? null : String(found.at(-1)?.sequence ?? last);
      return { items: found.map((row) => ({ item: itemOf(row), embedding: row.content.embedding })), next };
    },

    async embed({ namespace, key, updatedAt, vectors: given, embedding, value }) {
      const units = unitVectors(given, vectors);
      const row = find(namespace, key);
      if (row === undefined || row.content.updatedAt !== updatedAt) return false;
      if (row.content.embedding?.fingerprint === embedding.fingerprint) return false;
      const changed = value === undefined ? row.content.value : copyJson(value);
      rows.change(row, { ...row.content, value: changed, embedding, vectors: units });
      return true;
    },

    async sweepExpired({ limit }) {
      const now = clock.now();
      const expired: ItemRow[] = [];
      for (const row of rows.byExpiry.walk("asc")) {
        if (expired.length >= limit || !isExpired(row.content.expiresAt, now)) break;
        expired.push(row);
      }
      for (const row of expired) rows.remove(row);
      return expired.length;
    },

    transfer: {
      read: (after, limit) =>
        [...rows.byCreation]
          .map((row) => ({ row, key: transferKey("items", itemView(row)) }))
          .filter(({ key }) => after === null || key > after)
          .sort((a, b) => (a.key < b.key ? -1 : 1))
          .slice(0, limit)
          .map(({ row }) => transferred(row)),
      write(written) {
        for (const row of written) {
          const { namespace, key, createdAt, ...content } = valueOf("items", row);
          const existing = rows.find(namespace, key);
          if (existing !== undefined) rows.remove(existing);
          const unpacked = content.vectors.map(({ path, values }) => ({
            path,
            values: vectorOf(Buffer.from(values, "base64")),
          }));
          rows.insert({ namespace, key, createdAt }, { ...content, vectors: unpacked });
        }
      },
    },

    async close() {
      rows.clear();
    },
  };
}

function isExpired(expiresAt: EpochMs | null, now: EpochMs): boolean {
  return expiresAt !== null && expiresAt <= now;
}

function transferred(row: ItemRow): TransferRow {
  const { ttlMs, expiresAt, embedding, vectors } = row.content;
  return itemRow({
    ...itemOf(row),
    ttlMs,
    expiresAt,
    embedding,
    vectors: vectors.map(({ path, values }) => ({ path, values: vectorBytes(values).toString("base64") })),
  });
}
