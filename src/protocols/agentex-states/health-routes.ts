import { JSON_ANSWER } from "../../http/route.js";
import { toJsonText } from "../../core/json.js";
import type { ProtocolRoute } from "../protocol.js";

const OK = toJsonText({ status: "ok" });

/** Asked without a key. */
export const healthRoutes: readonly ProtocolRoute[] = [
  {
    method: "get",
    path: "/healthz",
    summary: "Whether the server answers",
    answer: JSON_ANSWER,
    isPublic: true,
    handle: (exchange) => exchange.json(OK),
  },
  {
    method: "get",
    path: "/readyz",
    summary: "Whether its storage answers",
    answer: JSON_ANSWER,
    isPublic: true,
    errors: [503],
    async handle(exchange, { checkStorage }) {
      await checkStorage();
      return exchange.json(OK);
    },
  },
];
