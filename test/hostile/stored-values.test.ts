import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HOSTILE_STRINGS } from "../fuzz/hostile-values.js";
import { type Call, requester } from "../support/requests.js";
import { LOCAL_STORAGES, startServer, type StorageName, type TestServer } from "../support/server.js";
import { hasMongo } from "../support/mongodb.js";

const STORAGES: readonly StorageName[] = [...LOCAL_STORAGES, "postgres", ...(hasMongo() ? (["mongodb"] as const) : [])];

/** NUL is replaced on the way in (docs/wire/langgraph-api.md §2.1.4). */
const kept = (text: string): string => text.replaceAll("\u0000", "\ufffd");

/** Texts and objects that say something to a database. */
const INJECTED: readonly unknown[] = [
  { $ne: null },
  { $gt: "" },
  { $exists: true },
  { $regex: ".*" },
  { $where: "return true" },
  { $in: [] },
  { $nin: ["x"] },
  { $not: { $eq: 1 } },
  { $expr: { $eq: [1, 1] } },
  { $or: [{}, {}] },
  [{ $ne: 1 }],
  "' OR '1'='1",
  "x' OR 1=1 --",
  "%",
  "_%",
  "\\",
  "\"}' OR true --",
];
const INJECTED_KEYS = [
  "$where",
  "$or",
  "$and",
  "$ne",
  "$expr",
  "$jsonSchema",
  "a.b",
  "$",
  ".",
  "metadata' OR 1=1 --",
  "\"'`;--",
  "a' ? 'b",
];

describe.each(STORAGES)("whatever text comes, on %s", (storage) => {
  let server: TestServer;
  let call: Call;
  beforeAll(async () => {
    server = await startServer(storage);
    call = requester(server.url);
  });
  afterAll(() => server.close());

  interface Row {
    readonly thread_id: string;
    readonly metadata: Readonly<Record<string, unknown>>;
  }
  const createThread = async (metadata: object) => (await call("POST", "/threads", { metadata } as never)).json as Row;

  test("is kept as metadata and found again, as key and as value", async () => {
    for (const [n, text] of HOSTILE_STRINGS.entries()) {
      for (const metadata of [
        { n, value: text },
        { n, ...Object.fromEntries([[text, n]]) },
      ]) {
        const created = await call("POST", "/threads", { metadata });
        expect([text, created.status], created.text).toEqual([text, 200]);
        const { thread_id: threadId } = created.json as Row;
        const got = (await call("GET", `/threads/${threadId}`)).json as Row;
        const wanted = JSON.parse(kept(JSON.stringify(metadata).replaceAll("\\u0000", "\ufffd"))) as object;
        expect([text, got.metadata]).toEqual([text, wanted]);
        const found = await call("POST", "/threads/search", { metadata, ids: [threadId] });
        expect([text, found.status, (found.json as Row[]).map(({ thread_id: id }) => id)]).toEqual([
          text,
          200,
          [threadId],
        ]);
      }
    }
  });

  test("is a place and a key of items, or refused by name", async () => {
    const stored: string[] = [];
    for (const text of HOSTILE_STRINGS) {
      for (const item of [
        { namespace: ["hostile", text], key: "k", value: { text } },
        { namespace: ["hostile"], key: text, value: { [`a${text}`]: text } },
      ]) {
        const put = await call("PUT", "/store/items", item);
        expect([text, put.status, put.text]).toEqual([
          text,
          expect.toBeOneOf([204, 422]),
          expect.stringMatching(/^$|key|amespace/),
        ]);
        if (put.status === 422) continue;
        stored.push(text);
        const query = item.namespace
          .map((label) => `namespace=${encodeURIComponent(kept(label).toWellFormed())}`)
          .join("&");
        // What no URL can hold cannot be asked for.
        if (!text.isWellFormed()) continue;
        const got = await call("GET", `/store/items?${query}&key=${encodeURIComponent(kept(item.key))}`);
        expect([text, got.status, (got.json as { value: object }).value]).toEqual([
          text,
          200,
          JSON.parse(kept(JSON.stringify(item.value).replaceAll("\\u0000", "\ufffd"))),
        ]);
      }
    }
    expect(new Set(stored).size).toBeGreaterThan(25);
    const search = { namespace_prefix: ["hostile"], limit: 1000 };
    const { items } = (await call("POST", "/store/items/search", search)).json as { items: unknown[] };
    expect(items).toHaveLength(stored.length);
  });

  test("does not fail in paths, queries and other fields", async () => {
    for (const text of HOSTILE_STRINGS.map((any) => encodeURIComponent(any.toWellFormed()))) {
      for (const [method, path] of [
        ["GET", `/assistants/${text}`],
        ["GET", `/assistants/${text}/graph?xray=${text}`],
        ["GET", `/threads/${text}`],
        ["GET", `/store/items?namespace=${text}&key=${text}`],
        ["GET", `/threads/${text}/state/${text}`],
        ["DELETE", `/assistants/${text}x`],
      ] as const) {
        const { status } = await call(method, path);
        expect([method, path, status < 500]).toEqual([method, path, true]);
      }
    }
  });

  test("operators of databases in filters are values, and widen no search", async () => {
    await createThread({ secret: "s", owner: "ann" });
    for (const value of INJECTED) {
      for (const filter of [{ owner: value }, { metadata: value }, { owner: { nested: value } }]) {
        const { status, json } = await call("POST", "/threads/search", { metadata: filter } as never);
        expect([filter, status, json]).toEqual([filter, 200, []]);
        expect((await call("POST", "/threads/count", { metadata: filter } as never)).json).toBe(0);
      }
      expect((await call("POST", "/threads/search", { values: { x: value } } as never)).json).toEqual([]);
      const assistants = await call("POST", "/assistants/search", { metadata: { created_by: value } } as never);
      expect([value, assistants.status, assistants.json]).toEqual([value, 200, []]);
    }
    for (const key of INJECTED_KEYS) {
      const filter = { [key]: "ann", secret: "s" };
      const { status, json } = await call("POST", "/threads/search", { metadata: filter });
      expect([filter, status, json]).toEqual([filter, 200, []]);
    }
  });

  test("sort_by, select, status and ids take what they know", async () => {
    const bad = [
      "created_at; DROP TABLE threads",
      "(SELECT 1)",
      "$where",
      "metadata->>'x'",
      "__proto__",
      "constructor",
      "created_at DESC",
      { $gt: "" },
    ];
    for (const value of bad) {
      for (const body of [
        { sort_by: value },
        { sort_order: value },
        { select: [value] },
        { status: value },
        { ids: [value] },
      ]) {
        const { status } = await call("POST", "/threads/search", body);
        expect([body, status]).toEqual([body, 422]);
      }
      for (const body of [{ sort_by: value }, { limit: value }, { offset: value }]) {
        expect([body, (await call("POST", "/assistants/search", body as never)).status]).toEqual([body, 422]);
      }
    }
    // The table is still there.
    expect((await call("POST", "/threads/search", {})).status).toBe(200);
  });

  test("operators in filters of items are the documented ones; others are refused by name", async () => {
    await call("PUT", "/store/items", { namespace: ["inj"], key: "secret", value: { n: 1, name: "ann" } });
    const search = async (filter: unknown) =>
      call("POST", "/store/items/search", { namespace_prefix: ["inj"], filter } as never);
    for (const operator of ["$where", "$regex", "$exists", "$expr", "$or", "$not", "$function", "$__proto__"]) {
      const answer = await search({ name: { [operator]: "return true" } });
      expect([operator, answer.status]).toEqual([operator, 422]);
      expect(answer.text).toContain(operator);
    }
    for (const filter of [
      { $where: "true" },
      { "name' OR 1=1 --": "x" },
      { name: "' OR 1=1 --" },
      { "a.b": 1 },
      { name: { $gt: "" } },
    ]) {
      const { status, json } = await search(filter);
      const items = status === 200 ? (json as { items: unknown[] }).items : [];
      expect([filter, status < 500, items]).toEqual([filter, true, []]);
    }
    for (const prefix of [["%"], ["in%"], ["_nj"], ["i"], ["inj%"], ["inj' OR 1=1 --"], ["*"]]) {
      const { json } = await call("POST", "/store/items/search", { namespace_prefix: prefix });
      expect([prefix, json]).toEqual([prefix, { items: [] }]);
    }
    expect(((await search({ name: "ann" })).json as { items: unknown[] }).items).toHaveLength(1);
  });
});
