import type { JsonObject } from "../../../core/json.js";
import type { ProtocolRoute } from "../../protocol.js";
import { objectOf } from "../create-body.js";
import { isTerminalStatus } from "../event.js";
import { idempotent } from "../idempotent.js";
import { bulkIds, decodePause } from "../run-routes.js";
import * as schemas from "../run-schemas.js";
import { OpenwopRefusal } from "../seams.js";
import { pathId, runOf } from "./paths.js";
import type { RoutesDeps2 } from "./routes.js";
import { boundRunId } from "./views.js";
import { partsOf } from "./wire-id.js";

/** Ending runs, and letting them rest, as the second major has it. */
export function controlRoutes2({ access, context, control, logs }: RoutesDeps2): readonly ProtocolRoute[] {
  const now = (): string => new Date(context.clock.now()).toISOString();
  return [
    {
      method: "post",
      path: "/runs/{run_id}/cancel",
      summary: "End a run",
      body: schemas.cancelBody,
      answer: { status: 200, description: "It has ended" },
      answers: schemas.standing,
      errors: [404, 406, 409],
      async handle(exchange) {
        const body = objectOf(await exchange.body(), "The body");
        const record = await runOf(access, exchange.caller, pathId(exchange, "run_id"), "update");
        return idempotent(exchange, context, `v2 runs.${record.runId}.cancel`, body, async () => {
          const { status: before } = await logs.read(record);
          if (isTerminalStatus(before)) throw runTerminal(before);
          const status = await control.cancel(exchange.caller, record.runId, body);
          return { status: 200, body: { runId: boundRunId(record), status } };
        });
      },
    },
    {
      method: "post",
      path: "/runs:bulk-cancel",
      summary: "End several runs",
      body: schemas.bulkCancelBody,
      answer: { status: 200, description: "What became of each, in order" },
      answers: schemas.bulkCancelled,
      errors: [406],
      async handle(exchange) {
        const body = objectOf(await exchange.body(), "The body");
        const runIds = bulkIds(body);
        return idempotent(exchange, context, "v2 runs.bulk-cancel", body, async () => {
          // Ids that are not bound are of no run.
          const own = runIds.map((id) => partsOf(id)?.own ?? id);
          const results = await control.cancelMany(exchange.caller, own, body);
          return {
            status: 200,
            body: { results: results.map((result, at): JsonObject => withId(result, runIds[at])) },
          };
        });
      },
    },
    {
      method: "post",
      path: "/runs/{run_id}:pause",
      summary: "Let a run rest",
      body: schemas.pauseBody,
      answer: { status: 202, description: "It rests, or will when its node has ended" },
      answers: schemas.standing,
      errors: [404, 406, 409],
      async handle(exchange) {
        const body = objectOf(await exchange.body(), "The body");
        const request = decodePause(body);
        const record = await runOf(access, exchange.caller, pathId(exchange, "run_id"), "update");
        return idempotent(exchange, context, `v2 runs.${record.runId}.pause`, body, async () => {
          const status = await control.pause(exchange.caller, record.runId, request);
          return { status: 202, body: { runId: boundRunId(record), status, pausedAt: now() } };
        });
      },
    },
    {
      method: "post",
      path: "/runs/{run_id}:resume",
      summary: "Let a run go on",
      answer: { status: 202, description: "It goes on" },
      answers: schemas.standing,
      errors: [404, 406, 409],
      createsRun: true,
      async handle(exchange) {
        const body = objectOf(await exchange.body(), "The body");
        const record = await runOf(access, exchange.caller, pathId(exchange, "run_id"), "update");
        return idempotent(exchange, context, `v2 runs.${record.runId}.resume`, body, async () => {
          const status = await control.resume(exchange.caller, record.runId);
          return { status: 202, body: { runId: boundRunId(record), status, resumedAt: now() } };
        });
      },
    },
  ];
}

function withId(result: JsonObject, runId: string | undefined): JsonObject {
  return runId === undefined ? result : { ...result, runId };
}

function runTerminal(runStatus: string): OpenwopRefusal {
  return new OpenwopRefusal({
    status: 409,
    code: "run_terminal",
    message: `The run has ended: it is ${runStatus}`,
    details: { runStatus },
  });
}
