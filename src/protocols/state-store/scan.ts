import type { RecordStore, StoredRecord } from "../../core/record.js";
import type { Owners } from "./owners.js";
import { ownerOfPrefix, SPACE, STATE_LABEL } from "./places.js";
import { nextPageSize, recordsByKey } from "./records-by-key.js";

/** A value with the namespace of its item. */
export interface ScannedValue {
  readonly namespace: readonly string[];
  readonly record: StoredRecord;
}

/** Looks at values of several workflows, and owners, as searches of items do. */
export interface StateScan {
  /** The latest written ones under a prefix of namespaces: of each owner, and in no order among owners. */
  latest(
    prefix: readonly string[],
    wantedOfEach: number,
    passes: (value: ScannedValue) => boolean,
  ): AsyncIterable<ScannedValue>;
  /** All under a prefix. */
  all(prefix: readonly string[]): AsyncIterable<ScannedValue>;
}

/** Searches mostly want ten. */
const FIRST_PAGE = 25;

export function createStateScan(records: RecordStore, owners: Owners): StateScan {
  return {
    async *latest(prefix, wantedOfEach, passes) {
      for await (const { labels, collection } of placesUnder(owners, prefix)) {
        const place = { space: SPACE, owner: ownerOfPrefix(labels), ...collection };
        let found = 0;
        let size = FIRST_PAGE;
        for (let offset = 0; found < wantedOfEach;) {
          const page = await records.list({ ...place, order: "updated", direction: "desc", limit: size, offset });
          for (const record of page) {
            const value = { namespace: namespaceOf(labels, record), record };
            if (found >= wantedOfEach || !passes(value)) continue;
            found += 1;
            yield value;
          }
          if (page.length < size) break;
          offset += page.length;
          size = nextPageSize(size, page);
        }
      }
    },
    async *all(prefix) {
      for await (const { labels, collection } of placesUnder(owners, prefix)) {
        for await (const record of recordsByKey(records, {
          space: SPACE,
          owner: ownerOfPrefix(labels),
          ...collection,
        })) {
          yield { namespace: namespaceOf(labels, record), record };
        }
      }
    },
  };
}

/** Owners, and where the prefix names one their workflow, whose values lie under a prefix of namespaces. */
async function* placesUnder(
  owners: Owners,
  prefix: readonly string[],
): AsyncGenerator<
  { readonly labels: readonly string[]; readonly collection: { readonly collection?: string } },
  undefined
> {
  // `state` may be a caller's own label, too: each reading is looked at.
  const [before, last] = [prefix.at(-2), prefix.at(-1)];
  if (before === STATE_LABEL && last !== undefined)
    yield { labels: prefix.slice(0, -2), collection: { collection: last } };
  if (last === STATE_LABEL) yield { labels: prefix.slice(0, -1), collection: {} };
  for await (const labels of owners.under(prefix)) yield { labels, collection: {} };
}

function namespaceOf(labels: readonly string[], { collection }: StoredRecord): readonly string[] {
  return [...labels, STATE_LABEL, collection];
}
