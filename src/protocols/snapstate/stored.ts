import type { EpochMs, JsonObject, JsonText } from "../../core/json.js";
import { parseJsonText, toJsonText } from "../../core/json.js";
import type { StoredRecord } from "../../core/record.js";
import type { StateDiff } from "./diff.js";

/** What a checkpoint's record holds. */
export interface CheckpointValue {
  readonly workflowId: string;
  readonly step: number;
  /** Its place in the order of the workflow's saves, from 1 on. */
  readonly seq: number;
  /** Microseconds since 1970, greater than that of the save before: id and channel version of the thread's checkpoint. */
  readonly at: number;
  /** Of the save before; 0 for the first. */
  readonly parentAt: number;
  readonly label: string | null;
  readonly metadata: JsonObject | null;
  readonly state: JsonObject;
  readonly etag: string;
  /** UTF-8 bytes of the state's compact JSON. */
  readonly size: number;
  readonly diff: StateDiff;
  /** Whose webhooks are told of it (webhooks.ts). */
  readonly scope: string;
}

/** A checkpoint as it is read. */
export interface Checkpoint extends CheckpointValue {
  readonly createdAt: EpochMs;
  readonly expiresAt: EpochMs | null;
}

/** What a workflow's record holds. */
export interface WorkflowValue {
  readonly thread: string;
  /** Of the last save. */
  readonly seq: number;
  readonly at: number;
  /** Saves, whether or not their checkpoints still live. */
  readonly total: number;
  /** Up to this save the thread has all checkpoints, and the webhooks are told. */
  readonly settled: number;
  /** Of the last save. */
  readonly step: number;
  readonly scope: string;
  /** Time to live of the last save's checkpoint. */
  readonly ttlMs: number;
  /** Set while it is being removed, its last checkpoint having expired: by whom. */
  readonly removal?: string;
}

/** What a record of {@link SPACES.due} holds. */
export interface DueValue {
  /** First save that is not settled; `null`: all are, and it is about expiry only. */
  readonly from: number | null;
}

type Stored<T> = { readonly [K in keyof T]: T[K] } & JsonObject;

/** A record's value from what it is to hold. */
export function valueOf(value: CheckpointValue | WorkflowValue | DueValue): JsonText {
  // All of them are plain JSON.
  return toJsonText(value as Stored<typeof value>);
}

export function checkpointOf({ value, createdAt, expiresAt }: StoredRecord): Checkpoint {
  return { ...(parseJsonText(value) as Stored<CheckpointValue>), createdAt, expiresAt };
}

export function workflowOf({ value }: StoredRecord): WorkflowValue {
  return parseJsonText(value) as Stored<WorkflowValue>;
}

export function dueOf({ value }: StoredRecord): DueValue {
  return parseJsonText(value) as Stored<DueValue>;
}
