import { afterEach, describe, expect, test } from "vitest";
import { toJsonText } from "../../../src/core/json.js";
import type { RecordStore } from "../../../src/core/record.js";
import { addWithin } from "../../../src/protocols/snapstate/bounded-set.js";
import { createStoreRegistry } from "../../../src/stores/registry.js";
import { createStorage } from "../../support/server.js";
import { PROTOCOL_STORAGES } from "./served.js";

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function openRecords(uri: string): Promise<RecordStore> {
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const { metadata } = await createStoreRegistry([]).open(uri, { cwd: process.cwd(), logger });
  open.push(() => metadata.close());
  return metadata.records;
}

describe.each(PROTOCOL_STORAGES)("a bounded set on %s", (storage) => {
  test("34: there are no more than there may be, however many come at once from several processes", async () => {
    const { uri, drop } = await createStorage(storage);
    open.push(drop);
    const one = await openRecords(uri);
    // Memory is nobody else's.
    const other = storage === "memory" ? one : await openRecords(uri);
    const place = { owner: "ann", collection: "c" };
    const set = { ...place, space: "sets", key: "set" };
    const add = async (records: RecordStore, key: string): Promise<"added" | "full"> => {
      for (;;) {
        const write = { ...place, space: "things", key, expected: 0, disposable: true, value: toJsonText({ key }) };
        const { kind } = await addWithin(records, { set, max: 3, write });
        if (kind !== "raced") return kind;
      }
    };
    const added = await Promise.all(Array.from({ length: 8 }, (_, n) => add(n % 2 === 0 ? one : other, `k${n}`)));
    expect(added.toSorted()).toEqual([...Array<string>(3).fill("added"), ...Array<string>(5).fill("full")]);
    const there = await one.list({ ...place, space: "things", order: "key", direction: "asc", limit: 10, offset: 0 });
    expect(there.map(({ key }) => key)).toEqual(added.flatMap((kind, n) => (kind === "added" ? [`k${n}`] : [])));
    // One that goes makes room.
    await other.remove({ ...place, space: "things", key: there[0]?.key ?? "" });
    expect([await add(one, "later"), await add(other, "too-late")]).toEqual(["added", "full"]);
  });
});
