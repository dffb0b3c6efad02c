import type { RunConfig } from "./assistant.js";
import type { JsonObject, JsonText, JsonValue } from "./json.js";
import type { NewRunEvent } from "./run-event.js";
import type { RunObserver } from "./run-observer.js";
import type { CheckpointRef, ClaimedRun } from "./run.js";
import type { StateUpdate, ThreadState } from "./state.js";

export interface GraphInfo {
  readonly graphId: string;
  readonly description: string | null;
}

/** JSON Schemas of a graph; `null` where there is none (docs/wire/langgraph-api.md §2.3.8). */
export interface GraphSchemas {
  readonly graphId: string;
  readonly inputSchema: JsonObject | null;
  readonly outputSchema: JsonObject | null;
  readonly stateSchema: JsonObject | null;
  readonly configSchema: JsonObject | null;
  readonly contextSchema: JsonObject | null;
  /** Set when extraction failed and the schemas are permissive stand-ins. */
  readonly note?: string;
}

/** What remains when a graph has stopped: the caller persists it, then publishes. */
export type ExecutionOutcome =
  /** Ran to its end, or to an interrupt (`hasNext`). */
  | ({ readonly kind: "success" } & FinalState)
  /** `signal` was aborted. */
  | ({ readonly kind: "aborted" } & FinalState)
  /** A graph's exception is data. `error` is `{error, message}`. */
  | ({ readonly kind: "error"; readonly error: JsonText } & FinalState);

/** The thread's last checkpoint; absent fields are not known and keep what the thread row has. */
export interface FinalState {
  readonly values?: JsonText;
  /** `{ [task_id]: Interrupt[] }`. */
  readonly interrupts?: JsonText;
  readonly hasNext: boolean;
  /** Whose checkpoint it is; only from {@link Engine.finalState}, and absent when no run made it. */
  readonly madeBy?: { readonly graphId: string; readonly assistantId: string };
}

export interface ExecuteRequest {
  readonly claimed: ClaimedRun;
  /** A run's own: aborted on cancel, lost lease, shutdown. Its reason is an `AbortReason` of core/run-lifecycle. */
  readonly signal: AbortSignal;
  /** Extra configurable, e.g. `langgraph_auth_user`. */
  readonly configurable?: JsonObject;
  /** Also yield the protocol events of every channel, for the thread's log. Default false. */
  readonly threadEvents?: boolean;
  /** Told of what the graph does, and asked after each superstep whether it goes on. Only `begin`, `flush` and `ended` are not the engine's to call. */
  readonly observer?: Omit<RunObserver, "begin" | "flush" | "ended">;
}

/** What an execution produced since the last time, each list in order. */
export interface ExecutionEvents {
  /** For the run's log: the stream modes that it asked for. */
  readonly run: readonly NewRunEvent[];
  /** For the thread's log (core/thread-event.ts); empty unless `threadEvents` was asked for. */
  readonly thread: readonly NewRunEvent[];
}

export interface StateQuery {
  readonly graphId: string;
  readonly threadId: string;
  /** The thread's config, for graph factories. */
  readonly config: RunConfig;
}

/** Executes graphs and reads their state. LangGraph lives behind this interface and nowhere else. */
export interface Engine {
  graphs(): readonly GraphInfo[];
  has(graphId: string): boolean;
  /**
   * Execute a claimed run: yields its events (not `metadata`, `end`, `error`, nor the root's `lifecycle`: the runtime adds
   * those) and returns how it ended. Only the stream modes that the run asked for are produced, each payload serialised
   * once. Never throws for a graph's own exception.
   */
  execute(request: ExecuteRequest): AsyncGenerator<ExecutionEvents, ExecutionOutcome, void>;
  getState(
    query: StateQuery & { readonly checkpoint?: CheckpointRef; readonly subgraphs: boolean },
  ): Promise<ThreadState>;
  /** Newest first. */
  listStates(
    query: StateQuery & {
      readonly limit: number;
      readonly before?: CheckpointRef;
      readonly metadata?: JsonObject;
      readonly checkpoint?: CheckpointRef;
    },
  ): Promise<readonly ThreadState[]>;
  /** @returns the new checkpoint's configurable, and the resulting root state for the thread row. */
  updateState(
    query: StateQuery & {
      readonly update: StateUpdate;
      readonly checkpoint?: CheckpointRef;
      /** Copied into the checkpoint's metadata. */
      readonly metadata: JsonObject;
    },
  ): Promise<{ readonly checkpoint: JsonObject; readonly final: FinalState }>;
  /** One checkpoint per superstep. */
  bulkUpdateState(
    query: StateQuery & {
      readonly supersteps: readonly { readonly updates: readonly StateUpdate[] }[];
      readonly metadata: JsonObject;
    },
  ): Promise<{ readonly final: FinalState }>;
  /** The state columns of a thread as its last checkpoint has them: after a rollback. */
  finalState(query: StateQuery): Promise<FinalState>;
  /** LangGraph's drawing as JSON (`{nodes, edges}`); `xray` true or the depth of subgraphs to expand. */
  drawGraph(query: {
    readonly graphId: string;
    readonly config: RunConfig;
    readonly xray: boolean | number;
  }): Promise<JsonValue>;
  schemas(query: { readonly graphId: string; readonly config: RunConfig }): Promise<GraphSchemas>;
  /** `namespace → schemas` of direct subgraphs, of one, or of all (`recurse`). */
  subgraphs(query: {
    readonly graphId: string;
    readonly config: RunConfig;
    readonly namespace?: string;
    readonly recurse: boolean;
  }): Promise<Readonly<Record<string, GraphSchemas>>>;
  close(): Promise<void>;
}
