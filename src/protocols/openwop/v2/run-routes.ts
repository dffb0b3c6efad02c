import { toJsonText } from "../../../core/json.js";
import type { JsonObject } from "../../../core/json.js";
import { eventStream } from "../../../http/event-stream.js";
import type { ProtocolRoute } from "../../protocol.js";
import { decodeCreateBody, objectOf } from "../create-body.js";
import { unknownParent } from "../create-run.js";
import { isTerminalStatus, shownEvent } from "../event.js";
import { decodePoll, lastEventId, POLL_LIMIT } from "../event-requests.js";
import { idempotent } from "../idempotent.js";
import type { Major } from "../major.js";
import { decodeCreateOptions, snapshotAnswer } from "../run-routes.js";
import { OpenwopRefusal } from "../seams.js";
import { decodeView } from "../stream-modes.js";
import { flatOptions } from "./configurable.js";
import { sseFrame2 } from "./frames.js";
import type { RoutesDeps2 } from "./routes.js";
import * as schemas from "./schemas.js";
import { boundRunId, eventView, linksTo, plain, snapshotView } from "./views.js";

/** Runs and their events, as the second major has them. */
export function runRoutes2(deps: RoutesDeps2, major: Major): readonly ProtocolRoute[] {
  return [...lifecycleRoutes(deps, major), ...eventRoutes(deps, major)];
}

function lifecycleRoutes(
  { context, creation, snapshots, forks, found }: RoutesDeps2,
  major: Major,
): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: "/runs",
      summary: "Start a run of a workflow",
      body: schemas.createBody,
      answer: { status: 201, description: "It is stored, and will run" },
      answers: schemas.created,
      errors: [404, 409],
      createsRun: true,
      async handle(exchange) {
        const sent = objectOf(await exchange.body(), "The body");
        const { configurable, ...rest } = sent;
        const flat = configurable === undefined ? {} : { configurable: flatOptions(configurable) };
        const body = decodeCreateBody({ ...rest, ...flat });
        const options = decodeCreateOptions(exchange, "openwop-dedup");
        const { parentRunId: named } = options;
        const parentRunId = named === null ? null : await major.ownId(exchange.caller, named);
        if (named !== null && parentRunId === null) throw unknownParent();
        return idempotent(exchange, context, "v2 runs.create", sent, async (attempt) => {
          const created = await creation.create(exchange.caller, body, { ...options, parentRunId, attempt });
          const { record, status } = created;
          const links = linksTo(record, (path) => exchange.url(path));
          return { status: 201, body: { runId: boundRunId(record), status, ...links } };
        });
      },
    },
    {
      method: "get",
      path: "/runs",
      summary: "A list of runs: there is none",
      answer: { status: 200, description: "Never" },
      errors: [404],
      handle() {
        throw new OpenwopRefusal({
          status: 404,
          code: "not_found",
          message: "Runs are not listed: runList is not advertised",
        });
      },
    },
    {
      method: "get",
      path: "/runs/{run_id}",
      summary: "How a run stands",
      answer: { status: 200, description: "Its snapshot" },
      answers: schemas.snapshot,
      errors: [404],
      async handle(exchange) {
        const run = await found(await major.run(exchange));
        return snapshotAnswer(exchange, run, async () =>
          snapshotView(plain(await snapshots(run, exchange.mountPath)), run.record),
        );
      },
    },
    {
      method: "post",
      path: "/runs/{run_id}:fork",
      summary: "A new run that begins as this one did",
      body: schemas.forkBody,
      answer: { status: 201, description: "The new run" },
      answers: schemas.forked,
      errors: [404, 409, 422],
      createsRun: true,
      async handle(exchange) {
        const body = objectOf(await exchange.body(), "The body");
        const { record: source } = await found(await major.run(exchange));
        return idempotent(exchange, context, `v2 runs.${source.runId}.fork`, body, async (attempt) => {
          const fork = await forkAt(() => forks.fork(exchange.caller, source.runId, flatOverlay(body), attempt));
          const { fromSeq, mode } = fork;
          const { record, status } = fork.found;
          const head = {
            runId: boundRunId(record),
            sourceRunId: boundRunId(source),
            fromSeq,
            mode,
            status,
          };
          return { status: 201, body: { ...head, ...linksTo(record, (path) => exchange.url(path)) } };
        });
      },
    },
  ];
}

function eventRoutes({ readers, logs }: RoutesDeps2, major: Major): readonly ProtocolRoute[] {
  return [
    {
      method: "get",
      path: "/runs/{run_id}/events",
      summary: "Follow the events of a run",
      query: schemas.eventsQuery,
      answer: { status: 200, description: "Its events, until it has ended", content: "event-stream" },
      errors: [404],
      async handle(exchange, http) {
        const record = await major.run(exchange);
        const view = decodeView(new URLSearchParams(exchange.search));
        const after = lastEventId(exchange);
        return eventStream(exchange, http, readers.open(record, after + 1, view), {
          withIds: true,
          encode: (event) => sseFrame2(event, record),
          subject: { threadId: record.runId },
        });
      },
    },
    {
      method: "get",
      path: "/runs/{run_id}/events/poll",
      summary: "The events of a run that come after one",
      query: schemas.pollQuery,
      answer: { status: 200, description: "Events, at once or when there are some" },
      answers: schemas.polled,
      errors: [404],
      holds: true,
      async handle(exchange) {
        const record = await major.run(exchange);
        // An empty log's last sequence is -1, which clients send back.
        const { after, timeoutMs } = decodePoll(exchange, { name: "afterSequence", min: -1 });
        const { events, isComplete } = await readers.poll(record, after + 1, {
          limit: POLL_LIMIT,
          timeoutMs,
          signal: exchange.request.signal,
        });
        const { status, sequence } = await logs.read(record);
        const said = {
          runId: boundRunId(record),
          events: events.map((event) => eventView(plain(shownEvent(event)), record)),
          // Clients go on behind it: where there are more events than one answer holds it is the last of these.
          lastSequence: isComplete ? sequence : (events.at(-1)?.sequence ?? after),
          status,
          isTerminal: isComplete && isTerminalStatus(status),
        };
        return exchange.json(toJsonText(said));
      },
    },
  ];
}

/** An overlay's options are nested, too. */
function flatOverlay(body: JsonObject): JsonObject {
  const { runOptionsOverlay: overlay } = body;
  if (overlay === undefined) return body;
  const { configurable, ...rest } = objectOf(overlay, "runOptionsOverlay");
  const flat = configurable === undefined ? {} : { configurable: flatOptions(configurable) };
  return { ...body, runOptionsOverlay: { ...rest, ...flat } };
}

/** A point that is not in the log has a code of its own. */
async function forkAt<T>(fork: () => Promise<T>): Promise<T> {
  try {
    return await fork();
  } catch (error) {
    if (!(error instanceof OpenwopRefusal) || error.status !== 422) throw error;
    const { message, details } = error;
    const said = details === undefined ? {} : { details };
    throw new OpenwopRefusal({ status: 422, code: "fork_point_invalid", message, ...said });
  }
}
