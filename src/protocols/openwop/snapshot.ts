import { ALL_ROWS } from "../../core/auth.js";
import { isJsonObject, type JsonObject, parseJsonText } from "../../core/json.js";
import type { RunParts } from "./context.js";
import { EVENT_LOG_SCHEMA_VERSION } from "./discovery.js";
import type { RunRecord } from "./run-record.js";
import type { FoundRun } from "./seams.js";
import { tenantOf } from "./tenant.js";
import type { NodeFold, RunFold, RunSnapshot } from "./snapshot-types.js";

/** What clients see of an interrupt, with its token: as its run stands at the call. `undefined`: nothing waits. */
export type ShownInterrupt = (found: FoundRun, mountPath: string) => Promise<JsonObject | undefined>;

/** How a run stands, for GET /v1/runs/{id} (docs/wire/openwop.md §3.2 RunSnapshot): its log, with the values of its thread. */
export function createSnapshots(
  { context, runRecords, logs }: Pick<RunParts, "context" | "runRecords" | "logs">,
  shownInterrupt: ShownInterrupt,
) {
  const variablesOf = async ({ runId, variables }: RunRecord): Promise<JsonObject> => {
    const thread = await context.store.threads.get({ threadId: runId, access: ALL_ROWS });
    const values = thread === null || thread.values === null ? null : parseJsonText(thread.values);
    return { ...variables, ...(isJsonObject(values) && values) };
  };

  /** @param mountPath what links begin with: as the request came, or without the apps around */
  return async (found: FoundRun, mountPath: string = context.mountPath): Promise<RunSnapshot> => {
    const { record, fold } = found;
    // Before anything is waited for: the values of a run that has ended are then the last ones.
    const { status, startedAt, completedAt, error } = fold;
    const currentNodeId = waitingNode(fold);
    const nodeStates = Object.fromEntries([...fold.nodes.entries()].map(([id, node]) => [id, nodeState(node)]));
    const [interrupt, variables, children] = await Promise.all([
      shownInterrupt(found, mountPath),
      variablesOf(record),
      runRecords.children(record),
    ]);
    const childRuns = await Promise.all(
      children.map(async (child) => ({ runId: child.runId, status: (await logs.read(child)).status })),
    );
    return {
      runId: record.runId,
      workflowId: record.workflowId,
      status,
      ...(currentNodeId !== undefined && { currentNodeId }),
      ...(startedAt !== null && { startedAt }),
      ...(completedAt !== null && { completedAt }),
      nodeStates,
      variables,
      ...(error !== null && { error }),
      engineVersion: context.version,
      eventLogSchemaVersion: EVENT_LOG_SCHEMA_VERSION,
      tags: record.tags,
      metadata: record.metadata,
      configurable: record.configurable,
      owner: { tenant: record.tenantId ?? tenantOf(record.caller) },
      ...(interrupt !== undefined && { interrupt }),
      ...(record.parentRunId !== null && { parentRunId: record.parentRunId }),
      ...(childRuns.length > 0 && { childRuns }),
    };
  };
}

function waitingNode({ status, interrupts }: RunFold): string | undefined {
  if (!status.startsWith("waiting-")) return undefined;
  return interrupts.find((one) => one.status === "pending")?.nodeId;
}

function nodeState({ status, attempt, startedAt, completedAt, outputs, error }: NodeFold): JsonObject {
  return {
    status,
    attempt,
    ...(startedAt !== null && { startedAt }),
    ...(completedAt !== null && { completedAt }),
    ...(outputs !== undefined && { outputs }),
    ...(error !== undefined && { error: { ...error } }),
  };
}

export type Snapshots = ReturnType<typeof createSnapshots>;
