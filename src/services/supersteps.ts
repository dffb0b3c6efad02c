import type { Engine } from "../core/engine.js";
import { HeddleError } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { StateUpdate } from "../core/state.js";
import type { Thread } from "../core/thread.js";

export interface Superstep {
  readonly updates: readonly StateUpdate[];
}

/**
 * State that a new thread starts with (docs/wire/langgraph-api.md §2.4.1). For the service that makes threads: it has no caller,
 * and asks nobody.
 */
export interface Supersteps {
  /** @returns the graph id. @throws `THREAD_HAS_NO_GRAPH` */
  check(threadId: string, metadata: JsonObject): string;
  /** @throws as {@link Supersteps.check}; `STATE_UPDATE_REJECTED` */
  apply(thread: Thread, supersteps: readonly Superstep[]): Promise<Thread>;
}

export function createSupersteps(deps: {
  readonly store: Pick<MetadataStore, "threads">;
  readonly engine: Engine;
}): Supersteps {
  const { store, engine } = deps;

  const check: Supersteps["check"] = (threadId, metadata) => {
    const graphId = metadata["graph_id"];
    if (typeof graphId === "string" && engine.has(graphId)) return graphId;
    throw new HeddleError("THREAD_HAS_NO_GRAPH", {
      message: `Thread ${threadId} has no graph ID: supersteps need metadata.graph_id to name a graph of this server`,
    });
  };

  return {
    check,
    async apply(thread, supersteps) {
      const { threadId, config } = thread;
      const graphId = check(threadId, thread.metadata);
      const metadata = { graph_id: graphId };
      const { final } = await engine.bulkUpdateState({ graphId, threadId, config, supersteps, metadata });
      const patched = await store.threads.patchState({ threadId, patch: final, hasNext: final.hasNext });
      return patched ?? thread;
    },
  };
}
