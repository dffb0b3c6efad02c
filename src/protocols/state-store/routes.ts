import { toJsonText } from "../../core/json.js";
import { eventStream } from "../../http/event-stream.js";
import type { Exchange } from "../../http/exchange.js";
import { JSON_ANSWER } from "../../http/route.js";
import type { ProtocolRoute } from "../protocol.js";
import { encodeEvent } from "./feed-cursor.js";
import type { StateOperations, ValueName } from "./operations.js";
import * as wire from "./wire.js";

const VALUE = "/v1/state/{workflow_id}/{key}";

/** The six endpoints of the original, and its health (docs/wire/state-store.md §4.1). */
export function stateStoreRoutes(operations: StateOperations): readonly ProtocolRoute[] {
  return [...valueRoutes(operations), followRoute(operations), ...otherRoutes(operations)];
}

function valueRoutes(operations: StateOperations): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: VALUE,
      summary: "Set a value",
      body: wire.setBody,
      answers: wire.versionAnswer,
      answer: JSON_ANSWER,
      async handle(exchange) {
        const request = wire.decodeSet(await exchange.body());
        return exchange.json(toJsonText(await operations.set(exchange.caller, nameOf(exchange), request)));
      },
    },
    {
      method: "get",
      path: VALUE,
      summary: "Get a value and its version",
      answers: wire.valueAnswer,
      answer: JSON_ANSWER,
      errors: [404],
      async handle(exchange) {
        const { value, version } = await operations.get(exchange.caller, nameOf(exchange));
        return exchange.json(wire.encodeValue(value, version));
      },
    },
    {
      method: "delete",
      path: VALUE,
      summary: "Delete a value",
      answers: wire.deletedAnswer,
      answer: JSON_ANSWER,
      async handle(exchange) {
        const deleted = await operations.delete(exchange.caller, nameOf(exchange));
        return exchange.json(toJsonText({ deleted }));
      },
    },
    {
      method: "post",
      path: `${VALUE}/version`,
      summary: "Set a value if its version is the expected one",
      body: wire.compareAndSetBody,
      answers: wire.versionAnswer,
      answer: JSON_ANSWER,
      errors: [409],
      async handle(exchange) {
        const request = wire.decodeCompareAndSet(await exchange.body());
        return exchange.json(toJsonText(await operations.set(exchange.caller, nameOf(exchange), request)));
      },
    },
  ];
}

function followRoute(operations: StateOperations): ProtocolRoute {
  return {
    method: "get",
    path: `${VALUE}/stream`,
    summary: "Follow a value: each change as a server-sent event",
    query: wire.streamQuery,
    answer: { status: 200, description: "Changes of the value", content: "event-stream" },
    async handle(exchange, deps) {
      const name = nameOf(exchange);
      const cursor = await operations.follow(exchange.caller, name, {
        lastVersion: lastVersionOf(exchange.header("last-event-id")),
        onDropped() {
          deps.logger.info(
            { requestId: exchange.requestId },
            "a reader of a value's changes is too slow, and was dropped",
          );
          exchange.disconnect?.();
        },
      });
      const subject = { workflow: name.workflowId };
      // Who has heard nothing yet when the connection is lost has no id to come again with.
      const headers = cursor.began === null ? {} : { [wire.VERSION_HEADER]: String(cursor.began) };
      return eventStream(exchange, deps, cursor, { withIds: true, encode: encodeEvent, subject, headers });
    },
  };
}

function otherRoutes(operations: StateOperations): readonly ProtocolRoute[] {
  return [
    {
      method: "get",
      path: "/v1/state/{workflow_id}",
      summary: "List the keys of a workflow",
      answers: wire.keysAnswer,
      answer: JSON_ANSWER,
      async handle(exchange) {
        const keys = await operations.keys(exchange.caller, exchange.param("workflow_id"));
        return exchange.json(toJsonText({ keys }));
      },
    },
    {
      method: "get",
      path: "/health",
      summary: "Whether the server answers",
      answers: wire.healthAnswer,
      answer: JSON_ANSWER,
      isPublic: true,
      handle: (exchange) => exchange.json(wire.HEALTH),
    },
  ];
}

function nameOf(exchange: Exchange): ValueName {
  return { workflowId: exchange.param("workflow_id"), key: exchange.param("key") };
}

/** `null`: the client has seen none, or says something that was never an id of ours. */
function lastVersionOf(header: string | undefined): number | null {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : null;
}
