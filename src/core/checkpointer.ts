import type { RunLease } from "./run.js";

declare const saver: unique symbol;

/** A LangGraph `BaseCheckpointSaver`, opaque outside engine/ and checkpointers/. */
export interface Saver {
  readonly [saver]?: never;
}

/** Which checkpoints stay, per checkpoint namespace (docs/guides/retention.md). */
export type CheckpointsKept =
  /** The newest one. */
  | { readonly kind: "latest" }
  /** The newest ones. */
  | { readonly kind: "last"; readonly count: number };

/** What a prune removed, or, as a dry run, would remove. */
export interface PruneReport {
  readonly checkpoints: number;
  /** Pending writes. */
  readonly writes: number;
  /** Channel values; 0 where they are part of their checkpoints. */
  readonly values: number;
  /** As they are stored: compressed, sealed. */
  readonly bytes: number;
}

/** How much there is of something, in bytes as they are stored. */
export interface StoredAmount {
  readonly count: number;
  readonly bytes: number;
}

/**
 * What a thread's checkpoints take (docs/wire/langgraph-api.md §2.4.13). A value that several checkpoints share counts once;
 * one that threads share counts for each.
 */
export interface ThreadStorage {
  readonly totalBytes: number;
  /** Headers and metadata, without the values of channels. */
  readonly checkpoints: StoredAmount;
  readonly channelValues: StoredAmount & {
    readonly byChannel: ReadonlyMap<string, { readonly versions: number; readonly bytes: number }>;
  };
  readonly pendingWrites: StoredAmount;
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
  /**
   * Remove checkpoints and writes of one run (`metadata.run_id`), in all namespaces.
   * @param params.strays also writes whose checkpoints are not there, older than all checkpoints that are: a run that went on while its
   * thread was deleted leaves them, and nothing says whose they are. Default false
   */
  deleteRun(params: { readonly threadId: string; readonly runId: string; readonly strays?: boolean }): Promise<void>;
  /** Remove everything of a thread. Safe before first use. */
  deleteThread(threadId: string): Promise<void>;
  /**
   * Copy the checkpoints, values and writes of a thread, in all namespaces, replacing the thread id inside checkpoint
   * metadata. Checkpoint ids stay.
   * @param params.keep which of them: those that {@link prune} would leave. Default: all
   */
  copyThread(params: {
    readonly fromThreadId: string;
    readonly toThreadId: string;
    readonly keep?: CheckpointsKept;
  }): Promise<void>;
  /**
   * Remove all checkpoints of a thread but those that are kept and those that they need: ancestors from which their DeltaChannels
   * are rebuilt, in all namespaces. Their state, their pending writes, and that they can be resumed from stay as they were.
   * Nothing for a thread without checkpoints. A process that dies half way leaves a thread that reads the same.
   * @param params.dryRun removes nothing, and says what would be removed
   * @param params.mayRemove asked when it is settled what stays, before anything is removed, and now and then while that goes on;
   * once it says no, nothing more is. Whoever begins later builds on what stays, so a run that starts meanwhile loses nothing
   * when it is asked whether the thread has been idle since. Default: always
   * @throws HeddleError `NOT_SUPPORTED` where a saver offers nothing to remove a checkpoint by
   */
  prune(params: {
    readonly threadId: string;
    readonly keep: CheckpointsKept;
    readonly dryRun: boolean;
    readonly mayRemove?: () => Promise<boolean>;
  }): Promise<PruneReport>;
  /**
   * What a thread takes; all 0 for one without checkpoints.
   * @throws HeddleError `NOT_SUPPORTED` for a user's own saver (§2.4.13)
   */
  storage(threadId: string): Promise<ThreadStorage>;
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
