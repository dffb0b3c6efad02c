import type { RunLease } from "./run.js";

declare const saver: unique symbol;

/** A LangGraph `BaseCheckpointSaver`, opaque outside engine/ and checkpointers/. */
export interface Saver {
  readonly [saver]?: never;
}

/** An opened checkpointer, with what LangGraph's interface lacks. */
export interface Checkpointer {
  /** Handed to graphs. */
  readonly saver: Saver;
  /** False when a restart of the process forgets everything. */
  readonly durable: boolean;
  /**
   * True when puts of a lost lease (see {@link LEASE_KEY}) are refused by the put's own statement. Otherwise the engine asks
   * the run store right before each put (design §4), which leaves a window of one round trip.
   */
  readonly fenced: boolean;
  /**
   * True when calls that are made while others are under way are stored in the order of the calls, several at once where that
   * is cheaper. Otherwise a run's next checkpoint is put when the one before it is stored. Default false.
   */
  readonly inOrder?: boolean;
  /** Remove checkpoints and writes of one run (`metadata.run_id`), in all namespaces. */
  deleteRun(params: { readonly threadId: string; readonly runId: string }): Promise<void>;
  /** Remove everything of a thread. Safe before first use. */
  deleteThread(threadId: string): Promise<void>;
  /**
   * Copy all checkpoints, blobs and writes of a thread, in all namespaces, replacing the thread id inside checkpoint
   * metadata. Checkpoint ids stay.
   */
  copyThread(params: { readonly fromThreadId: string; readonly toThreadId: string }): Promise<void>;
  close(): Promise<void>;
}

/**
 * The key of `config.configurable` that carries a run's {@link RunLease}. A saver that shares its database with the run
 * row refuses puts of a lost lease in the put's own statement. Keys that start with `__` never reach checkpoint metadata.
 */
export const LEASE_KEY = "__heddle_lease";

/** Read the lease that {@link LEASE_KEY} carries. */
export function leaseOf(configurable: Readonly<Record<string, unknown>> | undefined): RunLease | undefined {
  return configurable?.[LEASE_KEY] as RunLease | undefined;
}
