import { describe, expect, it } from "vitest";
import { ALL_ROWS } from "../../../src/core/auth.js";
import type { ItemPut } from "../../../src/core/indexed-items.js";
import { createIndexedItems, type ItemTtl } from "../../../src/embeddings/indexed-items.js";
import { createMemoryItems } from "../../../src/stores/memory/items.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { letterIndex } from "./letter-model.js";

const MINUTE_MS = 60_000;

function open(options: { readonly fields?: readonly string[]; readonly ttl?: ItemTtl } = {}) {
  const clock = fakeClock();
  const items = createMemoryItems(clock, { dims: 26 });
  const index = letterIndex(options.fields ?? ["text"]);
  const ttl = options.ttl === undefined ? {} : { ttl: options.ttl };
  return { clock, items, index, indexed: createIndexedItems({ items, index, ...ttl }) };
}

const put = (key: string, value: ItemPut["value"], more: Partial<ItemPut> = {}): ItemPut => ({
  namespace: ["a"],
  key,
  value,
  access: ALL_ROWS,
  ...more,
});
const SEARCH = { namespacePrefix: ["a"], limit: 10, offset: 0, access: ALL_ROWS };

describe("items with an index", () => {
  it("embeds a batch in one call, each text once, and finds by meaning", async () => {
    const { indexed, index } = open();
    await indexed.putAll([put("1", { text: "cat" }), put("2", { text: "dog" }), put("3", { text: "cat" })]);
    expect(index.calls).toEqual([["cat", "dog"]]);
    const found = await indexed.search({ ...SEARCH, query: "act" });
    expect(found.map(({ key, score }) => [key, score?.toFixed(2)])).toEqual(
      expect.arrayContaining([
        ["1", "1.00"],
        ["3", "1.00"],
        ["2", "0.00"],
      ]),
    );
    expect(found.at(-1)?.key).toBe("2");
    expect((await indexed.search({ ...SEARCH, query: "  " }))[0]?.score).toBeUndefined();
  });

  it("embeds what a put names instead, or nothing", async () => {
    const { indexed, index } = open();
    await indexed.putAll([
      put("named", { text: "cat", title: "dog" }, { index: ["title"] }),
      put("off", { text: "cat" }, { index: false }),
      put("nothing there", { other: "x" }),
    ]);
    expect(index.calls).toEqual([["dog"]]);
    expect((await indexed.search({ ...SEARCH, query: "dog" })).map(({ key }) => key)).toEqual(["named"]);
  });

  it("stores nothing of a batch whose texts could not all be embedded", async () => {
    const { indexed, index } = open();
    await indexed.putAll([put("1", { text: "old" })]);
    index.refused.add("bad");
    const batch = [put("1", { text: "new" }), put("2", { text: "bad" })];
    await expect(indexed.putAll(batch)).rejects.toMatchObject({ code: "EMBEDDING_FAILED" });
    expect(await indexed.get({ namespace: ["a"], key: "1", access: ALL_ROWS })).toMatchObject({
      item: { value: { text: "old" } },
    });
    expect((await indexed.get({ namespace: ["a"], key: "2", access: ALL_ROWS })).kind).toBe("missing");
  });

  it("refuses paths that are none and values with too many texts, by name", async () => {
    const { indexed } = open();
    const refused = async (one: ItemPut, message: RegExp) =>
      expect(indexed.putAll([one])).rejects.toMatchObject({
        code: "ITEM_INVALID",
        message: expect.stringMatching(message) as string,
      });
    await refused(put("1", {}, { index: ["ok", "a[x]"] }), /^index\[1\]: "a\[x\]" has/);
    await refused(put("1", {}, { index: Array.from({ length: 65 }, () => "a") }), /65 paths; 64 are allowed/);
    const list = Array.from({ length: 257 }, (_, i) => `t${i}`);
    await refused(put("1", { list }, { index: ["list[*]"] }), /more than 256 texts/);
    await refused(put("1", { text: "x".repeat(1_000_001) }), /1000000 characters of text/);
  });

  it("without one refuses a query, and remembers what puts said of it", async () => {
    const { items, index } = open();
    const plain = createIndexedItems({ items });
    await plain.putAll([
      put("off", { text: "x" }, { index: false }),
      put("named", { text: "x" }, { index: ["t"] }),
      put("on", { text: "x" }),
    ]);
    await expect(plain.search({ ...SEARCH, query: "x" })).rejects.toMatchObject({ code: "UNSUPPORTED_OPTION" });
    const { items: stale } = await items.scan({
      namespacePrefix: [],
      staleFor: index.fingerprint,
      limit: 10,
      after: null,
      access: ALL_ROWS,
    });
    const paths = Object.fromEntries(stale.map(({ item, embedding }) => [item.key, embedding?.paths ?? null]));
    expect(paths).toEqual({ off: [], named: ["t"], on: null });
  });
});

describe("items with times to live", () => {
  const alive = async ({ indexed }: Pick<ReturnType<typeof open>, "indexed">, key: string, refreshTtl?: boolean) =>
    (await indexed.get({ namespace: ["a"], key, access: ALL_ROWS, ...(refreshTtl !== undefined && { refreshTtl }) }))
      .kind === "found";

  it("have the default, their own, or none", async () => {
    const opened = open({ ttl: { defaultTtlMs: MINUTE_MS, refreshOnRead: false } });
    await opened.indexed.putAll([
      put("default", {}),
      put("longer", {}, { ttlMs: 3 * MINUTE_MS }),
      put("for ever", {}, { ttlMs: null }),
    ]);
    opened.clock.advance(2 * MINUTE_MS);
    expect(await Promise.all(["default", "longer", "for ever"].map((key) => alive(opened, key)))).toEqual([
      false,
      true,
      true,
    ]);
    opened.clock.advance(2 * MINUTE_MS);
    expect(await Promise.all(["longer", "for ever"].map((key) => alive(opened, key)))).toEqual([false, true]);
  });

  it.each([true, false])("reads lengthen them as configured (%s) or as they say", async (refreshOnRead) => {
    const opened = open({ ttl: { defaultTtlMs: 3 * MINUTE_MS, refreshOnRead } });
    const keys = ["configured", "yes", "no", "searched"];
    await opened.indexed.putAll(keys.map((key) => put(key, {})));
    opened.clock.advance(2 * MINUTE_MS);
    await alive(opened, "configured");
    await alive(opened, "yes", true);
    await alive(opened, "no", false);
    opened.clock.advance(2 * MINUTE_MS);
    expect(await Promise.all(keys.map((key) => alive(opened, key, false)))).toEqual([
      refreshOnRead,
      true,
      false,
      false,
    ]);
    await opened.indexed.search({ ...SEARCH, refreshTtl: true });
    opened.clock.advance(2 * MINUTE_MS);
    expect(await alive(opened, "yes", false)).toBe(true);
  });
});
