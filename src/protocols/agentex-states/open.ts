import type { OpenProtocol, ProtocolContext } from "../protocol.js";
import { checkpointRoutes } from "./checkpoint-routes.js";
import { createCheckpoints } from "./checkpoints.js";
import { healthRoutes } from "./health-routes.js";
import { errorSchema, refuse } from "./refusals.js";
import { stateRoutes } from "./state-routes.js";
import { createStates } from "./states.js";
import { createTaskAccess } from "./task-access.js";
import { taskRoutes } from "./task-routes.js";
import { createTasks } from "./tasks.js";

/** The protocol over a server's services and records. */
export function openAgentexStates(context: ProtocolContext): OpenProtocol {
  const { records } = context;
  const tasks = createTaskAccess(context);
  return {
    routes: [
      ...healthRoutes,
      ...stateRoutes(createStates({ records, tasks })),
      ...checkpointRoutes(createCheckpoints({ records, tasks })),
      ...taskRoutes(createTasks(context)),
    ],
    refuse,
    errorSchema,
    errorStatuses: [401, 403, 413, 422, 429, 500, 503],
    exposedHeaders: ["retry-after", "x-should-retry"],
  };
}
