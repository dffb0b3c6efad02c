import {
  cronCountBody,
  cronCreateBody,
  cronPatchBody,
  cronSearchBody,
  decodeCronCount,
  decodeCronCreate,
  decodeCronPatch,
  decodeCronSearch,
  encodeCron,
} from "../../wire/crons.js";
import { asJsonText, encodeList } from "../../wire/json.js";
import { pageHeaders } from "../exchange.js";
import type { Route } from "../route.js";
import { JSON_ANSWER } from "../route.js";

const group = "runs";
const CRONS = "/runs/crons";
const ID = `${CRONS}/{cron_id}`;

/** docs/wire/langgraph-api.md §2.8 */
export const cronRoutes: readonly Route[] = [
  {
    method: "post",
    path: CRONS,
    group,
    summary: "Create a cron whose runs get a thread each",
    body: cronCreateBody,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services, settings }) {
      const request = decodeCronCreate(await exchange.body(), settings, { onThread: false });
      return exchange.json(encodeCron(await services.crons.create(exchange.caller, null, request)));
    },
  },
  {
    method: "post",
    path: "/threads/{thread_id}/runs/crons",
    group,
    summary: "Create a cron for a thread",
    body: cronCreateBody,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services, settings }) {
      const threadId = exchange.uuid("thread_id");
      const request = decodeCronCreate(await exchange.body(), settings, { onThread: true });
      return exchange.json(encodeCron(await services.crons.create(exchange.caller, threadId, request)));
    },
  },
  {
    method: "post",
    path: `${CRONS}/search`,
    group,
    summary: "Search crons",
    body: cronSearchBody,
    answer: JSON_ANSWER,
    async handle(exchange, { services }) {
      const { query, fields } = decodeCronSearch(await exchange.body());
      const page = await services.crons.search(exchange.caller, query);
      const rows = page.rows.map((cron) => encodeCron(cron, fields));
      return exchange.json(encodeList(rows), pageHeaders({ ...query, total: page.total }));
    },
  },
  {
    method: "post",
    path: `${CRONS}/count`,
    group,
    summary: "Count crons",
    body: cronCountBody,
    answer: JSON_ANSWER,
    async handle(exchange, { services }) {
      const query = decodeCronCount(await exchange.body());
      return exchange.json(asJsonText(String(await services.crons.count(exchange.caller, query))));
    },
  },
  {
    method: "get",
    path: ID,
    group,
    summary: "Get a cron",
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      return exchange.json(encodeCron(await services.crons.get(exchange.caller, exchange.uuid("cron_id"))));
    },
  },
  {
    method: "patch",
    path: ID,
    group,
    summary: "Change a cron",
    body: cronPatchBody,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services, settings }) {
      const cronId = exchange.uuid("cron_id");
      const patch = decodeCronPatch(await exchange.body(), settings);
      return exchange.json(encodeCron(await services.crons.update(exchange.caller, cronId, patch)));
    },
  },
  {
    method: "delete",
    path: ID,
    group,
    summary: "Delete a cron; runs that it has started go on",
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      await services.crons.delete(exchange.caller, exchange.uuid("cron_id"));
      return exchange.json(asJsonText("{}"));
    },
  },
];
