import type { EpochMs } from "../../core/json.js";
import type { CancelAction, MultitaskStrategy, TerminalRunStatus } from "../../core/run.js";
import type { DeliveryStatus } from "../../core/webhook.js";
import type { ThreadStatus, ThreadTtl } from "../../core/thread.js";
import type { SettledStatus } from "../run-rules.js";

/*
 * Documents as the collections hold them. What users own is JSON text: BSON has no place for keys with `.` or a leading `$`,
 * and text comes back as it was. `terms` beside it (core/filter-terms) are what filters look at.
 */

/** A text beside a document: in it while it is small, else in `heddle_blobs`. */
export type StoredText = { readonly text: string } | { readonly blob: string };

/** The tick of a cron that a run was made for: until the cron has been moved on for it the run does not start (fire-cron.ts). */
export interface RunHold {
  readonly cronId: string;
  readonly tick: EpochMs;
  readonly next: EpochMs | null;
  /** Of the very write that put the run into the queue. */
  readonly name: string;
}

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
  /** Absent: it may start. */
  readonly hold?: RunHold;
  /** Host of the webhook that is told of its end. Absent: nobody is. */
  readonly webhook?: string;
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
  /** Somebody is to be told: struck off only once the delivery's document is there. */
  readonly webhook?: { readonly host: string; readonly assistantId: string; readonly contentId: string };
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
  /** Absent, or null: it is kept until somebody deletes it. */
  readonly ttl?: ThreadTtl | null;
  /** `updatedAt` and the time to live; absent without one, and once its checkpoints were pruned, until it is active again. */
  readonly expiresAt?: EpochMs;
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

export interface ItemDocument extends ItemExtras {
  /** JSON text of `[namespace, key]`. */
  readonly _id: string;
  /** JSON text of the labels. */
  readonly namespace: string;
  readonly key: string;
  readonly value: string;
  /** Another one with every change but that of `expiresAt`. */
  readonly rev: string;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
}

/** What an item may have. */
export interface ItemExtras {
  readonly ttlMs?: number;
  readonly expiresAt?: EpochMs;
  readonly embedding?: { readonly fingerprint: string; readonly paths: readonly string[] | null };
  /** `values`: 32-bit floats, little-endian, at unit length. */
  readonly vectors?: readonly { readonly path: string; readonly values: Buffer }[];
  /** Of its vectors. */
  readonly dims?: number;
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

/** An expired thread whose checkpoints and events are still to be removed. */
export interface RemovalDocument {
  /** The thread's id. */
  readonly _id: string;
  /** `uid` of the thread. */
  readonly thread: string;
  readonly removedAt: EpochMs;
}

export interface CronDocument {
  readonly _id: string;
  readonly assistantId: string;
  readonly threadId: string | null;
  /** What a search sorts by: `null` comes last. */
  readonly threadKey: string;
  readonly schedule: string;
  readonly timezone: string | null;
  readonly endTime: EpochMs | null;
  readonly endKey: EpochMs;
  readonly enabled: boolean;
  readonly onRunCompleted: "delete" | "keep";
  readonly multitaskStrategy: MultitaskStrategy;
  readonly payload: string;
  readonly metadata: string;
  readonly terms: readonly string[];
  readonly creator: string;
  readonly nextRunAt: EpochMs | null;
  readonly nextRunKey: EpochMs;
  readonly revision: number;
  readonly leaseToken: number;
  /** 0: nobody has claimed it. */
  readonly leaseUntil: EpochMs;
  /** The run for which it was last moved on, until that may start without asking. */
  readonly firing: { readonly threadId: string; readonly runId: string; readonly name: string } | null;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
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

/** A webhook that is sent, or was. */
export interface DeliveryDocument {
  /** The delivery's id. */
  readonly _id: string;
  /** `null` for messages, as `assistantId`. */
  readonly runId: string | null;
  readonly threadId: string | null;
  readonly assistantId: string | null;
  readonly host: string;
  readonly status: DeliveryStatus;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  /** The run's end, or the last redelivery. */
  readonly pendingSince: EpochMs;
  /** `null` unless it is pending. */
  readonly nextAttemptAt: EpochMs | null;
  readonly leaseToken: number;
  readonly attempts: number;
  readonly failures: number;
  /** JSON array of attempts. */
  readonly log: string;
  readonly contentId: string;
}

/** What a delivery says, written before it; what no delivery names is swept. */
export type DeliveryContentDocument = RunEndDocument | MessageDocument;

export interface MessageDocument {
  readonly _id: string;
  readonly createdAt: EpochMs;
  readonly deliveryId: string;
  /** JSON text: core/webhook-message.ts. */
  readonly message: string;
}

/** Written before the run ends. */
export interface RunEndDocument {
  readonly _id: string;
  readonly createdAt: EpochMs;
  readonly runId: string;
  /** JSON text of the run as it ended, without the two below. */
  readonly run: string;
  readonly kwargs: string;
  readonly error: string | null;
  readonly startedAt: EpochMs | null;
  /** The thread's values are in a document of their own, `<id>:values`: together they may be too large for one. */
  readonly hasValues: boolean;
}

export interface DeliveryValuesDocument {
  readonly _id: string;
  readonly threadId: string;
  readonly createdAt: EpochMs;
  readonly text: string;
}
