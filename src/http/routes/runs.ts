import { encodeExplainedRun } from "../../wire/explained-run.js";
import { asJsonText, encodeList } from "../../wire/json.js";
import { decodeRun, decodeRunBatch, runBatchBody, runBody } from "../../wire/run-body.js";
import {
  cancelManyBody,
  cancelManyQuery,
  cancelQuery,
  decodeCancel,
  decodeCancelMany,
  decodeJoin,
  decodeRunList,
  encodeRun,
  joinQuery,
  refuseNamespaces,
  runListQuery,
  runPath,
} from "../../wire/runs.js";
import { HeddleError } from "../../core/errors.js";
import type { JsonText } from "../../core/json.js";
import type { Run } from "../../core/run.js";
import type { Exchange } from "../exchange.js";
import type { HttpDeps } from "../http-deps.js";
import type { Route } from "../route.js";
import { JSON_ANSWER, NO_CONTENT } from "../route.js";
import { attachedOnce, createdOnce, refuseIdempotencyKey, replayedHeader } from "../idempotent-runs.js";
import { awaitRun, streamRun } from "../run-responses.js";

const group = "runs";
const OF_THREAD = "/threads/{thread_id}/runs";
const ID = `${OF_THREAD}/{run_id}`;
const STREAM = { status: 200, description: "Events of the run", content: "event-stream" } as const;
const CREATE_ERRORS = [404, 409, 503] as const;

/** The three ways to create a run, on a thread and without one (docs/wire/langgraph-api.md §2.6, §2.7). */
const createRoutes = (prefix: string): readonly Route[] => {
  const common = { method: "post", group, body: runBody, errors: CREATE_ERRORS, createsRun: true } as const;
  return [
    {
      ...common,
      path: prefix,
      summary: "Create a run in the background",
      answer: JSON_ANSWER,
      async handle(exchange, deps) {
        const { services, settings } = deps;
        const threadId = threadOf(exchange);
        const body = await exchange.body();
        const { request } = decodeRun(body, settings);
        const created = await createdOnce(exchange, deps, { threadId, body }, async (ids) => {
          const run = await services.runs.create(exchange.caller, threadId, request, ids);
          return { run, answer: encodeCreated(run) };
        });
        return exchange.json(created.answer, {
          "content-location": runPath(created.run, threadId === null),
          ...replayedHeader(created),
        });
      },
    },
    {
      ...common,
      path: `${prefix}/stream`,
      summary: "Create a run and stream its events",
      answer: STREAM,
      async handle(exchange, deps) {
        const threadId = threadOf(exchange);
        refuseNamespaces(exchange.query);
        const body = await exchange.body();
        const { request, cancelOnDisconnect } = decodeRun(body, deps.settings);
        const once = await attachedOnce(exchange, deps, { threadId, body, request, cancelOnDisconnect });
        return streamRun(exchange, deps, once.attached, {
          stateless: threadId === null,
          cancelOnDisconnect,
          headers: replayedHeader(once),
        });
      },
    },
    {
      ...common,
      path: `${prefix}/wait`,
      summary: "Create a run and wait for its result",
      holds: true,
      answer: JSON_ANSWER,
      async handle(exchange, deps) {
        const threadId = threadOf(exchange);
        const body = await exchange.body();
        const { request, cancelOnDisconnect } = decodeRun(body, deps.settings);
        const once = await attachedOnce(exchange, deps, {
          threadId,
          body,
          request,
          cancelOnDisconnect,
          follow: { patient: true },
        });
        return awaitRun(exchange, deps, once.attached, {
          stateless: threadId === null,
          cancelOnDisconnect,
          headers: replayedHeader(once),
        });
      },
    },
  ];
};

export const runRoutes: readonly Route[] = [
  ...createRoutes(OF_THREAD),
  ...createRoutes("/runs"),
  {
    method: "post",
    path: "/runs/batch",
    group,
    summary: "Create several runs, each on a thread of its own",
    body: runBatchBody,
    answer: JSON_ANSWER,
    errors: CREATE_ERRORS,
    createsRun: true,
    async handle(exchange, { services, settings }) {
      refuseIdempotencyKey(exchange);
      const requests = decodeRunBatch(await exchange.body(), settings).map(({ request }) => request);
      const runs = await services.runs.createBatch(exchange.caller, requests);
      return exchange.json(encodeList(runs.map(encodeCreated)));
    },
  },
  {
    method: "post",
    path: "/runs/cancel",
    group,
    summary: "Cancel runs by status, or by thread and ids",
    query: cancelManyQuery,
    body: cancelManyBody,
    answer: NO_CONTENT,
    errors: [404],
    async handle(exchange, { services }) {
      const { selection, action } = decodeCancelMany(exchange.query, await exchange.body());
      const cancelled = await services.runs.cancelMany(exchange.caller, selection, action);
      if (cancelled === 0) throw new HeddleError("RUN_NOT_FOUND", { message: "No pending or running run matches" });
      return exchange.empty(204);
    },
  },
  {
    method: "get",
    path: "/runs/{run_id}/stream",
    group,
    summary: "Join the stream of a stateless run",
    query: joinQuery,
    answer: STREAM,
    errors: [404],
    handle: joinStream,
  },
  ...[`/runs/{run_id}/explain`, `${ID}/explain`].map((path): Route => ({
    method: "get",
    path,
    group,
    summary: "Why a run is where it is: what it waits for, who executes it, when it is tried again",
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const ref = { threadId: threadOf(exchange), runId: exchange.uuid("run_id") };
      return exchange.json(encodeExplainedRun(await services.runs.explain(exchange.caller, ref)));
    },
  })),
  {
    method: "get",
    path: OF_THREAD,
    group,
    summary: "List runs, newest first",
    query: runListQuery,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const threadId = exchange.uuid("thread_id");
      const { fields, ...query } = decodeRunList(exchange.query);
      const runs = await services.runs.list(exchange.caller, threadId, query);
      return exchange.json(encodeList(runs.map((run) => encodeRun(run, fields))));
    },
  },
  {
    method: "get",
    path: ID,
    group,
    summary: "Get a run",
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      return exchange.json(encodeRun(await services.runs.get(exchange.caller, refOf(exchange))));
    },
  },
  {
    method: "delete",
    path: ID,
    group,
    summary: "Delete a run and its checkpoints",
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      await services.runs.delete(exchange.caller, refOf(exchange));
      return exchange.json(asJsonText("{}"));
    },
  },
  {
    method: "get",
    path: `${ID}/join`,
    group,
    summary: "Wait for a run's result",
    holds: true,
    query: joinQuery,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, deps) {
      const ref = refOf(exchange);
      const { cancelOnDisconnect } = decodeJoin(exchange.query, undefined);
      const attached = await deps.services.runs.join(exchange.caller, ref, "start", {
        patient: true,
        mayCancel: cancelOnDisconnect,
      });
      return awaitRun(exchange, deps, attached, { stateless: false, cancelOnDisconnect });
    },
  },
  {
    method: "get",
    path: `${ID}/stream`,
    group,
    summary: "Join the stream of a run",
    query: joinQuery,
    answer: STREAM,
    errors: [404],
    handle: joinStream,
  },
  {
    method: "post",
    path: `${ID}/cancel`,
    group,
    summary: "Cancel a run",
    // One that does not wait must be let in: it may be what ends a caller's streams.
    holds: ({ url }) => !["0", "false"].includes(new URL(url).searchParams.get("wait") ?? "0"),
    query: cancelQuery,
    answer: { status: 202, description: "Cancel requested (204: with `wait`, the run has ended)" },
    errors: [404, 409],
    async handle(exchange, { services }) {
      const ref = refOf(exchange);
      const options = decodeCancel(exchange.query);
      await services.runs.cancel(exchange.caller, ref, { ...options, signal: exchange.request.signal });
      return options.wait ? exchange.empty(204) : exchange.json(asJsonText("{}"), {}, 202);
    },
  },
];

/** A run as it was created, `pending` (docs/wire/langgraph-api.md §2.6.1), also when a free slot took it in the same step. */
function encodeCreated(run: Run): JsonText {
  return encodeRun({ ...run, status: "pending" });
}

/** `null` for the endpoints without a thread. */
function threadOf(exchange: Exchange): string | null {
  return exchange.param("thread_id") === "" ? null : exchange.uuid("thread_id");
}

function refOf(exchange: Exchange) {
  return { threadId: exchange.uuid("thread_id"), runId: exchange.uuid("run_id") };
}

async function joinStream(exchange: Exchange, deps: HttpDeps): Promise<Response> {
  const ref = { threadId: threadOf(exchange), runId: exchange.uuid("run_id") };
  const { position, ...options } = decodeJoin(exchange.query, exchange.header("last-event-id"));
  const { cancelOnDisconnect: mayCancel } = options;
  const attached = await deps.services.runs.join(exchange.caller, ref, position, { mayCancel });
  return streamRun(exchange, deps, attached, { ...options, position, stateless: ref.threadId === null });
}
