import { v5 } from "uuid";
import type { RecordKey } from "../../core/record.js";

/** Where SnapState's records lie. Owners never share any. */
export const SPACES = {
  /** One for each step of a workflow. Expires by its own time to live. */
  checkpoints: "snapstate-checkpoints",
  /** One for each workflow; every save counts it up, and so saves of one workflow have an order. */
  workflows: "snapstate-workflows",
  /** When a workflow is to be looked at, as the record's expiry: what a crash left undone, what has expired. */
  due: "snapstate-due",
  agents: "snapstate-agents",
  /** A version for each account's set of agents. */
  agentSets: "snapstate-agent-sets",
  webhooks: "snapstate-webhooks",
  /** A version for each API key's set of webhooks. */
  webhookSets: "snapstate-webhook-sets",
} as const;

/** A workflow of an account. */
export interface WorkflowRef {
  readonly owner: string;
  readonly workflowId: string;
}

/** Namespace of the ids of workflows' threads; a constant of ours, so that anybody can find the thread of a workflow. */
const NAMESPACE_WORKFLOWS = "0b3f6b0e-7a52-5a5e-9d6e-0a1f5c1b7a40";

/** Id of a workflow's thread: UUIDv5 of `owner:workflow_id`. */
export function threadIdOf({ owner, workflowId }: WorkflowRef): string {
  return v5(`${owner}:${workflowId}`, NAMESPACE_WORKFLOWS);
}

export function workflowKey({ owner, workflowId }: WorkflowRef): RecordKey {
  return { space: SPACES.workflows, owner, collection: workflowId, key: "workflow" };
}

export function dueKey({ owner, workflowId }: WorkflowRef): RecordKey {
  return { space: SPACES.due, owner, collection: workflowId, key: "due" };
}

/** Everything that is kept of a workflow: goes with its thread. */
export function recordsOf({ owner, workflowId: collection }: WorkflowRef): readonly Omit<RecordKey, "key">[] {
  return [SPACES.checkpoints, SPACES.workflows, SPACES.due].map((space) => ({ space, owner, collection }));
}

export function checkpointsOf({ owner, workflowId }: WorkflowRef): Omit<RecordKey, "key"> {
  return { space: SPACES.checkpoints, owner, collection: workflowId };
}

export function checkpointKey(ref: WorkflowRef, step: number): RecordKey {
  return { ...checkpointsOf(ref), key: stepKey(step) };
}

const STEP_DIGITS = String(Number.MAX_SAFE_INTEGER).length;

/** Steps as keys have the order of numbers. */
export function stepKey(step: number): string {
  return String(step).padStart(STEP_DIGITS, "0");
}

/** `cp_<workflow_id>_<step>`, the step with three digits at least. */
export function checkpointId(workflowId: string, step: number): string {
  return `cp_${workflowId}_${String(step).padStart(3, "0")}`;
}

/** @returns `null` for what no checkpoint is called */
export function parseCheckpointId(id: string): { readonly workflowId: string; readonly step: number } | null {
  const [, workflowId = "", digits = ""] = /^cp_(.+)_(\d{3,16})$/s.exec(id) ?? [];
  const step = Number(digits);
  return workflowId !== "" && Number.isSafeInteger(step) && checkpointId(workflowId, step) === id
    ? { workflowId, step }
    : null;
}
