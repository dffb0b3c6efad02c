import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { createRequire } from "node:module";
import type { Checkpointer } from "../core/checkpointer.js";
import type { Clock } from "../core/clock.js";
import type { Engine } from "../core/engine.js";
import type { IndexedItems } from "../core/indexed-items.js";
import type { Logger } from "../core/logger.js";
import type { RunLease } from "../core/run.js";
import { createBindingNotice } from "./execution/bind-graph.js";
import { drawGraph } from "./state/draw-graph.js";
import { createExecute } from "./execution/execute.js";
import { createExecutionScope, type ExecutionScope } from "./execution/execution-scope.js";
import { installFastPaths } from "./execution/fast-paths.js";
import type { GraphSource, PregelLike } from "./graph-source.js";
import { type ServerInfo, userConfigurable } from "./execution/run-config.js";
import { createStoreAdapter } from "./store-adapter.js";
import { createThreadState } from "./state/thread-state.js";
import { withWholeStateGraphs } from "./whole-state-graphs.js";

export interface EngineOptions {
  /** Closed with the engine. */
  readonly graphs: GraphSource;
  readonly checkpointer: Checkpointer;
  /** The long-term store, which graphs see as `config.store`; they keep their own without one. */
  readonly items?: IndexedItems;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly server?: ServerInfo;
  /** Wraps all graph code, e.g. {@link createLoopback}'s context. */
  readonly runInContext?: ExecutionScope;
  /** A LangSmith key is configured, so that `langsmith_tracer` and `feedback_keys` can be honoured. Default false. */
  readonly langsmith?: boolean;
  /** Speed up LangChain's untraced calls in this process, see {@link installFastPaths}. Default true. */
  readonly fastPaths?: boolean;
  /**
   * Whether a run's lease still holds. Asked right before each put where the checkpointer is not `fenced`; leave it out when
   * the run store is gone with the process. Default: nobody asks.
   */
  readonly holdsLease?: (lease: RunLease) => Promise<boolean>;
}

/** LangGraph behind core's {@link Engine}. */
export function createEngine(options: EngineOptions): Engine {
  const { logger, clock, items } = options;
  const graphs = withWholeStateGraphs(options.graphs);
  const onNotice = (message: string): void => logger.warn({}, message);
  const store = items === undefined ? undefined : createStoreAdapter({ items, onNotice });
  const saver = options.checkpointer.saver as BaseCheckpointSaver;
  const scope = createExecutionScope(options.runInContext);
  const notice = createBindingNotice(logger);
  const release = options.fastPaths === false ? null : installFastPaths();
  const server = { langgraphVersion: installedLanggraphVersion(), ...options.server };

  const drawable = async (query: { readonly graphId: string; readonly config: object }): Promise<PregelLike> => {
    const config = { ...query.config, configurable: userConfigurable({ ...query.config }) };
    return scope(() =>
      graphs.resolve(query.graphId, config, { accessContext: "assistants.read", executionRuntime: null }),
    );
  };

  return {
    graphs: () => graphs.graphs(),
    has: (graphId) => graphs.has(graphId),
    execute: createExecute({
      graphs,
      saver,
      store,
      scope,
      clock,
      logger,
      notice,
      server,
      langsmith: options.langsmith ?? false,
      holdsLease: options.checkpointer.fenced ? undefined : options.holdsLease,
      storesInOrder: options.checkpointer.inOrder ?? false,
    }),
    ...createThreadState({ graphs, saver, store, scope, notice }),
    drawGraph: async (query) => {
      const graph = await drawable(query);
      return scope(() => drawGraph(graph, userConfigurable(query.config), query.xray));
    },
    schemas: async (query) => graphs.schemas.schemas({ graphId: query.graphId, graph: await drawable(query) }),
    subgraphs: async (query) => {
      const { namespace } = query;
      return graphs.schemas.subgraphs({
        graphId: query.graphId,
        graph: await drawable(query),
        ...(namespace === undefined ? {} : { namespace }),
        recurse: query.recurse,
      });
    },
    close: async () => {
      release?.();
      await graphs.close();
    },
  };
}

/** Of the @langchain/langgraph beside Heddle. */
export function installedLanggraphVersion(): string {
  const { version } = createRequire(import.meta.url)("@langchain/langgraph/package.json") as {
    readonly version: string;
  };
  return version;
}
