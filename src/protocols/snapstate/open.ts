import { HeddleError } from "../../core/errors.js";
import { createOutbox } from "../../services/outbox.js";
import type { OpenProtocol, ProtocolContext } from "../protocol.js";
import { Agents } from "./agents.js";
import { errorSchema, refuse } from "./errors.js";
import { Health } from "./health.js";
import { SPACES } from "./places.js";
import { getCheckpoint, replayWorkflow, resumeWorkflow } from "./reading.js";
import { snapstateRoutes } from "./routes.js";
import { saveCheckpoint } from "./saving.js";
import { Settling } from "./settling.js";
import { createSweeper } from "./sweeper.js";
import { Turns } from "./turns.js";
import { Webhooks } from "./webhooks.js";
import { SNAPSTATE_GRAPH, WorkflowThreads } from "./workflow-thread.js";

/** @throws HeddleError `CONFIG_INVALID` where a graph of the user's has the id that threads of workflows name */
export function openSnapstate(context: ProtocolContext): OpenProtocol {
  const { services, authorize, itemPrefix, records, store, checkpointer, clock, logger } = context;
  if (context.engine.graphs().some(({ graphId }) => graphId === SNAPSTATE_GRAPH)) {
    throw new HeddleError("CONFIG_INVALID", {
      message: `graphs: "${SNAPSTATE_GRAPH}" is the graph of workflows' threads where the protocol snapstate is served: name yours otherwise.`,
    });
  }
  const threads = new WorkflowThreads({ threads: services.threads, store, checkpointer });
  const webhooks = new Webhooks({ records, authorize, itemPrefix, outbox: createOutbox(context), clock });
  const settling = new Settling({ records, threads, webhooks, clock, logger });
  const agents = new Agents({ records, authorize, itemPrefix });
  const saving = { records, threads, settling, turns: new Turns(), clock };
  const reading = { records, threads, webhooks, logger };
  const sweeper = createSweeper({ sweep: () => settling.sweep(), clock, logger });
  return {
    routes: snapstateRoutes({
      agents,
      webhooks,
      health: new Health(clock),
      async save(caller, request) {
        const outcome = await saveCheckpoint(saving, caller, request);
        const { agentId, workflowId } = request;
        if (outcome.kind === "saved" && agentId !== null) {
          await agents.seen(caller, agentId, outcome.checkpoint.createdAt).catch((error: unknown) => {
            // It is saved, whatever becomes of the stamp.
            logger.warn({ err: error, workflowId, agentId }, "an agent that saved has not been stamped");
          });
        }
        return outcome;
      },
      get: (caller, id) => getCheckpoint(reading, caller, id),
      resume: (caller, id) => resumeWorkflow(reading, caller, id),
      replay: (caller, id, request) => replayWorkflow(reading, caller, id, request),
    }),
    refuse,
    errorSchema,
    errorStatuses: [400, 401, 403, 429, 500, 503],
    exposedHeaders: ["etag", "retry-after"],
    start: () => sweeper.start(),
    stop: () => sweeper.stop(),
    sweepsItself: [SPACES.due],
  };
}
