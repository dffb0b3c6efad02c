import type { Caller } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import type { Exchange } from "../../http/exchange.js";
import type { JsonText } from "../../core/json.js";
import { toJsonText } from "../../core/json.js";
import type { ProtocolRoute } from "../protocol.js";
import * as answers from "./answers.js";
import { agentBody, agentPatch, type Agents } from "./agents.js";
import { envelope } from "./errors.js";
import type { Health } from "./health.js";
import { checkpointId } from "./places.js";
import type { SaveOutcome } from "./saving.js";
import { webhookBody, type Webhooks } from "./webhooks.js";
import {
  decodeReplay,
  decodeSave,
  encodeSaved,
  replayQuery,
  type ReplayRequest,
  saveBody,
  type SaveRequest,
} from "./wire.js";

/** What the routes call. */
export interface Operations {
  readonly agents: Agents;
  readonly webhooks: Webhooks;
  readonly health: Health;
  save(caller: Caller, request: SaveRequest): Promise<SaveOutcome>;
  get(caller: Caller, checkpointId: string): Promise<{ readonly text: JsonText; readonly etag: string }>;
  resume(caller: Caller, workflowId: string): Promise<JsonText>;
  replay(caller: Caller, workflowId: string, request: ReplayRequest): Promise<JsonText>;
}

const CREATED = { status: 201, description: "Done" };
const OK = { status: 200, description: "Done" };
const NOTHING = { status: 204, description: "Done", content: "none" } as const;

/** docs/wire/snapstate.md §1.1, in its order. */
export function snapstateRoutes(operations: Operations): readonly ProtocolRoute[] {
  return [...checkpointRoutes(operations), ...agentRoutes(operations), ...otherRoutes(operations)];
}

function checkpointRoutes(operations: Operations): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: "/checkpoints",
      summary: "Save a checkpoint of a workflow",
      body: saveBody,
      answer: CREATED,
      answers: answers.saved,
      errors: [404, 409, 413],
      async handle(exchange) {
        const headers = { ttl: exchange.header("x-checkpoint-ttl"), ifMatch: exchange.header("if-match") };
        const outcome = await operations.save(exchange.caller, decodeSave(await exchange.body(), headers));
        const { checkpoint } = outcome;
        if (outcome.kind !== "exists") return exchange.json(encodeSaved(checkpoint), { etag: checkpoint.etag }, 201);
        const existing = {
          checkpoint_id: checkpointId(checkpoint.workflowId, checkpoint.step),
          etag: checkpoint.etag,
        };
        const message = `Step ${checkpoint.step} of workflow ${checkpoint.workflowId} exists already`;
        return exchange.json(envelope("CONFLICT", message, { existing }), { etag: checkpoint.etag }, 409);
      },
    },
    {
      method: "get",
      path: "/checkpoints/{checkpoint_id}",
      summary: "Read a checkpoint",
      answer: OK,
      answers: answers.checkpoint,
      errors: [404],
      async handle(exchange) {
        const { text, etag } = await operations.get(exchange.caller, exchange.param("checkpoint_id"));
        return exchange.json(text, { etag });
      },
    },
    {
      method: "get",
      path: "/workflows/{workflow_id}/resume",
      summary: "The checkpoint of a workflow that was saved last",
      answer: OK,
      answers: answers.resumed,
      errors: [404],
      handle: async (exchange) =>
        exchange.json(await operations.resume(exchange.caller, exchange.param("workflow_id"))),
    },
    {
      method: "get",
      path: "/workflows/{workflow_id}/replay",
      summary: "Checkpoints of a workflow in the order in which they were saved",
      query: replayQuery,
      answer: OK,
      answers: answers.replayed,
      handle: async (exchange) =>
        exchange.json(
          await operations.replay(exchange.caller, exchange.param("workflow_id"), decodeReplay(exchange.query)),
        ),
    },
  ];
}

function agentRoutes({ agents }: Operations): readonly ProtocolRoute[] {
  const id = (exchange: Exchange): string => exchange.param("agent_id");
  return [
    {
      method: "post",
      path: "/agents",
      summary: "Register an agent, or replace its fields",
      body: agentBody,
      answer: CREATED,
      answers: answers.agent,
      handle: async (exchange) => exchange.json(await agents.put(exchange.caller, await exchange.body()), {}, 201),
    },
    {
      method: "get",
      path: "/agents",
      summary: "List agents, those seen last first",
      answer: OK,
      answers: answers.agentList,
      handle: async (exchange) => exchange.json(await agents.list(exchange.caller)),
    },
    {
      method: "get",
      path: "/agents/{agent_id}",
      summary: "Read an agent",
      answer: OK,
      answers: answers.agent,
      errors: [404],
      handle: async (exchange) => exchange.json(await agents.get(exchange.caller, id(exchange))),
    },
    {
      method: "patch",
      path: "/agents/{agent_id}",
      summary: "Change fields of an agent",
      body: agentPatch,
      answer: OK,
      answers: answers.agent,
      errors: [404],
      handle: async (exchange) =>
        exchange.json(await agents.patch(exchange.caller, id(exchange), await exchange.body())),
    },
    {
      method: "delete",
      path: "/agents/{agent_id}",
      summary: "Delete an agent",
      answer: NOTHING,
      errors: [404],
      async handle(exchange) {
        await agents.delete(exchange.caller, id(exchange));
        return exchange.empty(204);
      },
    },
  ];
}

function otherRoutes({ webhooks, health }: Operations): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: "/webhooks",
      summary: "Be told of what becomes of the workflows of this API key",
      body: webhookBody,
      answer: CREATED,
      answers: answers.webhook,
      handle: async (exchange) => exchange.json(await webhooks.create(exchange.caller, await exchange.body()), {}, 201),
    },
    {
      method: "delete",
      path: "/webhooks/{webhook_id}",
      summary: "Delete a webhook of this API key",
      answer: NOTHING,
      errors: [404],
      async handle(exchange) {
        const webhookId = exchange.param("webhook_id");
        if (await webhooks.delete(exchange.caller, webhookId)) return exchange.empty(204);
        throw new HeddleError("NOT_FOUND", { message: `Webhook ${webhookId} not found` });
      },
    },
    {
      method: "get",
      path: "/health",
      summary: "How the server is",
      isPublic: true,
      answer: OK,
      answers: answers.healthy,
      errors: [503],
      async handle(exchange, deps) {
        const report = await health.report(deps);
        return exchange.json(toJsonText(report), {}, report.status === "ok" ? 200 : 503);
      },
    },
    {
      method: "get",
      path: "/ready",
      summary: "Whether the server takes requests",
      isPublic: true,
      answer: OK,
      answers: answers.ready,
      errors: [503],
      async handle(exchange, deps) {
        const isReady = await health.isReady(deps);
        return exchange.json(toJsonText({ status: isReady ? "ready" : "not_ready" }), {}, isReady ? 200 : 503);
      },
    },
  ];
}
