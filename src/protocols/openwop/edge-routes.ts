import { describingRoutes, discoveryRoutes } from "./discovery-routes.js";
import type { InterruptLinks } from "./interrupts-snapshot.js";
import { interruptRoutes } from "./interrupt-routes.js";
import { firstMajor } from "./major.js";
import type { ProtocolContext, ProtocolRoute } from "../protocol.js";
import type { RunAccess } from "./run-access.js";
import type { RunsOfOpenwop } from "./seams.js";
import { webhookRoutes } from "./webhook-routes.js";
import type { Webhooks } from "./webhooks.js";
import type { WorkflowDescriptions } from "./workflows.js";

/** What the routes beside those of runs need. */
export interface EdgeDeps {
  readonly context: Pick<ProtocolContext, "authorize" | "clock" | "engine" | "idempotency" | "webhooks">;
  readonly runs: Pick<RunsOfOpenwop, "answer" | "find" | "ownerOf">;
  readonly access: RunAccess;
  readonly workflows: WorkflowDescriptions;
  readonly links: InterruptLinks;
  readonly webhooks: Webhooks;
  /** Whether the second major is served, too (v2/routes.ts). */
  readonly servesSecond: boolean;
  /** All routes of this protocol, these among them: what its OpenAPI document describes. */
  readonly routes: () => readonly ProtocolRoute[];
}

/** Discovery, workflows, interrupts and webhooks: what is not about runs and their events (docs/wire/openwop.md §3.2). */
export function edgeRoutes(deps: EdgeDeps): readonly ProtocolRoute[] {
  const major = firstMajor(deps.access);
  return [
    ...discoveryRoutes(deps),
    ...describingRoutes(deps, major),
    ...interruptRoutes(deps, major),
    ...webhookRoutes(deps),
  ];
}
