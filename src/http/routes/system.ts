import { HeddleError } from "../../core/errors.js";
import { asJsonText } from "../../wire/json.js";
import { decodeOk, encodeInfo, okQuery } from "../../wire/system.js";
import type { Route } from "../route.js";
import { JSON_ANSWER } from "../route.js";

const OK = asJsonText('{"ok":true}');

/** docs/wire/langgraph-api.md §2.11; `/docs` and `/openapi.json` are in ../openapi.ts and ../docs-page.ts. */
export const systemRoutes: readonly Route[] = [
  {
    method: "get",
    path: "/ok",
    group: "meta",
    isLasting: true,
    summary: "Alive; with check_db also ready: not draining, storage reachable",
    query: okQuery,
    answer: JSON_ANSWER,
    errors: [503],
    isPublic: true,
    async handle(exchange, deps) {
      // With the group switched off `/ok` stays, as on the Platform, and always says yes.
      if (deps.settings.disabled.meta || !decodeOk(exchange.query).checkStorage) return exchange.json(OK);
      if (deps.isDraining()) throw new HeddleError("SHUTTING_DOWN");
      try {
        await deps.checkStorage();
      } catch (error) {
        throw new HeddleError("STORAGE_UNAVAILABLE", { cause: error });
      }
      return exchange.json(OK);
    },
  },
  {
    method: "get",
    path: "/info",
    group: "meta",
    summary: "Versions and features of this server",
    answer: JSON_ANSWER,
    isPublic: true,
    handle: (exchange, { info }) => exchange.json(encodeInfo(info)),
  },
];
