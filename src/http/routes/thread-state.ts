import {
  decodeHistoryBody,
  decodeHistoryQuery,
  decodeStateCheckpoint,
  decodeStateQuery,
  decodeStateUpdate,
  encodeState,
  encodeStates,
  encodeUpdated,
  historyBody,
  historyQuery,
  stateCheckpointBody,
  stateQuery,
  stateUpdateBody,
} from "../../wire/thread-state.js";
import type { Exchange } from "../exchange.js";
import type { HttpDeps } from "../http-deps.js";
import type { Route } from "../route.js";
import { JSON_ANSWER } from "../route.js";

const group = "threads";
const ID = "/threads/{thread_id}";

/** docs/wire/langgraph-api.md §2.4.8–2.4.11 */
export const threadStateRoutes: readonly Route[] = [
  {
    method: "get",
    path: `${ID}/state`,
    group,
    summary: "State of a thread",
    query: stateQuery,
    answer: JSON_ANSWER,
    errors: [404],
    handle: getState,
  },
  {
    method: "post",
    path: `${ID}/state`,
    group,
    summary: "Write state as if a node had returned it",
    body: stateUpdateBody,
    answer: JSON_ANSWER,
    errors: [400, 404, 409],
    async handle(exchange, { services }) {
      const threadId = exchange.uuid("thread_id");
      const request = decodeStateUpdate(await exchange.body());
      return exchange.json(encodeUpdated(await services.state.update(exchange.caller, threadId, request)));
    },
  },
  {
    method: "post",
    path: `${ID}/state/checkpoint`,
    group,
    summary: "State at a checkpoint, possibly of a subgraph",
    body: stateCheckpointBody,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const threadId = exchange.uuid("thread_id");
      const { query, view } = decodeStateCheckpoint(await exchange.body());
      return exchange.json(encodeState(await services.state.get(exchange.caller, threadId, query), view));
    },
  },
  {
    method: "get",
    path: `${ID}/state/{checkpoint_id}`,
    group,
    summary: "State at a checkpoint",
    query: stateQuery,
    answer: JSON_ANSWER,
    errors: [404],
    handle: getState,
  },
  {
    method: "get",
    path: `${ID}/history`,
    group,
    summary: "Past states, newest first",
    query: historyQuery,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const threadId = exchange.uuid("thread_id");
      const { query, view } = decodeHistoryQuery(exchange.query);
      return exchange.json(encodeStates(await services.state.history(exchange.caller, threadId, query), view));
    },
  },
  {
    method: "post",
    path: `${ID}/history`,
    group,
    summary: "Past states, newest first, filtered",
    body: historyBody,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const threadId = exchange.uuid("thread_id");
      const { query, view } = decodeHistoryBody(await exchange.body());
      return exchange.json(encodeStates(await services.state.history(exchange.caller, threadId, query), view));
    },
  },
];

async function getState(exchange: Exchange, { services }: HttpDeps): Promise<Response> {
  const threadId = exchange.uuid("thread_id");
  const { query, view } = decodeStateQuery(exchange.query, exchange.param("checkpoint_id") || undefined);
  return exchange.json(encodeState(await services.state.get(exchange.caller, threadId, query), view));
}
