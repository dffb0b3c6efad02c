import type { BaseCheckpointSaver, BaseStore } from "@langchain/langgraph-checkpoint";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Engine, FinalState, StateQuery } from "../../core/engine.js";
import { HeddleError, isHeddleError } from "../../core/errors.js";
import type { JsonObject } from "../../core/json.js";
import type { CheckpointRef } from "../../core/run.js";
import type { StateUpdate, ThreadState } from "../../core/state.js";
import { bindGraph } from "../execution/bind-graph.js";
import { toCommand } from "../execution/command.js";
import type { ExecutionScope } from "../execution/execution-scope.js";
import type { GraphSource, GraphUse, PregelLike } from "../graph-source.js";
import { checkpointKeys, userConfigurable } from "../execution/run-config.js";
import { RunSaver } from "../execution/run-saver.js";
import { checkpointConfigurable, toThreadState } from "./snapshot.js";
import { storedState } from "../execution/final-state.js";

/** Snapshots made between two turns of the event loop, so that a long history holds nobody up. */
const SNAPSHOTS_PER_TURN = 50;

/** Reading and changing thread state through a graph (docs/wire/langgraph-api.md §2.4.8–2.4.11). */
export type ThreadStateEngine = Pick<
  Engine,
  "getState" | "listStates" | "updateState" | "bulkUpdateState" | "finalState"
>;

export interface ThreadStateParts {
  readonly graphs: GraphSource;
  readonly saver: BaseCheckpointSaver;
  readonly store: BaseStore | undefined;
  readonly scope: ExecutionScope;
  readonly notice: (graphId: string, graph: PregelLike) => void;
}

export function createThreadState(parts: ThreadStateParts): ThreadStateEngine {
  const resolve = async (
    query: Pick<StateQuery, "graphId" | "config">,
    accessContext: GraphUse["accessContext"],
    saver: BaseCheckpointSaver,
  ): Promise<PregelLike> => {
    const config = { ...query.config, configurable: userConfigurable(query.config) };
    const graph = await parts.scope(() =>
      parts.graphs.resolve(query.graphId, config, { accessContext, executionRuntime: null }),
    );
    parts.notice(query.graphId, graph);
    return bindGraph(graph, { saver, store: parts.store });
  };

  const finalOf = (graph: PregelLike, threadId: string): Promise<FinalState> =>
    parts.scope(() => storedState(graph, threadId));

  /** Applies `write` with the metadata of an update, then reads the root state that it led to. */
  const change = async <T>(
    query: StateQuery & { readonly metadata: JsonObject },
    write: (graph: PregelLike) => Promise<T>,
  ): Promise<{ readonly written: T; readonly final: FinalState }> => {
    const saver = new RunSaver(parts.saver, query.metadata);
    const graph = await resolve(query, "threads.update", saver);
    try {
      const written = await parts.scope(() => write(graph));
      return { written, final: await finalOf(graph, query.threadId) };
    } catch (error) {
      if (isHeddleError(error)) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new HeddleError("STATE_UPDATE_REJECTED", { message, cause: error });
    } finally {
      saver.seal();
    }
  };

  return {
    async getState(query): Promise<ThreadState> {
      const graph = await resolve(query, "threads.read", parts.saver);
      const snapshot = await parts.scope(() =>
        graph.getState(threadConfig(query.threadId, query.checkpoint), { subgraphs: query.subgraphs }),
      );
      return toThreadState(snapshot);
    },

    async listStates(query): Promise<readonly ThreadState[]> {
      if (query.limit <= 0) return [];
      const graph = await resolve(query, "threads.read", parts.saver);
      const before = query.before?.checkpointId;
      const options = {
        limit: query.limit,
        ...(before === undefined ? {} : { before: { configurable: { checkpoint_id: before } } }),
        ...(query.metadata === undefined ? {} : { filter: { ...query.metadata } }),
      };
      return parts.scope(async () => {
        const states: ThreadState[] = [];
        for await (const snapshot of graph.getStateHistory(threadConfig(query.threadId, query.checkpoint), options)) {
          states.push(toThreadState(snapshot));
          if (states.length % SNAPSHOTS_PER_TURN === 0) await nextTurn();
        }
        return states;
      });
    },

    async updateState(query) {
      const { written, final } = await change(query, (graph) =>
        graph.updateState(
          threadConfig(query.threadId, query.checkpoint),
          updateValues(query.update),
          query.update.asNode,
        ),
      );
      return { checkpoint: checkpointConfigurable(written), final };
    },

    async bulkUpdateState(query) {
      const supersteps = query.supersteps.map(({ updates }) => ({
        updates: updates.map((update) => ({
          values: updateValues(update),
          ...(update.asNode === undefined ? {} : { asNode: update.asNode }),
        })),
      }));
      const { final } = await change(query, (graph) => graph.bulkUpdateState(threadConfig(query.threadId), supersteps));
      return { final };
    },

    async finalState(query): Promise<FinalState> {
      return finalOf(await resolve(query, "threads.read", parts.saver), query.threadId);
    },
  };
}

/** `command` wins over `values` (§2.4.1); LangGraph tells `null` from `undefined`. */
function updateValues(update: StateUpdate): Record<string, unknown> | null {
  const values = update.command === undefined ? (update.values ?? null) : toCommand(update.command);
  return values as Record<string, unknown> | null;
}

function threadConfig(threadId: string, ref?: CheckpointRef): { configurable: Record<string, unknown> } {
  return { configurable: { ...checkpointKeys(ref), thread_id: threadId } };
}
