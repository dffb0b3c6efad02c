import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkpointRoutes } from "../../../src/protocols/agentex-states/checkpoint-routes.js";
import { createCheckpoints } from "../../../src/protocols/agentex-states/checkpoints.js";
import { healthRoutes } from "../../../src/protocols/agentex-states/health-routes.js";
import { stateRoutes } from "../../../src/protocols/agentex-states/state-routes.js";
import { createStates } from "../../../src/protocols/agentex-states/states.js";
import type { TaskAccess } from "../../../src/protocols/agentex-states/task-access.js";
import { taskRoutes } from "../../../src/protocols/agentex-states/task-routes.js";
import type { TasksOperations } from "../../../src/protocols/agentex-states/tasks.js";
import { createMemoryRecords } from "../../../src/stores/memory/records.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const page = readFileSync(new URL("../../../docs/protocols/agentex-states.md", import.meta.url), "utf8");

describe("docs/protocols/agentex-states.md", () => {
  it("has a row for every route, and no other", () => {
    const records = createMemoryRecords(fakeClock());
    // Nothing is asked of these.
    const tasks = {} as TaskAccess;
    const routes = [
      ...healthRoutes,
      ...stateRoutes(createStates({ records, tasks })),
      ...checkpointRoutes(createCheckpoints({ records, tasks })),
      ...taskRoutes({} as TasksOperations),
    ];
    const served = routes.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    const told = [...page.matchAll(/^\| `([A-Z]+ \/[^`]*)`/gm)].map(([, route]) => route);
    expect(new Set(told)).toEqual(new Set(served));
    expect(told).toHaveLength(served.length);
  });
});
