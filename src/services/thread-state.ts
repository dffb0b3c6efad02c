import type { AccessFilter, Caller } from "../core/auth.js";
import type { Engine } from "../core/engine.js";
import { HeddleError } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";
import { asJsonText } from "../core/json.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { CheckpointRef } from "../core/run.js";
import type { StateUpdate, ThreadState } from "../core/state.js";
import type { Thread } from "../core/thread.js";
import type { Authorize } from "./authorization.js";
import { threadNotFound } from "./threads.js";

/** State of a thread that never ran (docs/wire/langgraph-api.md §2.2). */
const EMPTY_STATE: ThreadState = Object.freeze({
  values: asJsonText("{}"),
  next: [],
  tasks: [],
  metadata: null,
  createdAt: null,
  checkpoint: null,
  parentCheckpoint: null,
});

export interface HistoryQuery {
  readonly limit: number;
  readonly before?: CheckpointRef;
  readonly metadata?: JsonObject;
  readonly checkpoint?: CheckpointRef;
}

/** The graph that a thread's state belongs to; `null` when it never ran. @throws `GRAPH_NOT_FOUND` */
export function graphOf(engine: Pick<Engine, "has">, thread: Thread): string | null {
  const graphId = thread.metadata["graph_id"];
  if (typeof graphId !== "string") return null;
  if (!engine.has(graphId)) throw new HeddleError("GRAPH_NOT_FOUND", { message: `Graph "${graphId}" not found` });
  return graphId;
}

/** Reading and changing the state of threads (docs/wire/langgraph-api.md §2.4.8–2.4.11). */
export type ThreadStateService = ReturnType<typeof createThreadStateService>;

export function createThreadStateService(deps: {
  readonly store: MetadataStore;
  readonly engine: Engine;
  readonly authorize: Authorize;
}) {
  const { store, engine, authorize } = deps;

  const readable = async (caller: Caller, threadId: string): Promise<Thread> => {
    const { access } = await authorize(caller, "threads", "read", { thread_id: threadId });
    return visible(threadId, access);
  };

  const visible = async (threadId: string, access: AccessFilter): Promise<Thread> => {
    const thread = await store.threads.get({ threadId, access });
    if (thread === null) throw threadNotFound(threadId);
    return thread;
  };

  return {
    /** Latest state, or the state at `checkpoint`. A thread that never ran has an empty one. */
    async get(
      caller: Caller,
      threadId: string,
      query: { readonly checkpoint?: CheckpointRef; readonly subgraphs: boolean },
    ): Promise<ThreadState> {
      const thread = await readable(caller, threadId);
      const graphId = graphOf(engine, thread);
      if (graphId === null) return EMPTY_STATE;
      return engine.getState({ graphId, threadId, config: thread.config, ...query });
    },

    /** Newest first. */
    async history(caller: Caller, threadId: string, query: HistoryQuery): Promise<readonly ThreadState[]> {
      const thread = await readable(caller, threadId);
      const graphId = graphOf(engine, thread);
      if (graphId === null) return [];
      return engine.listStates({ graphId, threadId, config: thread.config, ...query });
    },

    /**
     * Write state as if a node had returned it; makes a checkpoint, and brings the thread's values, interrupts and
     * status in step (Appendix A13).
     * @returns the new checkpoint's configurable
     * @throws `THREAD_BUSY` while a run is pending or running, `THREAD_HAS_NO_GRAPH`
     */
    async update(
      caller: Caller,
      threadId: string,
      request: { readonly update: StateUpdate; readonly checkpoint?: CheckpointRef },
    ): Promise<JsonObject> {
      await readable(caller, threadId);
      const { access } = await authorize(caller, "threads", "update", { thread_id: threadId });
      const thread = await store.threads.get({ threadId, access });
      if (thread === null) throw new HeddleError("FORBIDDEN");
      const inflight = await store.runs.list({
        threadId,
        status: ["pending", "running"],
        limit: 1,
        offset: 0,
        access,
      });
      if (inflight.length > 0) throw new HeddleError("THREAD_BUSY");
      const graphId = graphOf(engine, thread);
      if (graphId === null) {
        throw new HeddleError("THREAD_HAS_NO_GRAPH", { message: `Thread ${threadId} has no graph ID` });
      }
      const { checkpoint, final } = await engine.updateState({
        graphId,
        threadId,
        config: thread.config,
        update: request.update,
        ...(request.checkpoint === undefined ? {} : { checkpoint: request.checkpoint }),
        metadata: { graph_id: graphId },
      });
      await store.threads.patchState({ threadId, patch: final, hasNext: final.hasNext });
      return checkpoint;
    },
  };
}
