import { describe, expect, test } from "vitest";
import { isHeddleError } from "../../../src/core/errors.js";
import {
  decodeAssistantCreate,
  decodeAssistantLatest,
  decodeAssistantPatch,
  decodeAssistantSearch,
  decodeXray,
} from "../../../src/wire/assistants.js";
import { decodeItemGet, decodeItemPut, decodeItemSearch, decodeNamespaces } from "../../../src/wire/items.js";
import { readQuery } from "../../../src/wire/query.js";
import {
  decodeCancel,
  decodeCancelMany,
  decodeJoin,
  decodeRunList,
  eventPosition,
  pathUuid,
} from "../../../src/wire/runs.js";
import {
  decodeHistoryBody,
  decodeHistoryQuery,
  decodeStateCheckpoint,
  decodeStateQuery,
  decodeStateUpdate,
} from "../../../src/wire/thread-state.js";
import {
  decodeThreadCreate,
  decodeThreadGet,
  decodeThreadPatch,
  decodeThreadSearch,
} from "../../../src/wire/threads.js";
import { decodeThreadCopy, decodeThreadPrune } from "../../../src/wire/thread-retention.js";

const ID = "01a200be-4578-7232-be96-50610380c170";

function refusal(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    if (isHeddleError(error)) return `${error.code} ${error.message}`;
    throw error;
  }
  throw new Error("expected a refusal");
}

describe("threads", () => {
  test("search defaults", () => {
    expect(decodeThreadSearch({}).query).toEqual({
      limit: 10,
      offset: 0,
      sortBy: "updated_at",
      sortOrder: "desc",
      withState: true,
    });
  });

  test.each<[object, boolean]>([
    [{ select: ["thread_id", "status"] }, false],
    [{ select: ["thread_id", "values"] }, true],
    [{ select: ["interrupts"] }, true],
    [{ select: ["error"] }, true],
    [{ select: ["thread_id"], extract: { last: "values.messages[-1]" } }, true],
    [{ select: ["thread_id"], extract: { graph: "metadata.graph_id" } }, false],
    [{ select: [] }, true],
  ])("%j reads the state: %s", (body, withState) => {
    expect(decodeThreadSearch(body).query.withState).toBe(withState);
  });

  test("filters pass, an empty list of ids does not", () => {
    const body = { ids: [ID.toUpperCase()], metadata: { a: 1 }, values: { b: 2 }, status: "busy" };
    expect(decodeThreadSearch(body).query).toMatchObject({
      ids: [ID],
      metadata: { a: 1 },
      values: { b: 2 },
      status: "busy",
    });
    expect(decodeThreadSearch({ ids: [] }).query).not.toHaveProperty("ids");
  });

  test.each<[object, string]>([
    [{ select: ["thread_idd"] }, "select[0]"],
    [{ select: ["ttls"] }, "select[0]"],
    [{ limit: 0 }, "limit"],
    [{ limit: 1001 }, "limit"],
    [{ offset: -1 }, "offset"],
    [{ sort_by: "values" }, "sort_by"],
    [{ ids: ["x"] }, "ids[0]"],
    [{ extract: { a: "secrets.x" } }, "extract.a"],
    [{ extract: { a: "values.x[" } }, "extract.a"],
    [{ extract: { a: 1 } }, "extract.a"],
    [{ extract: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`p${i}`, "values"])) }, "extract"],
  ])("search refuses %j", (body, field) => {
    expect(refusal(() => decodeThreadSearch(body))).toContain(`INVALID_REQUEST ${field}: `);
  });

  test("create, with supersteps", () => {
    const supersteps = [
      {
        updates: [
          { values: null, as_node: "__input__" },
          { command: { goto: "a" }, as_node: "b" },
        ],
      },
    ];
    expect(decodeThreadCreate({ thread_id: ID, supersteps, if_exists: "do_nothing" })).toEqual({
      threadId: ID,
      ifExists: "do_nothing",
      supersteps: [
        {
          updates: [
            { values: null, asNode: "__input__" },
            { command: { goto: "a" }, asNode: "b" },
          ],
        },
      ],
    });
    expect(refusal(() => decodeThreadCreate({ supersteps: [{ updates: [{ as_node: 1 }] }] }))).toContain(
      "supersteps[0].updates[0].as_node",
    );
  });

  test("a time to live is minutes, with a strategy or without; null takes it away where there may be one", () => {
    expect(decodeThreadCreate({ ttl: 5 })).toMatchObject({ ttl: { strategy: "delete", ttlMs: 300_000 } });
    expect(decodeThreadCreate({ ttl: null })).not.toHaveProperty("ttl");
    expect(decodeThreadPatch({ ttl: { ttl: 0.5, strategy: "keep_latest" } })).toEqual({
      ttl: { strategy: "keep_latest", ttlMs: 30_000 },
    });
    expect(decodeThreadPatch({ ttl: null, metadata: null })).toEqual({ ttl: null });
    expect(decodeThreadPatch({})).toEqual({});
    for (const ttl of [0, -1, "5", 1e9, {}, { ttl: 0 }, { ttl: 5, strategy: "archive" }]) {
      expect(refusal(() => decodeThreadCreate({ ttl }))).toMatch(/^INVALID_REQUEST ttl/);
    }
    expect(decodeThreadGet(readQuery("?include=ttl")).fields).toContain("ttl");
    expect(decodeThreadGet(readQuery("?include=")).fields).not.toContain("ttl");
    expect(refusal(() => decodeThreadGet(readQuery("?include=ttl,size")))).toMatch(
      /^UNSUPPORTED_OPTION include "size"/,
    );
  });

  test("a copy's mode and a prune's strategy", () => {
    expect(decodeThreadCopy({})).toBeUndefined();
    expect(decodeThreadCopy({ mode: "full" })).toBeUndefined();
    expect(decodeThreadCopy({ mode: "latest" })).toEqual({ kind: "latest" });
    expect(decodeThreadCopy({ mode: "last_n", n: 3 })).toEqual({ kind: "last", count: 3 });
    expect(refusal(() => decodeThreadCopy({ mode: "last_n" }))).toMatch(/^INVALID_REQUEST n: /);
    expect(refusal(() => decodeThreadCopy({ mode: "latest", n: 3 }))).toMatch(/^INVALID_REQUEST n: /);
    expect(decodeThreadPrune({ thread_ids: [] })).toEqual({ threadIds: [], strategy: "delete", dryRun: false });
    expect(refusal(() => decodeThreadPrune({}))).toMatch(/^INVALID_REQUEST thread_ids/);
    expect(refusal(() => decodeThreadPrune({ thread_ids: ["x"] }))).toMatch(/^INVALID_REQUEST thread_ids\[0\]/);
  });
});

describe("thread state", () => {
  test("flags of queries", () => {
    for (const yes of ["true", "1", "yes", "True"]) {
      expect(decodeStateQuery(readQuery(`?subgraphs=${yes}`), undefined).query).toEqual({ subgraphs: true });
    }
    for (const no of ["false", "0", "no", ""]) {
      expect(decodeStateQuery(readQuery(`?subgraphs=${no}`), "1f").query).toEqual({
        subgraphs: false,
        checkpoint: { checkpointId: "1f" },
      });
    }
  });

  test("flags of bodies, as boolean or string (Appendix A7)", () => {
    expect(decodeStateCheckpoint({ subgraphs: true }).query.subgraphs).toBe(true);
    expect(decodeStateCheckpoint({ subgraphs: "true" }).query.subgraphs).toBe(true);
    expect(decodeStateCheckpoint({ subgraphs: "false", checkpoint: null }).query).toEqual({ subgraphs: false });
    expect(refusal(() => decodeStateCheckpoint({ subgraphs: 1 }))).toContain("subgraphs: expected a boolean");
  });

  test("select", () => {
    const view = (select: string[]) => decodeStateCheckpoint({ select }).view;
    expect(view(["next", "values.messages"])).toEqual({ fields: ["next"], valueKeys: ["messages"] });
    expect(view(["values", "values.messages"])).toEqual({ fields: ["values"], valueKeys: null });
    expect(refusal(() => view(["nextt"]))).toContain('select: unknown field "nextt"');
  });

  test("history defaults: GET 10, POST 1", () => {
    expect(decodeHistoryQuery(readQuery("")).query).toEqual({ limit: 10 });
    expect(decodeHistoryBody({}).query).toEqual({ limit: 1 });
    expect(refusal(() => decodeHistoryQuery(readQuery("?limit=x")))).toContain("limit: ");
    expect(refusal(() => decodeHistoryQuery(readQuery("?limit=")))).toContain("limit: ");
  });

  test.each<[unknown]>([["1f"], [{ checkpoint_id: "1f" }], [{ configurable: { checkpoint_id: "1f", user_id: 5 } }]])(
    "before %j",
    (before) => {
      expect(decodeHistoryBody({ before, limit: 5 }).query).toEqual({ limit: 5, before: { checkpointId: "1f" } });
    },
  );

  test("before without an id", () => {
    expect(refusal(() => decodeHistoryBody({ before: { checkpoint_ns: "" } }))).toContain(
      "before: has no checkpoint_id",
    );
    expect(refusal(() => decodeHistoryBody({ before: 5 }))).toContain("before: ");
  });

  test("update", () => {
    expect(decodeStateUpdate({ values: null, as_node: "__end__" })).toEqual({
      update: { values: null, asNode: "__end__" },
    });
    expect(decodeStateUpdate({ values: [{ a: 1 }], checkpoint_id: "1f" })).toEqual({
      update: { values: [{ a: 1 }] },
      checkpoint: { checkpointId: "1f" },
    });
    expect(refusal(() => decodeStateUpdate({ values: "x" }))).toContain("values: ");
  });
});

describe("assistants", () => {
  test("create and patch", () => {
    expect(decodeAssistantCreate({ graph_id: "g", context: null, name: null })).toEqual({
      graphId: "g",
      ifExists: "raise",
    });
    expect(decodeAssistantPatch({})).toEqual({});
    expect(decodeAssistantPatch({ description: "", context: { a: 1 } })).toEqual({
      description: "",
      context: { a: 1 },
    });
    expect(refusal(() => decodeAssistantCreate({}))).toContain("graph_id: is required");
    expect(refusal(() => decodeAssistantCreate({ graph_id: "g", assistant_id: "mine" }))).toContain("assistant_id: ");
  });

  test("search", () => {
    expect(decodeAssistantSearch({ sort_by: "name", sort_order: "asc", select: ["name", "name"] })).toEqual({
      query: { limit: 10, offset: 0, sortBy: "name", sortOrder: "asc" },
      fields: ["name"],
    });
  });

  test("latest takes the version from body or query", () => {
    expect(decodeAssistantLatest(readQuery(""), { version: 2 })).toBe(2);
    expect(decodeAssistantLatest(readQuery("?version=3"), {})).toBe(3);
    expect(refusal(() => decodeAssistantLatest(readQuery(""), {}))).toContain("version: is required");
    expect(refusal(() => decodeAssistantLatest(readQuery(""), { version: "2" }))).toContain("version: ");
  });

  test.each([
    ["", false],
    ["?xray=true", true],
    ["?xray=yes", true],
    ["?xray=1", 1],
    ["?xray=2", 2],
    ["?xray=0", false],
    ["?xray=false", false],
    ["?xray=-1", false],
  ])("xray %s", (search, expected) => {
    expect(decodeXray(readQuery(search))).toBe(expected);
  });
});

describe("runs", () => {
  test("list", () => {
    expect(decodeRunList(readQuery("?limit=2&offset=1&status=error&select=run_id&select=status"))).toEqual({
      limit: 2,
      offset: 1,
      status: "error",
      fields: ["run_id", "status"],
    });
    expect(refusal(() => decodeRunList(readQuery("?status=done")))).toContain("status: ");
    expect(refusal(() => decodeRunList(readQuery("?select=secret")))).toContain("select");
    expect(refusal(() => decodeRunList(readQuery("?limit=1&limit=2")))).toContain("limit: ");
  });

  test.each<[string | undefined, unknown]>([
    [undefined, "now"],
    ["-1", "start"],
    ["-", "start"],
    ["0", { afterSeq: 0 }],
    ["17", { afterSeq: 17 }],
    ["17-2", "now"],
    ["1e3", "now"],
    ["99999999999999999999", "now"],
    ["", "now"],
  ])("Last-Event-ID %s", (id, position) => {
    expect(eventPosition(id)).toEqual(position);
  });

  test("join", () => {
    expect(decodeJoin(readQuery("?cancel_on_disconnect=0&stream_mode=values&stream_mode=updates"), "3")).toEqual({
      cancelOnDisconnect: false,
      streamModes: ["values", "updates"],
      position: { afterSeq: 3 },
    });
    expect(decodeJoin(readQuery("?cancel_on_disconnect=1&last_event_id=-1"), undefined)).toEqual({
      cancelOnDisconnect: true,
      streamModes: null,
      position: "start",
    });
    expect(refusal(() => decodeJoin(readQuery("?namespace=a"), undefined))).toMatch(/^UNSUPPORTED_OPTION namespace/);
    // A hint, which a server may leave unheeded: useStream sends it with every reconnect.
    expect(decodeJoin(readQuery("?checkpoint_id=a"), "-1").position).toBe("start");
    expect(refusal(() => decodeJoin(readQuery("?stream_mode=nope"), undefined))).toContain("stream_mode: ");
  });

  test("cancel parses flags properly (Appendix A2)", () => {
    expect(decodeCancel(readQuery("?wait=0"))).toEqual({ wait: false, action: "interrupt" });
    expect(decodeCancel(readQuery("?wait=1&action=rollback"))).toEqual({ wait: true, action: "rollback" });
    expect(refusal(() => decodeCancel(readQuery("?action=stop")))).toContain("action: ");
    expect(refusal(() => decodeCancel(readQuery("?reason=taken")))).toMatch(/^UNSUPPORTED_OPTION reason/);
  });

  test("bulk cancel wants exactly one selection", () => {
    const none = readQuery("");
    expect(decodeCancelMany(none, { status: "all" })).toEqual({ action: "interrupt", selection: { status: "all" } });
    expect(decodeCancelMany(none, { thread_id: ID, run_ids: [ID], status: null })).toEqual({
      action: "interrupt",
      selection: { threadId: ID, runIds: [ID] },
    });
    for (const body of [{}, { thread_id: ID }, { run_ids: [ID] }, { status: "all", thread_id: ID, run_ids: [ID] }]) {
      expect(refusal(() => decodeCancelMany(none, body))).toMatch(/^INVALID_REQUEST/);
    }
  });

  test("ids of paths", () => {
    expect(pathUuid("thread_id", ID.toUpperCase())).toBe(ID);
    expect(refusal(() => pathUuid("thread_id", "x"))).toBe("INVALID_REQUEST thread_id: expected a UUID");
  });
});

describe("store", () => {
  test("namespace dot-joined, or repeated", () => {
    expect(decodeItemGet(readQuery("?namespace=a.b&key=k"))).toEqual({ namespace: ["a", "b"], key: "k" });
    expect(decodeItemGet(readQuery("?namespace=a&namespace=b&key=k"))).toEqual({ namespace: ["a", "b"], key: "k" });
    expect(decodeItemGet(readQuery("?key=k"))).toEqual({ namespace: [], key: "k" });
    expect(refusal(() => decodeItemGet(readQuery("?namespace=a")))).toContain("key: is required");
  });

  test("what is embedded and how long it lives: absent is as configured, null for ever", () => {
    const item = { namespace: ["a"], key: "k", value: {} };
    expect(decodeItemPut({ ...item, index: false, ttl: null })).toEqual({ ...item, index: false, ttl: null });
    expect(decodeItemPut({ ...item, index: null })).toEqual(item);
    expect(decodeItemPut({ ...item, index: ["text"], ttl: 0.5 })).toEqual({ ...item, index: ["text"], ttl: 0.5 });
    expect(refusal(() => decodeItemPut({ ...item, index: true }))).toContain("index: expected false or an array");
    for (const ttl of [0, -1, "5", 1e9]) expect(refusal(() => decodeItemPut({ ...item, ttl }))).toMatch(/ttl: /);
    expect(decodeItemGet(readQuery("?key=k&refresh_ttl=true"))).toMatchObject({ refreshTtl: true });
    expect(decodeItemGet(readQuery("?key=k&refresh_ttl=false"))).toMatchObject({ refreshTtl: false });
    expect(decodeItemSearch({ namespace_prefix: null, refresh_ttl: false, query: "cats" })).toEqual({
      namespacePrefix: [],
      limit: 10,
      offset: 0,
      query: "cats",
      refreshTtl: false,
    });
    expect(refusal(() => decodeItemSearch({ query: "x".repeat(32_769) }))).toMatch(/query: Too big/);
    expect(refusal(() => decodeItemSearch({ refresh_ttl: "yes" }))).toMatch(/refresh_ttl: /);
    expect(refusal(() => decodeItemPut({ ...item, value: [] }))).toContain("value: expected an object");
  });

  test("namespaces", () => {
    expect(decodeNamespaces({ prefix: ["a", "*"], max_depth: 2 })).toEqual({
      prefix: ["a", "*"],
      maxDepth: 2,
      limit: 100,
      offset: 0,
    });
  });
});
