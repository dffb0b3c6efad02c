import type { ApiKeyStore } from "./api-key.js";
import type { AccessFilter } from "./auth.js";
import type { CronStore } from "./cron.js";
import type { Assistant, AssistantPatch, AssistantSortField, AssistantVersion, RunConfig } from "./assistant.js";
import type { ChoreStore } from "./chore.js";
import type { ExpiredThreadStore } from "./expired-threads.js";
import type { LeaseRenewal } from "./lease-renewal.js";
import type { Presence } from "./presence.js";
import type { RecordStore } from "./record.js";
import type { RowTransfer } from "./row-transfer.js";
import type { StreamTicketStore } from "./stream-ticket.js";
import type { EpochMs, JsonObject, JsonText, JsonValue } from "./json.js";
import type {
  CancelAction,
  ClaimedRun,
  MultitaskStrategy,
  Run,
  RunKwargs,
  RunLease,
  RunRef,
  RunStatus,
  TerminalRunStatus,
} from "./run.js";
import type { DeliveryStore } from "./webhook.js";
import type { Thread, ThreadSortField, ThreadStatePatch, ThreadStatus, ThreadTtl } from "./thread.js";

/** A page of rows and the number of all matches. */
export interface Page<T> {
  readonly rows: readonly T[];
  readonly total: number;
}

export interface PageRequest<Field extends string> {
  readonly limit: number;
  readonly offset: number;
  readonly sortBy: Field;
  readonly sortOrder: "asc" | "desc";
}

/**
 * Assistants, threads and runs, and who may ask for them. All methods take readonly named parameters and return plain copies; `null` means "not
 * there, or not visible to `access`". Filters, sorting and paging are done by the store, never after it.
 */
export interface MetadataStore {
  /** False when a restart of the process forgets everything. */
  readonly durable: boolean;
  /** Says at once which workers died; `null` where only leases tell. */
  readonly presence: Presence | null;
  /** How a thread of its own renews leases (design §7.11); `null`: only the main thread does. */
  readonly leaseRenewal: LeaseRenewal | null;
  /** Whole rows in and out, for `heddle copy`; `null` where there is nothing to keep. */
  readonly transfer: RowTransfer | null;
  readonly assistants: AssistantStore;
  readonly threads: ThreadStore;
  readonly expiredThreads: ExpiredThreadStore;
  readonly runs: RunStore;
  readonly crons: CronStore;
  readonly keys: ApiKeyStore;
  readonly tickets: StreamTicketStore;
  readonly chores: ChoreStore;
  readonly deliveries: DeliveryStore;
  readonly records: RecordStore;
  /** Round trip to the database. Rejects when it is not available. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface NewAssistant {
  readonly assistantId: string;
  readonly graphId: string;
  readonly name: string;
  readonly description: string | null;
  readonly config: RunConfig;
  readonly context: JsonValue;
  readonly metadata: JsonObject;
}

export interface AssistantQuery {
  /** Containment (core/metadata-filter). */
  readonly metadata?: JsonObject;
  readonly graphId?: string;
  /** Case-insensitive substring. */
  readonly name?: string;
  readonly access: AccessFilter;
}

export interface AssistantStore {
  /** `exists` carries the row only if it is visible to `access`. */
  create(params: {
    readonly draft: NewAssistant;
    readonly access: AccessFilter;
  }): Promise<
    | { readonly kind: "created"; readonly assistant: Assistant }
    | { readonly kind: "exists"; readonly assistant: Assistant | null }
  >;
  get(params: { readonly assistantId: string; readonly access: AccessFilter }): Promise<Assistant | null>;
  /** Appends a version `max + 1` and makes it current, also for an empty patch. */
  update(params: {
    readonly assistantId: string;
    readonly patch: AssistantPatch;
    readonly access: AccessFilter;
  }): Promise<Assistant | null>;
  /** Removes the assistant, its versions and the rows of its finished and pending runs. */
  delete(params: { readonly assistantId: string; readonly access: AccessFilter }): Promise<Assistant | null>;
  search(params: AssistantQuery & PageRequest<AssistantSortField>): Promise<Page<Assistant>>;
  count(params: AssistantQuery): Promise<number>;
  /** Newest first; only those that `access` shows, of an assistant that it shows. */
  versions(params: {
    readonly assistantId: string;
    readonly metadata?: JsonObject;
    readonly limit: number;
    readonly offset: number;
    readonly access: AccessFilter;
  }): Promise<readonly AssistantVersion[]>;
  /**
   * Restores everything that the version holds, if `access` shows the version, too.
   * @param params.metadata merged into the version's; absent: it stays as it was
   */
  setLatest(params: {
    readonly assistantId: string;
    readonly version: number;
    readonly metadata?: JsonObject;
    readonly access: AccessFilter;
  }): Promise<
    | { readonly kind: "set"; readonly assistant: Assistant }
    | { readonly kind: "no-assistant" }
    | { readonly kind: "no-version" }
  >;
}

export interface ThreadQuery {
  /** Only these; an empty list matches nothing. */
  readonly ids?: readonly string[];
  readonly status?: ThreadStatus;
  /** Containment (core/metadata-filter). */
  readonly metadata?: JsonObject;
  /** Containment in the thread's values; a thread without values does not match. */
  readonly values?: JsonObject;
  readonly access: AccessFilter;
}

export interface ThreadStore {
  /** @throws HeddleError `THREAD_BUSY` while an expired thread of the same id is being removed; `runs.create` does, too */
  create(params: {
    readonly threadId: string;
    readonly metadata: JsonObject;
    readonly config?: RunConfig;
    /** Default: it is kept until somebody deletes it. */
    readonly ttl?: ThreadTtl;
    readonly access: AccessFilter;
  }): Promise<
    { readonly kind: "created"; readonly thread: Thread } | { readonly kind: "exists"; readonly thread: Thread | null }
  >;
  get(params: { readonly threadId: string; readonly access: AccessFilter }): Promise<Thread | null>;
  /** Merges metadata shallowly; `ttl: null` lets the thread live for ever. */
  update(params: {
    readonly threadId: string;
    readonly metadata?: JsonObject;
    readonly ttl?: ThreadTtl | null;
    readonly access: AccessFilter;
  }): Promise<Thread | null>;
  /**
   * From now on claims of the thread's runs say so (`ClaimedRun.watched`), for the thread's life. Writes only the first time.
   * @returns false when the thread is not there, or not visible to `access`
   */
  watch(params: { readonly threadId: string; readonly access: AccessFilter }): Promise<boolean>;
  /** Removes the thread and all its run rows. Running workers lose their lease. */
  delete(params: { readonly threadId: string; readonly access: AccessFilter }): Promise<Thread | null>;
  /**
   * `withState: false` leaves `values`, `interrupts` and `error` out of the rows (`null`), so that a poll does not ship
   * whole states.
   */
  search(params: ThreadQuery & PageRequest<ThreadSortField> & { readonly withState: boolean }): Promise<Page<Thread>>;
  count(params: ThreadQuery): Promise<number>;
  /**
   * Write the state columns after a state update, with the status that follows from `hasNext`. A thread with a pending
   * or running run is left alone: that run's end writes them.
   */
  patchState(params: {
    readonly threadId: string;
    readonly patch: ThreadStatePatch;
    readonly hasNext: boolean;
    /** Merged shallowly, e.g. `graph_id` when supersteps create the state. */
    readonly metadata?: JsonObject;
  }): Promise<Thread | null>;
}

/** What a new run brings; the store merges the thread's metadata in between. */
export interface NewRun {
  readonly runId: string;
  readonly threadId: string;
  readonly assistantId: string;
  readonly graphId: string;
  readonly kwargs: RunKwargs;
  readonly multitaskStrategy: MultitaskStrategy;
  /** Delay before it may start. 0 = at once. */
  readonly delayMs: number;
  /** Run metadata = assistantMetadata ⊕ thread.metadata ⊕ metadata. */
  readonly assistantMetadata: JsonObject;
  readonly metadata: JsonObject;
  /** Becomes the thread's config. */
  readonly assistantConfig: RunConfig;
  /** Create the thread when it is missing, with `{...metadata, graph_id, assistant_id}`; otherwise `no-thread`. */
  readonly createThread: boolean;
  /** Of the thread, where this makes it. Default: it is kept until somebody deletes it. */
  readonly threadTtl?: ThreadTtl;
  /** Watch the thread too, as `threads.watch` does. Default: it stays as it is. */
  readonly watched?: true;
}

export interface ClaimRequest {
  readonly workerId: string;
  readonly leaseMs: number;
}

export type CreateRunOutcome =
  | {
      readonly kind: "created";
      readonly run: Run;
      /** Set when the run was inserted already leased to the caller. */
      readonly lease: RunLease | null;
      /** In-flight runs that the multitask strategy ended (`pending`) or asked to stop (`running`). */
      readonly superseded: readonly SupersededRun[];
      /** `ClaimedRun.watched` of a run that is leased. */
      readonly watched: boolean;
    }
  | { readonly kind: "busy"; readonly inflight: readonly RunRef[] }
  | { readonly kind: "no-thread" };

export interface SupersededRun extends RunRef {
  readonly action: CancelAction;
  /**
   * What it was: a `pending` one is already `interrupted`, or deleted by `rollback`. One that is pending again after a
   * worker held it counts as `running`: the next worker ends it.
   */
  readonly was: "pending" | "running";
  readonly temporary: boolean;
}

/** What the queue knows of a run beside its row. All times are the store's. */
export interface RunExplanation {
  readonly run: Run;
  readonly now: EpochMs;
  /** In-flight runs of the thread that come before it, in order of (dueAt, runId); 0 for a running or finished one. */
  readonly ahead: number;
  /** The run that must end first: the running one of its thread, else the head of its queue. `null` when `ahead` is 0. */
  readonly blockedBy: (RunRef & { readonly status: RunStatus }) | null;
  /** Who executes it; `null` unless it is running. */
  readonly holder: {
    readonly workerId: string;
    readonly leaseToken: number;
    /** Of its claim or its last heartbeat. */
    readonly heartbeatAt: EpochMs;
    readonly expiresAt: EpochMs;
  } | null;
  /** After a crash: no run of the thread starts before. `null` once it has passed, and unless the run is pending. */
  readonly retryAt: EpochMs | null;
  /** `null` for a run that has ended. */
  readonly cancelRequested: CancelAction | null;
}

export interface RunQuery {
  readonly threadId?: string;
  readonly status?: readonly RunStatus[];
  readonly runIds?: readonly string[];
  /** On the metadata of the run's thread. */
  readonly access: AccessFilter;
}

export type RunOutcome =
  /** Stays in the table with this status. */
  | { readonly kind: "ended"; readonly status: TerminalRunStatus; readonly error?: JsonText }
  /** Rolled back: the row is deleted. */
  | { readonly kind: "rolled-back" };

export type CancelOutcome =
  | { readonly kind: "not-found" }
  /** It was pending: now `interrupted`, or deleted by `rollback`. */
  | { readonly kind: "cancelled"; readonly run: Run }
  /**
   * Its worker will see the request: it is running, or it is pending again after a worker held it, which may have left
   * checkpoints; then the next claim carries the request.
   */
  | { readonly kind: "requested"; readonly run: Run }
  | { readonly kind: "finished"; readonly run: Run };

/** The run queue. The row is the queue entry; leases and fencing tokens are the truth (design §4). */
export interface RunStore {
  /**
   * One atomic step: thread made if asked, in-flight check, multitask strategy (docs/wire/langgraph-api.md §2.9.2),
   * insert, thread to `busy`. With `claim` the run is inserted already leased when it is due now and no other run of the
   * thread is in flight. `access` applies to an existing thread: a hidden one counts as missing, also with `createThread`.
   */
  create(params: {
    readonly draft: NewRun;
    readonly claim?: ClaimRequest;
    readonly access: AccessFilter;
  }): Promise<CreateRunOutcome>;
  /** Oldest due first by (dueAt, runId), at most one running run per thread; threads go to `busy`. */
  claim(params: ClaimRequest & { readonly limit: number; readonly threadId?: string }): Promise<readonly ClaimedRun[]>;
  /**
   * The earliest time later than now at which a delayed pending run becomes due or a pause after a crash ends; `null` when
   * there is none.
   */
  nextDueAt(): Promise<EpochMs | null>;
  /** Extend leases, one statement for all runs of a worker; cancels ride back on it. */
  heartbeat(params: { readonly leases: readonly RunLease[]; readonly leaseMs: number }): Promise<{
    readonly lost: readonly string[];
    readonly cancelRequested: readonly { readonly runId: string; readonly action: CancelAction }[];
  }>;
  /**
   * End a run: run and thread change together; refused without the lease. The thread's status follows
   * core/run-lifecycle `threadStatusAfter`. An `ended` outcome is also refused when a rollback was requested meanwhile:
   * `cancelRequested` then says so, the lease is kept, and the caller rolls back.
   */
  finish(params: {
    readonly lease: RunLease;
    readonly outcome: RunOutcome;
    readonly threadPatch: ThreadStatePatch;
    readonly hasNext: boolean;
    /** Merged into the thread's metadata: whose state a rollback has brought back. */
    readonly threadMetadata?: JsonObject;
  }): Promise<
    /** `nextPending`: the thread has another run that is due now. */
    | { readonly accepted: true; readonly nextPending: boolean }
    | { readonly accepted: false; readonly cancelRequested?: "rollback" }
  >;
  /** Give a run back unfinished (drain): pending again, this attempt not counted. */
  release(params: { readonly lease: RunLease }): Promise<{ readonly accepted: boolean }>;
  requestCancel(params: {
    readonly runId: string;
    readonly threadId?: string;
    readonly action: CancelAction;
    readonly access: AccessFilter;
  }): Promise<CancelOutcome>;
  /**
   * Take back runs whose lease has expired, or whose worker `isAlive` denies: pending again, or `error` after
   * `maxAttempts`, with `{error: "MaxAttemptsExceeded", message}` that names the attempts and the last worker.
   * A requeued run keeps its place: until `retryDelayMs(attempt)` has passed no run of its thread is claimed. The pause ends
   * early when the run is cancelled (by request or by a new run's multitask strategy) or deleted: a run whose cancel was
   * requested never pauses, since whoever claims it only ends it.
   * @param params.retryDelayMs pause before the next start, by the number of attempts so far. Default none.
   */
  reapExpired(params: {
    readonly maxAttempts: number;
    readonly isAlive?: (workerId: string) => boolean;
    readonly retryDelayMs?: (attempt: number) => number;
  }): Promise<{ readonly requeued: readonly RunRef[]; readonly failed: readonly RunRef[] }>;
  /** Whether a lease still holds: its run is running under this very token. The clock is not asked. */
  holds(lease: RunLease): Promise<boolean>;
  get(params: {
    readonly runId: string;
    readonly threadId?: string;
    readonly access: AccessFilter;
  }): Promise<Run | null>;
  /** Why a run is where it is. */
  explain(params: {
    readonly runId: string;
    readonly threadId?: string;
    readonly access: AccessFilter;
  }): Promise<RunExplanation | null>;
  /** Newest first. */
  list(params: RunQuery & { readonly limit: number; readonly offset: number }): Promise<readonly Run[]>;
  /** Remove a run that is not running. */
  delete(params: {
    readonly runId: string;
    readonly threadId: string;
    readonly access: AccessFilter;
  }): Promise<
    { readonly kind: "deleted"; readonly run: Run } | { readonly kind: "running" } | { readonly kind: "not-found" }
  >;
  /** Threads of temporary runs that all ended at least `endedBeforeMs` ago. */
  abandonedTemporaryThreads(params: {
    readonly limit: number;
    readonly endedBeforeMs: number;
  }): Promise<readonly string[]>;
}
