import type { JsonObject, JsonValue } from "../../core/json.js";
import type { OpenwopStatus } from "./event.js";

/** What a log adds up to, as far as this process has read it. It moves on with the log: what belongs together is read without waiting in between. */
export interface RunFold {
  readonly status: OpenwopStatus;
  /** Of the last event; -1 for none. */
  readonly sequence: number;
  readonly startedAt: string | null;
  /** When it ended. */
  readonly completedAt: string | null;
  readonly lastTimestamp: string | null;
  readonly error: RunError | null;
  /** By node id; a node that ran several times stands as it did last. */
  readonly nodes: ReadonlyMap<string, NodeFold>;
  /** By LangGraph's task id. */
  readonly tasks: ReadonlyMap<string, TaskFold>;
  /** All that were ever asked, in order. */
  readonly interrupts: readonly InterruptFold[];
  /** Of a fork: tasks that its source had begun and not ended, by node. They begin anew under other ids, without being told again. */
  readonly inherited: ReadonlyMap<string, readonly string[]>;
  /** A replay has said that it is not like its source. */
  readonly diverged: boolean;
  /** `node.started` so far. */
  readonly startedNodes: number;
  /** LangGraph runs that the log calls for and that have shown nothing yet, oldest first. */
  readonly launches: readonly LaunchFold[];
  /** Those that a pause has kept from beginning: what they were for is done by the one that the resume called for. */
  readonly superseded: ReadonlySet<string>;
  /** The LangGraph run that has written to the log last; `null`: none. */
  readonly lastRun: string | null;
}

export interface RunError {
  readonly code: string;
  readonly message: string;
  readonly details?: JsonObject;
}

export interface NodeFold {
  readonly nodeId: string;
  readonly status: "running" | "suspended" | "completed" | "failed" | "cancelled";
  readonly attempt: number;
  readonly startedAt: string | null;
  readonly completedAt: string | null;
  readonly outputs?: JsonValue;
  readonly error?: RunError;
}

export interface TaskFold {
  readonly taskId: string;
  readonly nodeId: string;
  readonly status: NodeFold["status"];
}

/** An interrupt of a run. */
export interface InterruptFold {
  /** The run's own, deterministic: `int-1`, `int-2`, …; unique in the run, and safe in URLs. */
  readonly interruptId: string;
  readonly nodeId: string;
  readonly taskId: string;
  readonly langgraphInterruptId: string;
  readonly suspension: Suspension;
  /** `gone`: the run went on or ended without an answer. */
  readonly status: "pending" | "resolved" | "gone";
  /** Payloads of `approval.received` while it was pending, in order. */
  readonly votes: readonly JsonObject[];
  /** Sequence of its `interrupt.requested`. */
  readonly requestedAtSequence: number;
  /** ISO-8601. */
  readonly requestedAt: string;
  /** Epoch ms; `null`: for ever. */
  readonly expiresAt: number | null;
}

/** What an interrupt asks for (docs/wire/openwop.md §3.2 Interrupts). */
export interface Suspension {
  readonly kind: string;
  readonly key: string;
  readonly data: JsonObject;
  readonly resumeSchema?: JsonObject;
  readonly timeoutMs?: number;
}

/** A LangGraph run that the log calls for. Its id follows from the run's and `sequence`, so that it is created once. */
export interface LaunchFold {
  /** Of the event that calls for it. */
  readonly sequence: number;
  readonly langgraphRunId: string;
  readonly kind: "start" | "continue" | "answer";
  /** For `answer`: what to resume with, by LangGraph's interrupt id. */
  readonly answers: Readonly<Record<string, JsonValue>>;
}

/** RunSnapshot (§3.2), with what the published suite reads beside it. */
export interface RunSnapshot {
  readonly runId: string;
  readonly workflowId: string;
  readonly status: OpenwopStatus;
  readonly currentNodeId?: string;
  readonly startedAt?: string;
  readonly completedAt?: string;
  readonly nodeStates: Readonly<Record<string, JsonObject>>;
  readonly variables: JsonObject;
  readonly error?: RunError;
  readonly engineVersion: string;
  readonly eventLogSchemaVersion: number;
  readonly tags: readonly string[];
  readonly metadata: JsonObject;
  readonly configurable: JsonObject;
  readonly owner?: JsonObject;
  readonly interrupt?: JsonObject;
  readonly parentRunId?: string;
  readonly childRuns?: readonly JsonObject[];
}
