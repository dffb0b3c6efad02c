import { eventStream } from "../../http/event-stream.js";
import { type JsonObject, toJsonText } from "../../core/json.js";
import type { JsonValue } from "../../core/json.js";
import type { Exchange } from "../../http/exchange.js";
import type { ProtocolRoute } from "../protocol.js";
import type { RunParts } from "./context.js";
import type { RunControl } from "./control.js";
import { decodeCreateBody, objectOf, refuseOthers } from "./create-body.js";
import type { RunCreation } from "./create-run.js";
import { invalid } from "./errors.js";
import { shownEvent } from "./event.js";
import { type LogReaders, sseFrame } from "./follow.js";
import type { Forks } from "./fork.js";
import { idempotent } from "./idempotent.js";
import * as schemas from "./run-schemas.js";
import type { RunAccess } from "./run-access.js";
import type { FoundRun } from "./seams.js";
import type { Snapshots } from "./snapshot.js";
import { decodeView, wholeOf } from "./stream-modes.js";

/** What the routes of runs call. */
export interface RunRoutesDeps extends RunParts {
  readonly access: RunAccess;
  readonly creation: RunCreation;
  readonly control: RunControl;
  readonly readers: LogReaders;
  readonly snapshots: Snapshots;
  readonly forks: Forks;
  /** Brings a run up to date that a crash has left behind. */
  readonly found: (exchange: Exchange) => Promise<FoundRun>;
}

const PARENT_HEADER = "x-openwop-parent-run-id";
const MAX_BULK = 100;
/** Seconds. */
const POLL_DEFAULT_S = 30;
const POLL_MAX_S = 60;
/** Events of one answer. */
const POLL_LIMIT = 1_000;

/** Runs and their events (docs/wire/openwop.md §3.2). */
export function runRoutes(deps: RunRoutesDeps): readonly ProtocolRoute[] {
  return [...lifecycleRoutes(deps), ...eventRoutes(deps), ...controlRoutes(deps)];
}

function lifecycleRoutes({ context, creation, snapshots, found, forks }: RunRoutesDeps): readonly ProtocolRoute[] {
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
        const options = {
          enforcesScope: exchange.header("x-dedup")?.toLowerCase() === "enforce",
          parentRunId: exchange.header(PARENT_HEADER) ?? null,
        };
        return idempotent(exchange, context, "runs.create", sent, async () => {
          const { record, status } = await creation.create(exchange.caller, body, options);
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
        const run = await found(exchange);
        const etag = `"${run.record.runId}-${run.fold.sequence}"`;
        // While it executes, values of its thread change without an event.
        const isStill = run.fold.completedAt !== null;
        if (isStill && exchange.header("if-none-match") === etag) return exchange.empty(304);
        const text = toJsonText((await snapshots(run, exchange.mountPath)) as unknown as JsonValue);
        return exchange.json(text, isStill ? { etag } : {});
      },
    },
    {
      method: "post",
      path: "/v1/runs/{run_id}:fork",
      summary: "A new run that begins as this one did",
      body: schemas.forkBody,
      answer: { status: 201, description: "The new run" },
      answers: schemas.forked,
      errors: [400, 404, 422],
      createsRun: true,
      async handle(exchange) {
        const runId = exchange.param("run_id");
        const body = objectOf(await exchange.body(), "The body");
        await found(exchange);
        return idempotent(exchange, context, `runs.${runId}.fork`, body, async () => {
          const fork = await forks.fork(exchange.caller, runId, body);
          const { record, status } = fork.found;
          const { fromSeq, mode } = fork;
          const head = { runId: record.runId, sourceRunId: runId, fromSeq, mode, status };
          return { status: 201, body: { ...head, ...linksOf(exchange, record.runId) } };
        });
      },
    },
  ];
}

function eventRoutes({ readers, found }: RunRoutesDeps): readonly ProtocolRoute[] {
  return [
    {
      method: "get",
      path: "/v1/runs/{run_id}/events",
      summary: "Follow the events of a run",
      query: schemas.eventsQuery,
      answer: { status: 200, description: "Its events, until it has ended", content: "event-stream" },
      errors: [400, 404],
      async handle(exchange, http) {
        const { record } = await found(exchange);
        const query = new URLSearchParams(exchange.search);
        const view = decodeView(query);
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
        const { record } = await found(exchange);
        const query = new URLSearchParams(exchange.search);
        const after = wholeOf(query, "lastSequence", { min: 0, max: Number.MAX_SAFE_INTEGER }) ?? -1;
        const seconds = wholeOf(query, "timeout", { min: 1, max: POLL_MAX_S }) ?? POLL_DEFAULT_S;
        const { events, isComplete } = await readers.poll(record, after + 1, {
          limit: POLL_LIMIT,
          timeoutMs: seconds * 1_000,
          signal: exchange.request.signal,
        });
        return exchange.json(toJsonText({ events: events.map(shownEvent), isComplete } as unknown as JsonValue));
      },
    },
  ];
}

function controlRoutes({ context, control, access }: RunRoutesDeps): readonly ProtocolRoute[] {
  const now = (): string => new Date(context.clock.now()).toISOString();
  return [
    {
      method: "post",
      path: "/v1/runs/{run_id}/cancel",
      summary: "End a run",
      body: schemas.cancelBody,
      answer: { status: 200, description: "It has ended" },
      answers: schemas.standing,
      errors: [404],
      async handle(exchange) {
        const runId = exchange.param("run_id");
        const body = objectOf(await exchange.body(), "The body");
        await access(exchange.caller, runId, "update");
        return idempotent(exchange, context, `runs.${runId}.cancel`, body, async () => ({
          status: 200,
          body: { runId, status: await control.cancel(exchange.caller, runId, body) },
        }));
      },
    },
    {
      method: "post",
      path: "/v1/runs:bulk-cancel",
      summary: "End several runs",
      body: schemas.bulkCancelBody,
      answer: { status: 200, description: "What became of each, in order" },
      answers: schemas.bulkCancelled,
      errors: [400],
      async handle(exchange) {
        const body = objectOf(await exchange.body(), "The body");
        const runIds = bulkIds(body);
        return idempotent(exchange, context, "runs.bulk-cancel", body, async () => ({
          status: 200,
          body: { results: await control.cancelMany(exchange.caller, runIds, body) },
        }));
      },
    },
    {
      method: "post",
      path: "/v1/runs/{run_id}:pause",
      summary: "Let a run rest",
      body: schemas.pauseBody,
      answer: { status: 202, description: "It rests, or will when its node has ended" },
      answers: schemas.standing,
      errors: [400, 404, 409],
      async handle(exchange) {
        const runId = exchange.param("run_id");
        const body = objectOf(await exchange.body(), "The body");
        const request = decodePause(body);
        await access(exchange.caller, runId, "update");
        return idempotent(exchange, context, `runs.${runId}.pause`, body, async () => {
          const status = await control.pause(exchange.caller, runId, request);
          return { status: 202, body: { runId, status, pausedAt: now() } };
        });
      },
    },
    {
      method: "post",
      path: "/v1/runs/{run_id}:resume",
      summary: "Let a run go on",
      answer: { status: 202, description: "It goes on" },
      answers: schemas.standing,
      errors: [404, 409],
      createsRun: true,
      async handle(exchange) {
        const runId = exchange.param("run_id");
        const body = objectOf(await exchange.body(), "The body");
        await access(exchange.caller, runId, "update");
        return idempotent(exchange, context, `runs.${runId}.resume`, body, async () => {
          const status = await control.resume(exchange.caller, runId);
          return { status: 202, body: { runId, status, resumedAt: now() } };
        });
      },
    },
  ];
}

function linksOf(exchange: Exchange, runId: string): { readonly eventsUrl: string; readonly statusUrl: string } {
  const statusUrl = exchange.url(`/v1/runs/${runId}`);
  return { eventsUrl: `${statusUrl}/events`, statusUrl };
}

/** -1: from the first on. */
function lastEventId(exchange: Exchange): number {
  const id = exchange.header("last-event-id");
  return id !== undefined && /^\d{1,15}$/.test(id) ? Number(id) : -1;
}

function wantsJson(accept: string | undefined): boolean {
  return accept !== undefined && accept.includes("application/json") && !accept.includes("text/event-stream");
}

export function bulkIds({ runIds }: JsonObject): readonly string[] {
  const isList =
    Array.isArray(runIds) && runIds.length > 0 && runIds.every((id) => typeof id === "string" && id !== "");
  if (!isList) throw invalid("runIds must be a list of 1 to 100 strings.", { maxRunIds: MAX_BULK });
  if (runIds.length > MAX_BULK) throw invalid(`runIds has ${runIds.length} ids.`, { maxRunIds: MAX_BULK });
  return runIds as readonly string[];
}

const PAUSE_MEMBERS: ReadonlySet<string> = new Set(["reason", "drainPolicy"]);

export function decodePause(body: JsonObject): Parameters<RunControl["pause"]>[2] {
  refuseOthers(body, PAUSE_MEMBERS);
  const { reason, drainPolicy = "drain-current-node" } = body;
  if (reason !== undefined && typeof reason !== "string") throw invalid("reason must be a string.");
  if (drainPolicy !== "immediate" && drainPolicy !== "drain-current-node") {
    throw invalid("drainPolicy must be immediate or drain-current-node.");
  }
  return { policy: drainPolicy, reason: reason ?? null };
}
