import type { RunConfig } from "./assistant.js";
import type { EpochMs, JsonObject, JsonText, JsonValue } from "./json.js";
import type { RunWebhook } from "./webhook.js";

export const TERMINAL_RUN_STATUSES = ["success", "error", "timeout", "interrupted"] as const;
/** How a run has ended. */
export type TerminalRunStatus = (typeof TERMINAL_RUN_STATUSES)[number];
export type RunStatus = "pending" | "running" | TerminalRunStatus;
export type MultitaskStrategy = "reject" | "interrupt" | "rollback" | "enqueue";
export type Durability = "sync" | "async" | "exit";
/** How a cancelled run is left: `interrupt` keeps its checkpoints, `rollback` removes run and checkpoints. */
export type CancelAction = "interrupt" | "rollback";

export const STREAM_MODES = [
  "values",
  "updates",
  "messages",
  "messages-tuple",
  "events",
  "tasks",
  "checkpoints",
  "debug",
  "custom",
  "tools",
  "lifecycle",
] as const;
/** What a run streams (docs/wire/langgraph-api.md §3.4). */
export type StreamMode = (typeof STREAM_MODES)[number];

/** Where execution starts: a checkpoint of the thread, possibly of a subgraph. */
export interface CheckpointRef {
  readonly threadId?: string;
  readonly checkpointNs?: string;
  readonly checkpointId?: string;
  readonly checkpointMap?: JsonObject;
}

/** What a client asked of a run; stored with it. Absent means not sent. */
export interface RunKwargs {
  readonly input?: JsonValue;
  readonly command?: JsonObject;
  readonly checkpoint?: CheckpointRef;
  /** Already merged: assistant ⊕ run, without the server's own keys. */
  readonly config: RunConfig;
  /** Already merged: assistant ⊕ run. */
  readonly context?: JsonValue;
  readonly streamModes: readonly StreamMode[];
  readonly streamSubgraphs: boolean;
  readonly streamResumable: boolean;
  readonly interruptBefore?: "*" | readonly string[];
  readonly interruptAfter?: "*" | readonly string[];
  readonly durability: Durability;
  /** The run ends as `timeout` when one attempt takes longer; the server's `worker.runTimeoutMs` is never exceeded. */
  readonly timeoutMs?: number;
  /** A stateless run whose thread is removed when it ends. */
  readonly temporary: boolean;
  /** Keys to ask LangSmith's feedback URLs for: not empty, each once. */
  readonly feedbackKeys?: readonly string[];
  readonly langsmithTracer?: { readonly projectName?: string; readonly exampleId?: string };
  /** Told of the run's end (core/webhook). */
  readonly webhook?: RunWebhook;
}

/** One execution of an assistant on a thread. The row is also the queue entry (design §4). */
export interface Run {
  readonly runId: string;
  readonly threadId: string;
  readonly assistantId: string;
  readonly graphId: string;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  /** Not started before this time (`after_seconds`). Runs of a thread start in order of (dueAt, runId). */
  readonly dueAt: EpochMs;
  readonly status: RunStatus;
  /** assistant ⊕ thread ⊕ request metadata. */
  readonly metadata: JsonObject;
  readonly kwargs: RunKwargs;
  readonly multitaskStrategy: MultitaskStrategy;
  /** How often a worker has started it. */
  readonly attempt: number;
  /** `{error, message}` when it ended with `error` or `timeout`. */
  readonly error: JsonText | null;
}

/** A worker's right to execute a run. Every write for the run carries it and is refused once it is lost. */
export interface RunLease {
  readonly runId: string;
  /** Grows with every claim of the run: a fencing token. */
  readonly leaseToken: number;
}

/** A run that this worker holds. */
export interface ClaimedRun {
  readonly run: Run;
  readonly lease: RunLease;
  /** A cancel that was requested before a previous worker died. */
  readonly cancel: CancelAction | null;
  /** Somebody follows its thread by the event protocol: what happens in the run also goes to the thread's log. */
  readonly watched: boolean;
}

export interface RunRef {
  readonly runId: string;
  readonly threadId: string;
}
