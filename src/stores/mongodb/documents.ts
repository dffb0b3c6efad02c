import type { EpochMs } from "../../core/json.js";
import type { CancelAction, MultitaskStrategy, TerminalRunStatus } from "../../core/run.js";
import type { ThreadStatus } from "../../core/thread.js";
import type { SettledStatus } from "../run-rules.js";

/*
 * Documents as the collections hold them. What users own is JSON text: BSON has no place for keys with `.` or a leading `$`,
 * and text comes back as it was. `terms` beside it (core/filter-terms) are what filters look at.
 */

/** A text beside a document: in it while it is small, else in `heddle_blobs`. */
export type StoredText = { readonly text: string } | { readonly blob: string };

/** A run in flight, as its thread's queue knows it. */
export interface QueueEntry {
  readonly runId: string;
  readonly dueAt: EpochMs;
  readonly updatedAt: EpochMs;
  readonly attempt: number;
  /** Of its last lease; 0 until the first claim. */
  readonly leaseToken: number;
  readonly cancel: CancelAction | null;
  readonly temporary: boolean;
  /** After a crash: no run of the thread starts before. */
  readonly retryAt: EpochMs | null;
}

export interface RunningEntry extends QueueEntry {
  /** `runId:leaseToken`: who knows it holds the run. */
  readonly lease: string;
  readonly workerId: string;
  readonly leaseUntil: EpochMs;
  readonly heartbeatAt: EpochMs;
}

/** A run that has left the queue, until its document says so too. */
export interface EndedEntry {
  readonly runId: string;
  readonly end: TerminalRunStatus | "deleted";
  readonly error: string | null;
  readonly attempt: number;
  readonly leaseToken: number;
  readonly updatedAt: EpochMs;
}

/** The pending run that may start next, where none is running: what workers look for. */
export interface QueueHead {
  readonly dueAt: EpochMs;
  readonly runId: string;
  readonly retryAt: EpochMs | null;
}

export interface ThreadDocument {
  readonly _id: string;
  /** Of this thread, not of a later one with the same id. Runs and blobs belong to it. */
  readonly uid: string;
  /** Grows with every change but those of leases, blobs and acknowledgements. */
  readonly rev: number;
  /** Names of the latest changes, so that one whose answer was lost is recognised. */
  readonly changes: readonly string[];
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  readonly stateUpdatedAt: EpochMs;
  readonly status: ThreadStatus;
  readonly settledStatus: SettledStatus;
  readonly metadata: string;
  readonly terms: readonly string[];
  readonly config: string;
  readonly temporary: boolean;
  /** Followed by the event protocol. Absent: no. */
  readonly watched?: boolean;
  readonly running: RunningEntry | null;
  /** Pending runs by (dueAt, runId). */
  readonly queue: readonly QueueEntry[];
  readonly head: QueueHead | null;
  readonly ended: readonly EndedEntry[];
  readonly values: StoredText | null;
  readonly interrupts: StoredText | null;
  readonly error: StoredText | null;
}

/** What of a run never changes, and how it ended. What changes while it is in flight is in its thread's document. */
export interface RunDocument {
  readonly _id: string;
  /** `uid` of its thread. */
  readonly thread: string;
  readonly threadId: string;
  readonly assistantId: string;
  readonly graphId: string;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  readonly dueAt: EpochMs;
  /** `dueAt` of a delayed run in flight. */
  readonly delayedUntil?: EpochMs;
  /** In flight, or not yet: only its thread knows which. */
  readonly status: "inflight" | TerminalRunStatus;
  readonly metadata: string;
  readonly kwargs: string;
  readonly multitaskStrategy: MultitaskStrategy;
  readonly temporary: boolean;
  readonly attempt: number;
  readonly leaseToken: number;
  readonly error: string | null;
}

export interface BlobDocument {
  readonly _id: string;
  /** `uid` of its thread. */
  readonly thread: string;
  readonly threadId: string;
  readonly createdAt: EpochMs;
  readonly text: string;
}

/** What a version of an assistant holds. */
export interface VersionContent {
  readonly graphId: string;
  readonly name: string;
  readonly description: string | null;
  readonly config: string;
  readonly context: string;
  readonly metadata: string;
  readonly version: number;
}

export interface AssistantDocument extends VersionContent {
  readonly _id: string;
  readonly uid: string;
  readonly rev: number;
  readonly changes: readonly string[];
  readonly nameLower: string;
  readonly terms: readonly string[];
  /** The latest version ever. While it is the current one its document may still be missing. */
  readonly maxVersion: number;
  /** When the current content became a version. */
  readonly versionedAt: EpochMs;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
}

export interface VersionDocument extends VersionContent {
  /** `uid:version` */
  readonly _id: string;
  /** `uid` of its assistant. */
  readonly assistant: string;
  readonly createdAt: EpochMs;
}

export interface ItemDocument {
  /** JSON text of `[namespace, key]`. */
  readonly _id: string;
  /** JSON text of the labels. */
  readonly namespace: string;
  readonly key: string;
  readonly value: string;
  readonly rev: string;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
}

export interface ApiKeyDocument {
  readonly _id: string;
  readonly digest: string;
  readonly label: string;
  readonly identity: string;
  readonly tenant: string | null;
  /** JSON array. */
  readonly permissions: string;
  readonly createdAt: EpochMs;
  readonly expiresAt: EpochMs | null;
  readonly revokedAt: EpochMs | null;
}

export interface ChoreDocument {
  /** The chore's name. */
  readonly _id: string;
  readonly workerId: string;
  readonly leaseUntil: EpochMs;
}

export interface StreamTicketDocument {
  /** The ticket's digest. */
  readonly _id: string;
  /** JSON text. */
  readonly caller: string;
  readonly threadId: string | null;
  readonly expiresAt: EpochMs;
}
