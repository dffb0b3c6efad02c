import type {
  BaseCheckpointSaver,
  CheckpointMetadata,
  Checkpoint as ThreadCheckpoint,
} from "@langchain/langgraph-checkpoint";
import { v6 } from "uuid";
import { ALL_ROWS, type Caller, SERVER } from "../../core/auth.js";
import type { Checkpointer } from "../../core/checkpointer.js";
import { HeddleError, isHeddleError } from "../../core/errors.js";
import type { JsonObject } from "../../core/json.js";
import { asJsonText, isJsonObject, toJsonText } from "../../core/json.js";
import { isStillIdle } from "../../core/idle-thread.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { WHOLE_STATE_CHANNEL } from "../../core/state.js";
import type { ThreadsService } from "../../services/threads.js";
import { threadIdOf, type WorkflowRef } from "./places.js";
import type { Checkpoint } from "./stored.js";

/** The graph that threads of workflows name (core/state.ts). */
export const SNAPSTATE_GRAPH = "snapstate";

export interface WorkflowThreadsDeps {
  readonly threads: ThreadsService;
  readonly store: Pick<MetadataStore, "threads">;
  readonly checkpointer: Checkpointer;
}

/** The threads that LangGraph clients see workflows as. The records are the truth; a thread follows them. */
export class WorkflowThreads {
  readonly #deps: WorkflowThreadsDeps;

  constructor(deps: WorkflowThreadsDeps) {
    this.#deps = deps;
  }

  /**
   * The thread of a new workflow; one that a crash left behind is used again.
   * @returns its id
   * @throws HeddleError `THREAD_EXISTS` when somebody else has made a thread of this id; what authorization throws
   */
  async open(caller: Caller, ref: WorkflowRef): Promise<string> {
    const threadId = threadIdOf(ref);
    const snapstate = { workflow_id: ref.workflowId };
    try {
      const thread = await this.#deps.threads.create(caller, {
        threadId,
        metadata: { graph_id: SNAPSTATE_GRAPH, snapstate },
        ifExists: "do_nothing",
      });
      const mark = thread.metadata["snapstate"];
      if (isJsonObject(mark) && mark["workflow_id"] === ref.workflowId) return threadId;
    } catch (error) {
      if (!isHeddleError(error) || error.code !== "THREAD_EXISTS") throw error;
    }
    throw new HeddleError("THREAD_EXISTS", {
      message: `workflow_id: the thread of this workflow (${threadId}) was made by somebody else. Delete it, or use another workflow_id.`,
    });
  }

  /** Whether the caller may read it, and it is there. */
  async isReadable(caller: Caller, threadId: string): Promise<boolean> {
    return found(this.#deps.threads.get(caller, threadId));
  }

  /** The same for saving; the thread counts as active now. */
  async touch(caller: Caller, threadId: string): Promise<"ready" | "hidden" | "gone"> {
    if (await found(this.#deps.threads.update(caller, threadId, {}))) return "ready";
    return (await this.exists(threadId)) ? "hidden" : "gone";
  }

  async exists(threadId: string): Promise<boolean> {
    return (await this.#deps.store.threads.get({ threadId, access: ALL_ROWS })) !== null;
  }

  /**
   * Write what was saved as a checkpoint of the thread. Doing it again changes nothing: ids and versions are those of the record.
   * @param isNewest the thread's row has its state, too
   * @returns false when the thread is gone: nothing of it stays
   */
  async write(threadId: string, checkpoint: Checkpoint, isNewest: boolean): Promise<boolean> {
    const { at, parentAt, state, seq } = checkpoint;
    const saver = this.#deps.checkpointer.saver as BaseCheckpointSaver;
    const parent = parentAt === 0 ? {} : { checkpoint_id: checkpointIdAt(parentAt) };
    const versions = { [WHOLE_STATE_CHANNEL]: at };
    const written: ThreadCheckpoint = {
      v: 4,
      id: checkpointIdAt(at),
      ts: new Date(checkpoint.createdAt).toISOString(),
      channel_values: { [WHOLE_STATE_CHANNEL]: state },
      channel_versions: versions,
      versions_seen: {},
    };
    const metadata: CheckpointMetadata<{ graph_id: string; snapstate: JsonObject }> = {
      source: "update",
      step: seq,
      parents: {},
      graph_id: SNAPSTATE_GRAPH,
      snapstate: metadataOf(checkpoint),
    };
    const config = { configurable: { thread_id: threadId, checkpoint_ns: "", ...parent } };
    await saver.put(config, written, metadata, versions);
    const patch = { values: toJsonText(state), interrupts: asJsonText("{}"), error: null };
    const isThere = isNewest
      ? (await this.#deps.store.threads.patchState({ threadId, patch, hasNext: false })) !== null
      : await this.exists(threadId);
    if (!isThere) await this.#deps.checkpointer.deleteThread(threadId);
    return isThere;
  }

  /**
   * Remove checkpoints of the thread that are older than this one, those of LangGraph clients among them. Nothing while somebody works on
   * the thread, and where the checkpointer cannot.
   */
  async forgetBefore(threadId: string, oldest: Checkpoint): Promise<void> {
    const { store, checkpointer } = this.#deps;
    const thread = await store.threads.get({ threadId, access: ALL_ROWS });
    if (thread === null || thread.status === "busy") return;
    const count = await this.#countSince(threadId, checkpointIdAt(oldest.at));
    if (count === null) return;
    try {
      // Who saves touches the thread first, so that the newest ones cannot become others in between.
      const mayRemove = () => isStillIdle(store, thread);
      await checkpointer.prune({ threadId, keep: { kind: "last", count }, dryRun: false, mayRemove });
    } catch (error) {
      if (!isHeddleError(error) || error.code !== "NOT_SUPPORTED") throw error;
    }
  }

  /** @returns how many checkpoints there are from this one on; `null` when there is none before it */
  async #countSince(threadId: string, checkpointId: string): Promise<number | null> {
    const saver = this.#deps.checkpointer.saver as BaseCheckpointSaver;
    let count = 0;
    for await (const { checkpoint } of saver.list({ configurable: { thread_id: threadId, checkpoint_ns: "" } })) {
      if (checkpoint.id < checkpointId) return count === 0 ? null : count;
      count += 1;
    }
    return null;
  }

  /** Nothing when it is gone already. */
  async remove(threadId: string): Promise<void> {
    await found(this.#deps.threads.delete(SERVER, threadId));
  }
}

/** What LangGraph clients see of a save beside its state. */
function metadataOf({ workflowId, step, seq, label, metadata, etag, size, diff, expiresAt }: Checkpoint): JsonObject {
  return {
    workflow_id: workflowId,
    step,
    seq,
    label,
    metadata,
    etag,
    size_bytes: size,
    diff_from_previous: { ...diff },
    expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString(),
  };
}

/** UUIDv6, as LangGraph's own: ids sort by time. The same for the same microsecond. */
function checkpointIdAt(at: number): string {
  return v6({ msecs: Math.floor(at / 1000), nsecs: (at % 1000) * 10, clockseq: 0, node: NODE });
}

/** A multicast address, which no host has (RFC 9562 §6.10): these ids are of no host. */
const NODE = Uint8Array.of(1, 0, 0, 0, 0, 0);

/** @returns false for a thread that is missing or hidden */
async function found(operation: Promise<unknown>): Promise<boolean> {
  try {
    await operation;
    return true;
  } catch (error) {
    if (isHeddleError(error) && error.code === "THREAD_NOT_FOUND") return false;
    throw error;
  }
}
