import type { JsonObject } from "../../core/json.js";
import type { ProtocolRoute } from "../protocol.js";
import type { RunControl } from "./control.js";
import { objectOf, refuseOthers } from "./create-body.js";
import { invalid, runNotFound } from "./errors.js";
import { isTerminalStatus } from "./event.js";
import { idempotent } from "./idempotent.js";
import type { Major } from "./major.js";
import type { RunRoutesDeps } from "./run-routes.js";
import * as schemas from "./run-schemas.js";
import { OpenwopRefusal } from "./seams.js";

const MAX_BULK = 100;

/** Ending runs, and letting them rest (docs/wire/openwop.md §3.2 Cancel, Pause), in either major. */
export function controlRoutes({ context, control, logs }: RunRoutesDeps, major: Major): readonly ProtocolRoute[] {
  const { root, operations } = major;
  const refusesEnded = major.number === 2;
  const now = (): string => new Date(context.clock.now()).toISOString();
  return [
    {
      method: "post",
      path: `${root}/runs/{run_id}/cancel`,
      summary: "End a run",
      body: schemas.cancelBody,
      answer: { status: 200, description: "It has ended" },
      answers: schemas.standing,
      errors: [404, 409],
      async handle(exchange) {
        const body = objectOf(await exchange.body(), "The body");
        const record = await major.run(exchange, "update");
        return idempotent(exchange, context, `${operations}runs.${record.runId}.cancel`, body, async () => {
          const { status: before } = await logs.read(record);
          if (refusesEnded && isTerminalStatus(before)) throw runTerminal(before);
          const status = await control.cancel(exchange.caller, record.runId, body);
          // It came to its end at this moment.
          if (refusesEnded && status !== "cancelled") throw runTerminal(status);
          return { status: 200, body: { runId: major.nameOf(record), status } };
        });
      },
    },
    {
      method: "post",
      path: `${root}/runs:bulk-cancel`,
      summary: "End several runs",
      body: schemas.bulkCancelBody,
      answer: { status: 200, description: "What became of each, in order" },
      answers: schemas.bulkCancelled,
      async handle(exchange) {
        const { caller } = exchange;
        const body = objectOf(await exchange.body(), "The body");
        const named = bulkIds(body);
        return idempotent(exchange, context, `${operations}runs.bulk-cancel`, body, async () => {
          const own = await Promise.all(named.map((id) => major.ownId(caller, id)));
          const known = own.filter((id) => id !== null);
          const cancelled = await control.cancelMany(caller, known, body);
          const results = new Map(cancelled.map((one, at) => [known[at], one] as const));
          const told = named.map((runId, at) => resultFor(runId, results.get(own[at] ?? undefined)));
          return { status: 200, body: { results: told } };
        });
      },
    },
    {
      method: "post",
      path: `${root}/runs/{run_id}:pause`,
      summary: "Let a run rest",
      body: schemas.pauseBody,
      answer: { status: 202, description: "It rests, or will when its node has ended" },
      answers: schemas.standing,
      errors: [404, 409],
      async handle(exchange) {
        const body = objectOf(await exchange.body(), "The body");
        const request = decodePause(body);
        const record = await major.run(exchange, "update");
        return idempotent(exchange, context, `${operations}runs.${record.runId}.pause`, body, async () => {
          const status = await control.pause(exchange.caller, record.runId, request);
          return { status: 202, body: { runId: major.nameOf(record), status, pausedAt: now() } };
        });
      },
    },
    {
      method: "post",
      path: `${root}/runs/{run_id}:resume`,
      summary: "Let a run go on",
      answer: { status: 202, description: "It goes on" },
      answers: schemas.standing,
      errors: [404, 409],
      createsRun: true,
      async handle(exchange) {
        const body = objectOf(await exchange.body(), "The body");
        const record = await major.run(exchange, "update");
        return idempotent(exchange, context, `${operations}runs.${record.runId}.resume`, body, async () => {
          const status = await control.resume(exchange.caller, record.runId);
          return { status: 202, body: { runId: major.nameOf(record), status, resumedAt: now() } };
        });
      },
    },
  ];
}

/** @param result `undefined`: no run of the caller's is named so */
function resultFor(runId: string, result: JsonObject | undefined): JsonObject {
  if (result !== undefined) return { ...result, runId };
  const { code, message } = runNotFound(runId);
  return { runId, ok: false, error: { error: code, message } };
}

function bulkIds({ runIds }: JsonObject): readonly string[] {
  const isList =
    Array.isArray(runIds) && runIds.length > 0 && runIds.every((id) => typeof id === "string" && id !== "");
  if (!isList) throw invalid("runIds must be a list of 1 to 100 strings.", { maxRunIds: MAX_BULK });
  if (runIds.length > MAX_BULK) throw invalid(`runIds has ${runIds.length} ids.`, { maxRunIds: MAX_BULK });
  return runIds as readonly string[];
}

const PAUSE_MEMBERS: ReadonlySet<string> = new Set(["reason", "drainPolicy"]);

function decodePause(body: JsonObject): Parameters<RunControl["pause"]>[2] {
  refuseOthers(body, PAUSE_MEMBERS);
  const { reason, drainPolicy = "drain-current-node" } = body;
  if (reason !== undefined && typeof reason !== "string") throw invalid("reason must be a string.");
  if (drainPolicy !== "immediate" && drainPolicy !== "drain-current-node") {
    throw invalid("drainPolicy must be immediate or drain-current-node.");
  }
  return { policy: drainPolicy, reason: reason ?? null };
}

function runTerminal(runStatus: string): OpenwopRefusal {
  return new OpenwopRefusal({
    status: 409,
    code: "run_terminal",
    message: `The run has ended: it is ${runStatus}`,
    details: { runStatus },
  });
}
