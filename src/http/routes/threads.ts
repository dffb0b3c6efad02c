import { asJsonText, encodeList } from "../../wire/json.js";
import {
  decodeThreadCopy,
  decodeThreadPrune,
  encodePruned,
  encodeThreadStorage,
  threadCopyBody,
  threadPruneBody,
} from "../../wire/thread-retention.js";
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
      const view = decodeThreadGet(exchange.query);
      return exchange.json(encodeThread(await services.threads.get(exchange.caller, threadId), view));
    },
  },
  {
    method: "patch",
    path: ID,
    group,
    summary: "Merge metadata into a thread's, or change its time to live",
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
    summary: "Copy a thread with its checkpoints, or the latest of them",
    body: threadCopyBody,
    answer: JSON_ANSWER,
    errors: [409],
    async handle(exchange, { services }) {
      const threadId = exchange.uuid("thread_id");
      const keep = decodeThreadCopy(await exchange.body());
      return exchange.json(
        encodeThread(await services.threads.copy(exchange.caller, threadId, { ...(keep !== undefined && { keep }) })),
      );
    },
  },
  {
    method: "post",
    path: "/threads/prune",
    group,
    summary: "Delete threads, or all of their checkpoints but the newest",
    body: threadPruneBody,
    answer: JSON_ANSWER,
    errors: [501],
    async handle(exchange, { services }) {
      const request = decodeThreadPrune(await exchange.body());
      return exchange.json(encodePruned(await services.threads.prune(exchange.caller, request)));
    },
  },
  {
    method: "get",
    path: `${ID}/storage`,
    group,
    summary: "What a thread's checkpoints take, by channel",
    answer: JSON_ANSWER,
    errors: [404, 501],
    async handle(exchange, { services }) {
      const threadId = exchange.uuid("thread_id");
      return exchange.json(encodeThreadStorage(threadId, await services.threads.storage(exchange.caller, threadId)));
    },
  },
];

/** `Prefer: return=minimal`, alone or among other preferences (RFC 7240). */
function wantsNoBody(prefer: string | undefined): boolean {
  return prefer !== undefined && prefer.split(/[,;]/).some((part) => part.trim().toLowerCase() === "return=minimal");
}
