import { createOutbox } from "../../services/outbox.js";
import type { OpenProtocol, ProtocolContext, ProtocolRoute } from "../protocol.js";
import { createAnnouncements } from "./announcements.js";
import { createAnswering } from "./answer.js";
import type { RunParts } from "./context.js";
import { createRunControl } from "./control.js";
import { createRunCreation } from "./create-run.js";
import { edgeRoutes } from "./edge-routes.js";
import { ERROR_STATUSES, errorSchema, refuse } from "./errors.js";
import { createEventLogs } from "./event-log.js";
import { createLogReaders } from "./follow.js";
import { createForks } from "./fork.js";
import { createInterruptRules } from "./interrupts.js";
import { createInterruptLinks } from "./interrupts-snapshot.js";
import { createLauncher } from "./launcher.js";
import { createObserve } from "./observe.js";
import { createReconciler } from "./reconcile.js";
import { createRunAccess } from "./run-access.js";
import { createRunRecords } from "./run-records.js";
import { runRoutes } from "./run-routes.js";
import type { RunsOfOpenwop } from "./seams.js";
import { createSnapshots } from "./snapshot.js";
import { createSweep } from "./sweep.js";
import { headersFor } from "./traceparent.js";
import { createWebhooks } from "./webhooks.js";
import { headersForEither, refuseEither } from "./v2/face.js";
import { type RoutesDeps2, routes2 } from "./v2/routes.js";
import { createWorkflows } from "./workflows.js";

/**
 * The protocol over a server's services and records.
 * @param options.servesSecond beside the first major, the second
 */
export function openOpenwop(
  context: ProtocolContext,
  { servesSecond }: { readonly servesSecond: boolean },
): OpenProtocol {
  const { records, clock } = context;
  const rules = createInterruptRules();
  const workflows = createWorkflows(context);
  const outbox = createOutbox(context);
  const webhooks = createWebhooks({ ...context, outbox });
  const announcements = createAnnouncements({ ...context, outbox, listenersOf: webhooks.listenersOf });
  const runRecords = createRunRecords(context);
  const logs = createEventLogs({ ...context, rules, announce: announcements.announce });
  const parts: RunParts = { context, workflows, rules, logs, runRecords, launcher: createLauncher(context) };
  const links = createInterruptLinks({ records, clock });
  const reconciler = createReconciler(parts);
  const snapshots = createSnapshots(parts, (found, path) => links.snapshotInterrupt(found, `${path}/v1/interrupts/`));
  const access = createRunAccess(parts);
  const creation = createRunCreation(parts, webhooks);
  const runs: RunsOfOpenwop = {
    async find(owner, runId) {
      const record = await runRecords.find(owner, runId);
      return record === null ? null : { record, fold: await logs.read(record) };
    },
    ownerOf: runRecords.ownerOf,
    snapshot: snapshots,
    answer: createAnswering(parts),
  };
  const deps: RoutesDeps2 = {
    ...parts,
    runs,
    access,
    links,
    webhooks,
    workflows,
    creation,
    snapshots,
    servesSecond,
    routes: () => routes,
    control: createRunControl(parts, access),
    readers: createLogReaders(parts, reconciler, snapshots),
    forks: createForks(parts, access, creation),
    async found(record) {
      const fold = await logs.read(record);
      await reconciler.reconcile(record, fold);
      return { record, fold };
    },
  };
  const routes: readonly ProtocolRoute[] = [
    ...edgeRoutes(deps),
    ...runRoutes(deps),
    ...(servesSecond ? routes2(deps) : []),
  ];
  const sweep = createSweep(context, [reconciler.sweep, () => announcements.sweep(logs, runRecords)]);
  return {
    routes,
    refuse: servesSecond ? refuseEither : refuse,
    errorSchema,
    errorStatuses: ERROR_STATUSES,
    exposedHeaders: ["etag", "retry-after", "traceparent", "openwop-idempotent-replay", "openwop-version"],
    headersFor: servesSecond ? headersForEither : headersFor,
    observe: createObserve(parts),
    start: () => sweep.start(),
    stop: () => sweep.stop(),
  };
}
