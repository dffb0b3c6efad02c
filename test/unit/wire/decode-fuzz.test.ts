import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isHeddleError } from "../../../src/core/errors.js";
import * as assistants from "../../../src/wire/assistants.js";
import * as items from "../../../src/wire/items.js";
import { parseBody } from "../../../src/wire/json.js";
import { readQuery } from "../../../src/wire/query.js";
import * as runBody from "../../../src/wire/run-body.js";
import * as runs from "../../../src/wire/runs.js";
import * as state from "../../../src/wire/thread-state.js";
import * as threads from "../../../src/wire/threads.js";

const none = readQuery("");
const BODIES: Record<string, (body: unknown) => unknown> = {
  decodeRun: (body) => runBody.decodeRun(body, { langsmith: true, webhooks: null }),
  decodeRunBatch: (body) => runBody.decodeRunBatch(body, { langsmith: false, webhooks: null }),
  decodeCancelMany: (body) => runs.decodeCancelMany(none, body),
  decodeAssistantCreate: assistants.decodeAssistantCreate,
  decodeAssistantPatch: assistants.decodeAssistantPatch,
  decodeAssistantSearch: assistants.decodeAssistantSearch,
  decodeAssistantVersions: assistants.decodeAssistantVersions,
  decodeAssistantLatest: (body) => assistants.decodeAssistantLatest(none, body),
  decodeThreadCreate: threads.decodeThreadCreate,
  decodeThreadPatch: threads.decodeThreadPatch,
  decodeThreadSearch: threads.decodeThreadSearch,
  decodeThreadCount: threads.decodeThreadCount,
  decodeStateCheckpoint: state.decodeStateCheckpoint,
  decodeStateUpdate: state.decodeStateUpdate,
  decodeHistoryBody: state.decodeHistoryBody,
  decodeItemPut: items.decodeItemPut,
  decodeItemDelete: items.decodeItemDelete,
  decodeItemSearch: items.decodeItemSearch,
  decodeNamespaces: items.decodeNamespaces,
};
const QUERIES: Record<string, (search: string) => unknown> = {
  decodeRunList: (search) => runs.decodeRunList(readQuery(search)),
  decodeJoin: (search) => runs.decodeJoin(readQuery(search), search),
  decodeCancel: (search) => runs.decodeCancel(readQuery(search)),
  decodeThreadGet: (search) => threads.decodeThreadGet(readQuery(search)),
  decodeStateQuery: (search) => state.decodeStateQuery(readQuery(search), undefined),
  decodeHistoryQuery: (search) => state.decodeHistoryQuery(readQuery(search)),
  decodeItemGet: (search) => items.decodeItemGet(readQuery(search)),
  decodeXray: (search) => assistants.decodeXray(readQuery(search)),
};

const FIELDS = [
  ..."assistant_id input command checkpoint checkpoint_id config context metadata webhook interrupt_before stream_mode".split(
    " ",
  ),
  ..."feedback_keys after_seconds durability checkpoint_during langsmith_tracer thread_id run_ids status limit offset".split(
    " ",
  ),
  ..."supersteps updates values as_node before select extract ids namespace key value index ttl filter max_depth __proto__".split(
    " ",
  ),
];
/** Objects with the wire's own field names, so that checks deep inside are reached. */
const body = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc
    .array(fc.tuple(fc.constantFrom(...FIELDS), fc.jsonValue({ maxDepth: 4 })), { maxLength: 8 })
    .map((entries) => Object.fromEntries(entries) as object),
);
const search = fc
  .array(fc.tuple(fc.constantFrom(...FIELDS, "wait", "action", "xray", "include"), fc.string()), { maxLength: 6 })
  .map((pairs) => `?${new URLSearchParams(pairs).toString()}`);

function outcomeOf(decode: () => unknown): string {
  try {
    decode();
    return "decoded";
  } catch (error) {
    return isHeddleError(error) && error.message !== "" ? error.code : `threw ${String(error)}`;
  }
}

const EXPECTED = ["decoded", "INVALID_REQUEST", "UNSUPPORTED_OPTION"];

describe("decoding arbitrary input never throws anything but a HeddleError", () => {
  test.each(Object.entries(BODIES))("%s", (_, decode) => {
    fc.assert(
      fc.property(body, (value) => {
        expect(EXPECTED).toContain(outcomeOf(() => decode(parseBody(JSON.stringify(value)))));
      }),
      { numRuns: 300 },
    );
  });

  test.each(Object.entries(QUERIES))("%s", (_, decode) => {
    fc.assert(
      fc.property(fc.oneof(search, fc.string()), (value) => {
        expect(EXPECTED).toContain(outcomeOf(() => decode(value)));
      }),
      { numRuns: 300 },
    );
  });
});
