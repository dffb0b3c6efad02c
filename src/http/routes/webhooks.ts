import { decodeDeliveryList, deliveryListQuery, encodeDelivery } from "../../wire/deliveries.js";
import { encodeList } from "../../wire/json.js";
import type { Route } from "../route.js";
import { JSON_ANSWER } from "../route.js";

const group = "webhooks";
const DELIVERIES = "/webhooks/deliveries";
const ID = `${DELIVERIES}/{delivery_id}`;

/** Heddle's own: no other server has them. */
export const webhookRoutes: readonly Route[] = [
  {
    method: "get",
    path: DELIVERIES,
    group,
    summary: "Webhooks that are sent or were, newest first; for operators",
    query: deliveryListQuery,
    answer: JSON_ANSWER,
    errors: [403],
    async handle(exchange, { services }) {
      const query = decodeDeliveryList(exchange.query);
      const { rows, total } = await services.deliveries.list(exchange.caller, query);
      const next = query.offset + query.limit;
      return exchange.json(encodeList(rows.map(encodeDelivery)), {
        "x-pagination-total": String(total),
        ...(next < total && { "x-pagination-next": String(next) }),
      });
    },
  },
  {
    method: "get",
    path: ID,
    group,
    summary: "A webhook with its attempts; for operators",
    answer: JSON_ANSWER,
    errors: [403, 404],
    async handle(exchange, { services }) {
      return exchange.json(
        encodeDelivery(await services.deliveries.get(exchange.caller, exchange.param("delivery_id"))),
      );
    },
  },
  {
    method: "post",
    path: `${ID}/redeliver`,
    group,
    summary: "Send a webhook again, with the same id; for operators",
    answer: JSON_ANSWER,
    errors: [403, 404],
    async handle(exchange, { services }) {
      const deliveryId = exchange.param("delivery_id");
      return exchange.json(encodeDelivery(await services.deliveries.redeliver(exchange.caller, deliveryId)));
    },
  },
];
