import { asJsonText, encodeList } from "../../wire/json.js";
import {
  decodeThreadCount,
  decodeThreadCreate,
  decodeThreadGet,
  decodeThreadPatch,
  decodeThreadSearch,
  encodeThread,
  threadCountBody,
  threadCreateBody,
  threadGetQuery,
  threadPatchBody,
  threadSearchBody,
} from "../../wire/threads.js";
import { pageHeaders } from "../exchange.js";
import type { Route } from "../route.js";
import { JSON_ANSWER } from "../route.js";

const group = "threads";
const ID = "/threads/{thread_id}";

/** docs/wire/langgraph-api.md §2.4.1–2.4.7 */
export const threadRoutes: readonly Route[] = [
  {
    method: "post",
    path: "/threads",
    group,
    summary: "Create a thread",
    body: threadCreateBody,
    answer: JSON_ANSWER,
    errors: [400, 409],
    async handle(exchange, { services }) {
      const request = decodeThreadCreate(await exchange.body());
      return exchange.json(encodeThread(await services.threads.create(exchange.caller, request)));
    },
  },
  {
    method: "post",
    path: "/threads/search",
    group,
    summary: "Search threads",
    body: threadSearchBody,
    answer: JSON_ANSWER,
    async handle(exchange, { services }) {
      const { query, view } = decodeThreadSearch(await exchange.body());
      const page = await services.threads.search(exchange.caller, query);
      const rows = page.rows.map((thread) => encodeThread(thread, view));
      return exchange.json(encodeList(rows), pageHeaders({ ...query, total: page.total }));
    },
  },
  {
    method: "post",
    path: "/threads/count",
    group,
    summary: "Count threads",
    body: threadCountBody,
    answer: JSON_ANSWER,
    async handle(exchange, { services }) {
      const query = decodeThreadCount(await exchange.body());
      return exchange.json(asJsonText(String(await services.threads.count(exchange.caller, query))));
    },
  },
  {
    method: "get",
    path: ID,
    group,
    summary: "Get a thread",
    query: threadGetQuery,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const threadId = exchange.uuid("thread_id");
      decodeThreadGet(exchange.query);
      return exchange.json(encodeThread(await services.threads.get(exchange.caller, threadId)));
    },
  },
  {
    method: "patch",
    path: ID,
    group,
    summary: "Merge metadata into a thread's",
    body: threadPatchBody,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const threadId = exchange.uuid("thread_id");
      const patch = decodeThreadPatch(await exchange.body());
      const thread = await services.threads.update(exchange.caller, threadId, patch);
      return wantsNoBody(exchange.header("prefer")) ? exchange.empty(204) : exchange.json(encodeThread(thread));
    },
  },
  {
    method: "delete",
    path: ID,
    group,
    summary: "Delete a thread with its runs and checkpoints",
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      await services.threads.delete(exchange.caller, exchange.uuid("thread_id"));
      return exchange.json(asJsonText("{}"));
    },
  },
  {
    method: "post",
    path: `${ID}/copy`,
    group,
    summary: "Copy a thread with its checkpoints",
    answer: JSON_ANSWER,
    errors: [409],
    async handle(exchange, { services }) {
      return exchange.json(encodeThread(await services.threads.copy(exchange.caller, exchange.uuid("thread_id"))));
    },
  },
];

/** `Prefer: return=minimal`, alone or among other preferences (RFC 7240). */
function wantsNoBody(prefer: string | undefined): boolean {
  return prefer !== undefined && prefer.split(/[,;]/).some((part) => part.trim().toLowerCase() === "return=minimal");
}
