import { toJsonText } from "../../core/json.js";
import type { RecordStore } from "../../core/record.js";
import { recordsByKey } from "./records-by-key.js";
import { LONG_OWNER, ownerOfPrefix, workflowOf } from "./places.js";

/** Of the records that say which owners there are, for who looks at the values of several. */
const OWNERS = { space: "state-store-owners", owner: "", collection: "owners" } as const;

/** Ends of ranges have no more characters than keys (core/record.ts). */
const MAX_RANGE_CHARS = 1_000;

/** Owners that this process knows to be written down. */
const MAX_KNOWN = 10_000;

/** Whose values there are: the labels that their namespaces begin with. */
export interface Owners {
  /** Before a value is written. Nothing is kept of namespaces that begin with the workflow's labels. */
  remember(namespace: readonly string[]): Promise<void>;
  /** Prefixes of namespaces that begin with these labels, `prefix` itself included whether or not it has values. */
  under(prefix: readonly string[]): AsyncIterable<readonly string[]>;
}

export function createOwners(records: RecordStore): Owners {
  const known = new Set<string>();
  return {
    async remember(namespace) {
      const { prefix = [] } = workflowOf(namespace) ?? {};
      const key = ownerOfPrefix(prefix);
      if (key === "" || known.has(key)) return;
      await records.write({ ...OWNERS, key, value: toJsonText(prefix), expected: 0 });
      if (known.size >= MAX_KNOWN) known.clear();
      known.add(key);
    },
    async *under(prefix) {
      yield prefix;
      const own = ownerOfPrefix(prefix);
      for (const range of keysBelow(prefix)) {
        for await (const { key, value } of recordsByKey(records, { ...OWNERS, ...range })) {
          const labels = JSON.parse(value) as readonly string[];
          if (key !== own && prefix.every((label, at) => labels[at] === label)) yield labels;
        }
      }
    },
  };
}

/** Above all that may follow in a key. */
const LAST = "\u{10FFFF}";

/** Where the keys of owners lie whose labels begin with these: who looks at his own reads no one else's. */
function keysBelow(prefix: readonly string[]): readonly { readonly fromKey?: string; readonly toKey?: string }[] {
  if (prefix.length === 0) return [{}];
  const start = JSON.stringify(prefix).slice(0, -1);
  const long = { fromKey: LONG_OWNER, toKey: LONG_OWNER + LAST };
  // Labels longer than that are no part of a key.
  return start.length >= MAX_RANGE_CHARS ? [long] : [{ fromKey: `${start},`, toKey: `${start},${LAST}` }, long];
}
