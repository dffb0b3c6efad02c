import { z } from "zod";
import { JSON_ANSWER } from "../../http/route.js";
import { encodeList } from "../../wire/json.js";
import type { ProtocolRoute } from "../protocol.js";
import { exactBody } from "./exact-json.js";
import type { StatesOperations } from "./states.js";
import {
  decodeStateCreate,
  decodeStateList,
  decodeStateUpdate,
  encodeState,
  stateCreateBody,
  stateListQuery,
  stateSchema,
  stateUpdateBody,
} from "./wire.js";

const ID = "/states/{state_id}";

export function stateRoutes(states: StatesOperations): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: "/states",
      summary: "Create a state of a task and an agent",
      body: stateCreateBody,
      // 200 and not 201: the client's own server answers so.
      answer: JSON_ANSWER,
      answers: stateSchema,
      errors: [404, 413],
      async handle(exchange) {
        const request = decodeStateCreate(await exactBody(exchange));
        return exchange.json(encodeState(await states.create(exchange.caller, request)));
      },
    },
    {
      method: "get",
      path: "/states",
      summary: "List states",
      query: stateListQuery,
      answer: JSON_ANSWER,
      answers: z.array(stateSchema),
      async handle(exchange) {
        const found = await states.list(exchange.caller, decodeStateList(exchange.query));
        return exchange.json(encodeList(found.map(encodeState)));
      },
    },
    {
      method: "get",
      path: ID,
      summary: "Get a state",
      answer: JSON_ANSWER,
      answers: stateSchema,
      errors: [404],
      async handle(exchange) {
        return exchange.json(encodeState(await states.retrieve(exchange.caller, exchange.param("state_id"))));
      },
    },
    {
      method: "put",
      path: ID,
      summary: "Replace a state",
      body: stateUpdateBody,
      answer: JSON_ANSWER,
      answers: stateSchema,
      errors: [404, 413],
      async handle(exchange) {
        const state = decodeStateUpdate(await exactBody(exchange));
        return exchange.json(encodeState(await states.update(exchange.caller, exchange.param("state_id"), state)));
      },
    },
    {
      method: "delete",
      path: ID,
      summary: "Delete a state",
      answer: JSON_ANSWER,
      answers: stateSchema,
      errors: [404],
      async handle(exchange) {
        return exchange.json(encodeState(await states.delete(exchange.caller, exchange.param("state_id"))));
      },
    },
  ];
}
