import {
  decodeItemDelete,
  decodeItemGet,
  decodeItemPut,
  decodeItemSearch,
  decodeNamespaces,
  encodeItem,
  encodeItems,
  encodeNamespaces,
  itemDeleteBody,
  itemGetQuery,
  itemPutBody,
  itemSearchBody,
  namespacesBody,
} from "../../wire/items.js";
import type { Route } from "../route.js";
import { JSON_ANSWER, NO_CONTENT } from "../route.js";

const group = "store";

/** docs/wire/langgraph-api.md §2.10 */
export const storeRoutes: readonly Route[] = [
  {
    method: "put",
    path: "/store/items",
    group,
    summary: "Store an item",
    body: itemPutBody,
    answer: NO_CONTENT,
    async handle(exchange, { services }) {
      await services.items.put(exchange.caller, decodeItemPut(await exchange.body()));
      return exchange.empty(204);
    },
  },
  {
    method: "get",
    path: "/store/items",
    group,
    summary: "Get an item; null when there is none",
    query: itemGetQuery,
    answer: JSON_ANSWER,
    async handle(exchange, { services }) {
      return exchange.json(encodeItem(await services.items.get(exchange.caller, decodeItemGet(exchange.query))));
    },
  },
  {
    method: "delete",
    path: "/store/items",
    group,
    summary: "Delete an item",
    body: itemDeleteBody,
    answer: NO_CONTENT,
    async handle(exchange, { services }) {
      await services.items.delete(exchange.caller, decodeItemDelete(await exchange.body()));
      return exchange.empty(204);
    },
  },
  {
    method: "post",
    path: "/store/items/search",
    group,
    summary: "Search items of a namespace",
    body: itemSearchBody,
    answer: JSON_ANSWER,
    async handle(exchange, { services }) {
      const request = decodeItemSearch(await exchange.body());
      return exchange.json(encodeItems(await services.items.search(exchange.caller, request)));
    },
  },
  {
    method: "post",
    path: "/store/namespaces",
    group,
    summary: "List namespaces",
    body: namespacesBody,
    answer: JSON_ANSWER,
    async handle(exchange, { services }) {
      const request = decodeNamespaces(await exchange.body());
      return exchange.json(encodeNamespaces(await services.items.listNamespaces(exchange.caller, request)));
    },
  },
];
