import { eventStream } from "../../http/event-stream.js";
import { type JsonObject, toJsonText } from "../../core/json.js";
import type { JsonValue } from "../../core/json.js";
import { secretDigest } from "../../core/secret-digest.js";
import type { Exchange } from "../../http/exchange.js";
import type { ProtocolRoute } from "../protocol.js";
import type { RunParts } from "./context.js";
import type { RunControl } from "./control.js";
import { controlRoutes } from "./control-routes.js";
import { decodeCreateBody, objectOf } from "./create-body.js";
import type { CreateOptions, RunCreation } from "./create-run.js";
import { isKnown } from "./discovery.js";
import { shownEvent } from "./event.js";
import { decodePoll, lastEventId, POLL_LIMIT } from "./event-requests.js";
import { type LogReaders, sseFrame } from "./follow.js";
import type { Forks } from "./fork.js";
import { idempotent } from "./idempotent.js";
import { firstMajor } from "./major.js";
import type { RunAccess } from "./run-access.js";
import type { RunRecord } from "./run-record.js";
import * as schemas from "./run-schemas.js";
import type { FoundRun } from "./seams.js";
import type { Snapshots } from "./snapshot.js";
import { decodeView } from "./stream-modes.js";

/** What the routes of runs call. */
export interface RunRoutesDeps extends RunParts {
  readonly access: RunAccess;
  readonly creation: RunCreation;
  readonly control: RunControl;
  readonly readers: LogReaders;
  readonly snapshots: Snapshots;
  readonly forks: Forks;
  /** How a run stands, brought up to date where a crash has left it behind. */
  readonly found: (record: RunRecord) => Promise<FoundRun>;
}

const PARENT_HEADER = "x-openwop-parent-run-id";

/** Runs and their events (docs/wire/openwop.md §3.2). */
export function runRoutes(deps: RunRoutesDeps): readonly ProtocolRoute[] {
  return [...lifecycleRoutes(deps), ...eventRoutes(deps), ...controlRoutes(deps, firstMajor(deps.access))];
}

function lifecycleRoutes({
  context,
  access,
  creation,
  snapshots,
  found,
  forks,
}: RunRoutesDeps): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: "/v1/runs",
      summary: "Start a run of a workflow",
      body: schemas.createBody,
      answer: { status: 201, description: "It is stored, and will run" },
      answers: schemas.created,
      errors: [400, 404, 409],
      createsRun: true,
      async handle(exchange) {
        const sent = objectOf(await exchange.body(), "The body");
        const body = decodeCreateBody(sent);
        const options = decodeCreateOptions(exchange, "x-dedup");
        return idempotent(exchange, context, "runs.create", sent, async (attempt) => {
          const { record, status } = await creation.create(exchange.caller, body, { ...options, attempt });
          return {
            status: 201,
            body: { runId: record.runId, status, ...linksOf(exchange, record.runId) },
          };
        });
      },
    },
    {
      method: "get",
      path: "/v1/runs/{run_id}",
      summary: "How a run stands",
      answer: { status: 200, description: "Its snapshot" },
      answers: schemas.snapshot,
      errors: [404],
      async handle(exchange) {
        const run = await found(await access(exchange.caller, exchange.param("run_id")));
        return snapshotAnswer(exchange, run, async () => {
          return (await snapshots(run, exchange.mountPath)) as unknown as JsonObject;
        });
      },
    },
    {
      method: "post",
      path: "/v1/runs/{run_id}:fork",
      summary: "A new run that begins as this one did",
      body: schemas.forkBody,
      answer: { status: 201, description: "The new run" },
      answers: schemas.forked,
      errors: [400, 404, 409, 422],
      createsRun: true,
      async handle(exchange) {
        const runId = exchange.param("run_id");
        const body = objectOf(await exchange.body(), "The body");
        await found(await access(exchange.caller, runId));
        return idempotent(exchange, context, `runs.${runId}.fork`, body, async (attempt) => {
          const fork = await forks.fork(exchange.caller, runId, body, attempt);
          const { record, status } = fork.found;
          const { fromSeq, mode } = fork;
          const head = { runId: record.runId, sourceRunId: runId, fromSeq, mode, status };
          return { status: 201, body: { ...head, ...linksOf(exchange, record.runId) } };
        });
      },
    },
  ];
}

function eventRoutes({ access, readers }: RunRoutesDeps): readonly ProtocolRoute[] {
  return [
    {
      method: "get",
      path: "/v1/runs/{run_id}/events",
      summary: "Follow the events of a run",
      query: schemas.eventsQuery,
      answer: { status: 200, description: "Its events, until it has ended", content: "event-stream" },
      errors: [400, 404],
      async handle(exchange, http) {
        const record = await access(exchange.caller, exchange.param("run_id"));
        const view = decodeView(new URLSearchParams(exchange.search));
        const after = lastEventId(exchange);
        if (wantsJson(exchange.header("accept"))) {
          const { events, isComplete } = await readers.read(record, after + 1, POLL_LIMIT);
          return exchange.json(toJsonText({ events: events.map(shownEvent), isComplete } as unknown as JsonValue));
        }
        return eventStream(exchange, http, readers.open(record, after + 1, view), {
          withIds: true,
          encode: sseFrame,
          subject: { threadId: record.runId },
        });
      },
    },
    {
      method: "get",
      path: "/v1/runs/{run_id}/events/poll",
      summary: "The events of a run that come after one",
      query: schemas.pollQuery,
      answer: { status: 200, description: "Events, at once or when there are some" },
      answers: schemas.polled,
      errors: [400, 404],
      holds: true,
      async handle(exchange) {
        const record = await access(exchange.caller, exchange.param("run_id"));
        const { after, timeoutMs } = decodePoll(exchange, { name: "lastSequence", min: 0 });
        const { events, isComplete } = await readers.poll(record, after + 1, {
          limit: POLL_LIMIT,
          timeoutMs,
          signal: exchange.request.signal,
        });
        return exchange.json(toJsonText({ events: events.map(shownEvent), isComplete } as unknown as JsonValue));
      },
    },
  ];
}

/** What the headers of a run's creation say. */
export function decodeCreateOptions(
  exchange: Pick<Exchange, "header">,
  dedupHeader: "x-dedup" | "openwop-dedup",
): Omit<CreateOptions, "attempt"> {
  return {
    enforcesScope: exchange.header(dedupHeader)?.toLowerCase() === "enforce",
    parentRunId: exchange.header(PARENT_HEADER) ?? null,
  };
}

/**
 * A snapshot, or that the client has it already. While a run executes or waits, values of its thread and links change without an event:
 * only one that has ended has an `ETag`.
 */
export async function snapshotAnswer(
  exchange: Exchange,
  { record, fold }: FoundRun,
  snapshotOf: () => Promise<JsonObject>,
): Promise<Response> {
  const { completedAt, sequence } = fold;
  const text = toJsonText(await snapshotOf());
  if (completedAt === null) return exchange.json(text);
  // With its content: LangGraph clients may still write to the thread.
  const etag = `"${record.runId}-${sequence}-${secretDigest(text).slice(0, 16)}"`;
  if (!isKnown(etag, exchange.header("if-none-match"))) return exchange.json(text, { etag });
  return new Response(null, { status: 304, headers: { ...exchange.headers, etag } });
}

function linksOf(exchange: Exchange, runId: string): { readonly eventsUrl: string; readonly statusUrl: string } {
  const statusUrl = exchange.url(`/v1/runs/${runId}`);
  return { eventsUrl: `${statusUrl}/events`, statusUrl };
}

function wantsJson(accept: string | undefined): boolean {
  return accept !== undefined && accept.includes("application/json") && !accept.includes("text/event-stream");
}
