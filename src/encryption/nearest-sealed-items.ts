import type { Cipher } from "../core/cipher.js";
import { matchesItemFilter } from "../core/item-filter.js";
import { namespaceText } from "../core/item-namespace.js";
import type { FoundItem, ItemStore } from "../core/item-store.js";
import { bestSimilarity } from "../core/item-vectors.js";
import type { Item } from "../core/item.js";
import { openVectors, sealedFingerprint } from "./sealed-item-vectors.js";
import { openItem } from "./sealed-rows.js";

/** Items whose vectors are opened between two questions to the storage. */
const SCAN_ITEMS = 500;

/** The items whose best vectors are most like `query`: every one under the prefix is read and its vectors opened. */
export async function nearestSealedItems(
  { store, cipher }: { readonly store: ItemStore; readonly cipher: Cipher },
  params: Parameters<ItemStore["search"]>[0],
  query: Float64Array,
): Promise<readonly FoundItem[]> {
  const { namespacePrefix, filter = {}, limit, offset, access, fingerprint, refreshTtl = false } = params;
  const current = fingerprint && sealedFingerprint(fingerprint);
  let best: { readonly item: Item; readonly score: number; readonly text: string }[] = [];
  const wanted = offset + limit;
  const cut = (): void => {
    // Of equal scores the order is that of places.
    best.sort((a, b) => b.score - a.score || (a.text < b.text ? -1 : 1));
    best = best.slice(0, wanted);
  };
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<ItemStore["scan"]>> = await store.scan({
      namespacePrefix,
      limit: SCAN_ITEMS,
      after,
      access,
    });
    for (const { item, embedding } of page.items) {
      if (current !== undefined && embedding?.fingerprint !== current) continue;
      // Of the stored value filters see the clear copies.
      if (!matchesItemFilter(item.value, filter)) continue;
      const score = bestSimilarity(query, openVectors(cipher, item, item.value));
      if (score !== null) best.push({ item, score, text: `${namespaceText(item.namespace)}${item.key}` });
    }
    if (best.length > 2 * wanted + SCAN_ITEMS) cut();
    after = page.next;
  } while (after !== null);
  cut();
  const found = best.slice(offset);
  if (refreshTtl) {
    for (const { item } of found) {
      await store.get({ namespace: item.namespace, key: item.key, access, refreshTtl });
    }
  }
  return found.map(({ item, score }) => Object.assign(openItem(cipher, item), { score }));
}
