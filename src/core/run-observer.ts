import type { JsonText, JsonValue } from "./json.js";
import type { ClaimedRun, Run } from "./run.js";

/** What a graph did, for a protocol that keeps a log of its own. Nested graphs count as the node that they are in. */
export type ObservedEvent =
  /** A task of the root graph was scheduled. The same one again (after a crash, or when an interrupt is answered) has the same id. */
  | { readonly kind: "task-started"; readonly taskId: string; readonly node: string }
  | {
      readonly kind: "task-ended";
      readonly taskId: string;
      readonly node: string;
      /** What it wrote, by channel. */
      readonly outputs: JsonValue;
      /** Not empty: it has not ended, it waits. */
      readonly interrupts: readonly { readonly id: string; readonly value: JsonValue }[];
      readonly error: string | null;
    }
  /** Text of a model: a token, or a whole message that was not streamed. */
  | {
      readonly kind: "text";
      readonly node: string;
      /** Of the message, where it has one. */
      readonly messageId: string | null;
      readonly text: string;
      readonly isWhole: boolean;
    }
  /** What a node wrote to stream mode `custom`. */
  | { readonly kind: "custom"; readonly payload: JsonValue };

/** Whether the graph goes on. One that is stopped ends its run as at a breakpoint: as `success`, with nodes left to run. */
export type Verdict = "go" | "stop";

/** How a run has ended, as its row says. */
export interface ObservedEnd {
  readonly status: Extract<Run["status"], "success" | "error" | "timeout" | "interrupted"> | "rolled-back";
  /** `{error, message}` */
  readonly error: JsonText | null;
  /** The thread's values as this run left them; absent: not known here. */
  readonly values?: JsonText;
}

/**
 * Follows one attempt of a run where it executes. What it throws ends the attempt as a failure of the storage does: nothing is lost, and
 * the run is tried again.
 */
export interface RunObserver {
  /** Before the graph starts. `stop`: it does not. */
  begin(): Promise<Verdict>;
  /** In order. Called from within the graph's own turn: it must neither wait nor throw. */
  observe(event: ObservedEvent): void;
  /** A checkpoint of the root graph is stored, after all that led to it was observed; the graph waits for the answer. */
  superstep(at: { readonly checkpointId: string }): Promise<Verdict>;
  /** The attempt is over, and before the row says so. */
  flush(): Promise<void>;
  /** The row says that the run has ended. A crash may keep this from being called. */
  ended(end: ObservedEnd): Promise<void>;
  /** What nodes are taken to do instead of what they do. Absent: what they do. Asked whenever a task is about to run. */
  readonly recorded?: RecordedNodes;
}

/** @param taskId the same when a task runs again because it was answered */
export type RecordedNodes = (node: string, taskId: string) => RecordedTask;

/** One execution of a node, as it was recorded. */
export interface RecordedTask {
  /** Values of its interrupts, in order: it waits for an answer at each. */
  readonly interrupts: readonly JsonValue[];
  /** By channel. */
  readonly outputs: JsonValue;
  /** It fails with this. */
  readonly error: string | null;
  /** Nodes that began after it, before anything else ended: where a node sends the graph by a `Command`. */
  readonly next: readonly string[];
}

/** What an observer may ask about the lease of its run. */
export interface ObservedLease {
  /** Whether the run is still this worker's, as far as it knows; after a pause of the process it looks. */
  isHeld(): Promise<boolean>;
  /** Asks the store: for when somebody else was seen to write. */
  isHeldInStore(): Promise<boolean>;
}

/** Who wants to follow a run. `null`: nobody. */
export type ObserveRun = (
  claimed: ClaimedRun,
  lease: ObservedLease,
) => Promise<RunObserver | null> | RunObserver | null;

/** Ids of threads that an observer may be interested in are UUIDs of version 8: others cost no question. */
export function isObservedThreadId(threadId: string): boolean {
  return threadId.charAt(14) === "8";
}

/** @example observedThreadId("01920000-1234-7abc-8000-000000000000") // "01920000-1234-8abc-8000-000000000000" */
export function observedThreadId(uuidV7: string): string {
  return `${uuidV7.slice(0, 14)}8${uuidV7.slice(15)}`;
}
