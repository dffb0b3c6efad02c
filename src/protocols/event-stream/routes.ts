import { HeddleError } from "../../core/errors.js";
import { watchCredentials } from "../../http/credentials-watch.js";
import { eventStream } from "../../http/event-stream.js";
import type { Exchange } from "../../http/exchange.js";
import type { HttpDeps } from "../../http/http-deps.js";
import type { Route } from "../../http/route.js";
import { JSON_ANSWER } from "../../http/route.js";
import { matchesFilter } from "../../core/thread-event.js";
import { asJsonText } from "../../core/json.js";
import { showsValues } from "../../services/thread-snapshot.js";
import { answerCommand } from "./answer-command.js";
import { errorFrame, sseEventFrame } from "./frames.js";
import { type ConnectionDeps, openConnection } from "./connection.js";
import { commandBody, decodeEventStream, errorFrameBody, eventStreamBody, readCommand } from "./wire.js";

const THREAD = "/threads/{thread_id}";
const NO_SOCKET =
  "GET …/stream/events is a WebSocket: send `Upgrade: websocket`, or POST a filter for server-sent events.";

/** Commands in, sequenced events out, over HTTP with SSE or over a WebSocket (docs/wire/langgraph-api.md part 4). */
export const eventStreamRoutes: readonly Route[] = [
  {
    method: "post",
    path: `${THREAD}/commands`,
    group: "runs",
    summary: "One command of the event protocol",
    body: commandBody,
    answer: { ...JSON_ANSWER, description: "The response frame: `success`, or `error` with the protocol's code" },
    errors: [503],
    refusals: [{ status: 400, description: "No command, or no JSON", schema: errorFrameBody }],
    createsRun: true,
    async handle(exchange, deps) {
      const threadId = exchange.uuid("thread_id");
      const command = readCommand(await exchange.body());
      if (typeof command === "string") {
        return exchange.json(asJsonText(errorFrame(null, "invalid_argument", command)), {}, 400);
      }
      const frame = await answerCommand(command, { ...contextOf(exchange, deps, threadId), subscriptions: null });
      return exchange.json(asJsonText(frame));
    },
  },
  {
    method: "post",
    path: `${THREAD}/stream/events`,
    group: "threads",
    summary: "Follow a thread's events as server-sent events",
    body: eventStreamBody,
    answer: { status: 200, description: "Events of all runs of the thread", content: "event-stream" },
    errors: [404],
    async handle(exchange, deps) {
      const threadId = exchange.uuid("thread_id");
      const { filter, position } = decodeEventStream(await exchange.body(), exchange.header("last-event-id"));
      const cursor = await deps.services.threadEvents.follow(exchange.caller, threadId, {
        position,
        showsValues: () => showsValues(filter),
      });
      return eventStream(exchange, deps, cursor, {
        withIds: true,
        filter: (event) => matchesFilter(filter, event.event),
        encode: sseEventFrame,
        subject: { threadId },
      });
    },
  },
  {
    method: "get",
    path: `${THREAD}/stream/events`,
    group: "threads",
    summary: "Commands and events over a WebSocket",
    answer: { status: 101, description: "Switching Protocols", content: "none" },
    errors: [404],
    upgrades: true,
    async handle(exchange, deps) {
      const threadId = exchange.uuid("thread_id");
      if (exchange.upgrade === null) throw new HeddleError("NOT_FOUND", { message: NO_SOCKET });
      if (deps.isDraining()) throw new HeddleError("SHUTTING_DOWN");
      const { heartbeatMs } = deps.settings;
      const { clock, closing } = deps;
      const context = contextOf(exchange, deps, threadId);
      const parse = (text: string): unknown => exchange.parse(text);
      const watch: ConnectionDeps["watch"] = (onEnd) =>
        watchCredentials(exchange, deps, { subject: { threadId }, onEnd });
      return exchange.upgrade(
        openConnection({ ...context, clock, heartbeatMs, parse, watch, closing: closing ?? null }),
      );
    },
  },
];

function contextOf(exchange: Exchange, deps: HttpDeps, threadId: string) {
  const { caller, requestId, guarded } = exchange;
  return { services: deps.services, logger: deps.logger, caller, requestId, threadId, guarded };
}
