import type { Checkpointer } from "../core/checkpointer.js";
import type {
  Engine,
  ExecuteRequest,
  ExecutionEvents,
  ExecutionOutcome,
  FinalState,
  GraphSchemas,
} from "../core/engine.js";
import type { JsonText, JsonValue } from "../core/json.js";
import { asJsonText, isJsonObject, parseJsonText, toJsonText } from "../core/json.js";
import type { NewRunEvent } from "../core/run-event.js";
import type { Run } from "../core/run.js";
import type { StateUpdate, ThreadState } from "../core/state.js";
import { threadEvent } from "../core/thread-event.js";

/** A run as its script sees it. */
export interface ScriptedRun {
  readonly run: Run;
  readonly signal: AbortSignal;
  /** Write a checkpoint of the thread, as a superstep would. */
  checkpoint(values: JsonValue, options?: { readonly hasNext?: boolean; readonly interrupts?: JsonValue }): void;
  /** The thread's newest checkpoint. */
  state(): FinalState;
  /** Resolves when `released` does, or when the run is aborted, whichever comes first. */
  wait(released: Promise<unknown>): Promise<"released" | "aborted">;
}

/** What a run of a scripted graph does: yields batches of events, returns how it ended. A throw is the engine's fault. */
export type Script = (run: ScriptedRun) => AsyncGenerator<readonly NewRunEvent[], ExecutionOutcome, void>;

/** A checkpoint that a script wrote. */
export interface ScriptedCheckpoint extends FinalState {
  /** `null` for a state update. */
  readonly runId: string | null;
}

/** An engine without LangGraph, with the checkpointer that belongs to it. */
export interface ScriptedEngine {
  readonly engine: Engine;
  readonly checkpointer: Checkpointer;
  /** Executions so far, oldest first; a run that is started again is there twice. */
  readonly executions: readonly Run[];
  /** Oldest first. */
  checkpoints(threadId: string): readonly ScriptedCheckpoint[];
}

/**
 * An {@link Engine} whose graphs are scripts: for tests of whatever stands around an engine.
 * @param scripts by graph id
 * @example createScriptedEngine({ quick: succeed({ n: 1 }), stuck: never() })
 */
export function createScriptedEngine(scripts: Readonly<Record<string, Script>>): ScriptedEngine {
  const threads = new Map<string, ScriptedCheckpoint[]>();
  const executions: Run[] = [];
  const of = (threadId: string): readonly ScriptedCheckpoint[] => threads.get(threadId) ?? [];
  const write = (threadId: string, checkpoint: ScriptedCheckpoint): FinalState => {
    threads.set(threadId, [...of(threadId), checkpoint]);
    return checkpoint;
  };
  const newest = (threadId: string): FinalState => finalOf(of(threadId).at(-1));

  async function* execute({
    claimed,
    signal,
    threadEvents,
  }: ExecuteRequest): AsyncGenerator<ExecutionEvents, ExecutionOutcome, void> {
    const { run } = claimed;
    const { runId, threadId } = run;
    const script = scripts[run.graphId];
    if (script === undefined) throw new Error(`There is no script for the graph ${run.graphId}`);
    executions.push(run);
    const batches = script({
      run,
      signal,
      checkpoint: (values, options = {}) =>
        void write(threadId, {
          runId,
          values: toJsonText(values),
          interrupts: toJsonText(options.interrupts ?? {}),
          hasNext: options.hasNext ?? false,
        }),
      state: () => newest(threadId),
      wait: (released) => Promise.race([released.then(() => "released" as const), aborted(signal)]),
    });
    for (;;) {
      const next = await batches.next();
      if (next.done === true) return next.value;
      yield { run: next.value, thread: threadEvents === true ? next.value.map(threadEventOf) : [] };
    }
  }

  const applied = (threadId: string, update: StateUpdate): FinalState => {
    const { values } = newest(threadId);
    const before = values === undefined ? {} : parseJsonText(values);
    const patch = (update.values ?? {}) as JsonValue;
    const after = isJsonObject(before) && isJsonObject(patch) ? { ...before, ...patch } : patch;
    return write(threadId, { runId: null, values: toJsonText(after), interrupts: toJsonText({}), hasNext: false });
  };

  const engine: Engine = {
    graphs: () => Object.keys(scripts).map((graphId) => ({ graphId, description: null })),
    has: (graphId) => Object.hasOwn(scripts, graphId),
    execute,
    getState: async ({ threadId }) => stateOf(threadId, newest(threadId)),
    listStates: async ({ threadId, limit }) =>
      of(threadId)
        .toReversed()
        .slice(0, limit)
        .map((checkpoint) => stateOf(threadId, checkpoint)),
    updateState: async ({ threadId, update }) => ({
      checkpoint: { thread_id: threadId, checkpoint_ns: "", checkpoint_id: String(of(threadId).length) },
      final: applied(threadId, update),
    }),
    bulkUpdateState: async ({ threadId, supersteps }) => {
      for (const { updates } of supersteps) for (const update of updates) applied(threadId, update);
      return { final: newest(threadId) };
    },
    finalState: async ({ threadId }) => newest(threadId),
    drawGraph: async () => ({ nodes: [], edges: [] }),
    schemas: async ({ graphId }) => noSchemas(graphId),
    subgraphs: async () => ({}),
    close: async () => {},
  };
  const checkpointer: Checkpointer = {
    saver: {},
    durable: false,
    fenced: false,
    deleteRun: async ({ threadId, runId }) => {
      if (threads.has(threadId)) {
        threads.set(
          threadId,
          of(threadId).filter((checkpoint) => checkpoint.runId !== runId),
        );
      }
    },
    deleteThread: async (threadId) => void threads.delete(threadId),
    prune: async ({ threadId, keep, dryRun }) => {
      const kept = of(threadId).slice(keep.kind === "latest" ? -1 : -keep.count);
      const checkpoints = of(threadId).length - kept.length;
      if (!dryRun && checkpoints > 0) threads.set(threadId, kept);
      return { checkpoints, writes: 0, values: 0, bytes: checkpoints };
    },
    storage: async (threadId) => {
      const nothing = { count: 0, bytes: 0 };
      const { length: count } = of(threadId);
      const channelValues = { ...nothing, byChannel: new Map() };
      return { totalBytes: count, checkpoints: { count, bytes: count }, channelValues, pendingWrites: nothing };
    },
    copyThread: async ({ fromThreadId, toThreadId }) => void threads.set(toThreadId, [...of(fromThreadId)]),
    close: async () => {},
  };
  return { engine, checkpointer, executions, checkpoints: of };
}

/** The same event for the thread's log: `<mode>|<segment>…` is a channel's with its namespace. */
function threadEventOf({ event, data, kind }: NewRunEvent): NewRunEvent {
  const [name = event, ...namespace] = event.split("|");
  const envelope = toJsonText({ namespace, timestamp: 0 }).slice(0, -1);
  return threadEvent(name, namespace, asJsonText(`${envelope},"data":${data}}`), kind);
}

/** A frame of mode `values`. */
export function valuesEvent(values: JsonValue): NewRunEvent {
  return { event: "values", data: toJsonText(values), kind: "state" };
}

/** Streams `values` once, writes them as a checkpoint and succeeds. */
export function succeed(values: JsonValue = {}): Script {
  return async function* succeedScript(run) {
    yield [valuesEvent(values)];
    run.checkpoint(values);
    return { kind: "success", ...run.state() };
  };
}

/** The graph throws: `{error, message}`. */
export function fail(error: string, message: string): Script {
  return async function* failScript(run) {
    yield [];
    return { kind: "error", error: toJsonText({ error, message }), ...run.state() };
  };
}

/** The engine itself throws. */
export function crash(error: unknown): Script {
  return async function* crashScript() {
    yield [];
    throw error;
  };
}

/** Stops at an interrupt. */
export function ask(question: JsonValue): Script {
  return async function* askScript(run) {
    const interrupts = { task: [{ id: "i", value: question }] };
    yield [valuesEvent({ __interrupt__: interrupts.task })];
    run.checkpoint({}, { hasNext: true, interrupts });
    return { kind: "success", ...run.state() };
  };
}

/** Ends only when it is aborted. */
export function never(): Script {
  return async function* neverScript(run) {
    yield [valuesEvent({ started: true })];
    await run.wait(new Promise(() => undefined));
    return { kind: "aborted", ...run.state() };
  };
}

/** A script that stops in the middle until the test lets it go on. */
export interface Gate {
  readonly script: Script;
  /** Runs that wait now, in order of arrival. */
  readonly waiting: readonly ScriptedRun[];
  /** Let all that wait, and all that come, go on. */
  release(): void;
}

const DONE = Object.freeze({ done: true });

/**
 * Writes a checkpoint, waits, streams `values` and succeeds.
 * @param options.deaf goes on waiting, and succeeds, although it is aborted: a graph that was just about to finish
 */
export function gate(values: JsonValue = DONE, options: { readonly deaf?: boolean } = {}): Gate {
  const waiting: ScriptedRun[] = [];
  let open: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (open = resolve));
  return {
    waiting,
    release: () => open(),
    script: async function* gateScript(run) {
      run.checkpoint({ half: true });
      yield [valuesEvent({ half: true })];
      waiting.push(run);
      if (options.deaf === true) await released;
      else if ((await run.wait(released)) === "aborted") return { kind: "aborted", ...run.state() };
      waiting.splice(waiting.indexOf(run), 1);
      run.checkpoint(values);
      yield [valuesEvent(values)];
      return { kind: "success", ...run.state() };
    },
  };
}

function aborted(signal: AbortSignal): Promise<"aborted"> {
  if (signal.aborted) return Promise.resolve("aborted");
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve("aborted"), { once: true }));
}

function finalOf(checkpoint: ScriptedCheckpoint | undefined): FinalState {
  if (checkpoint === undefined) return { hasNext: false };
  const { runId: _, ...final } = checkpoint;
  return final;
}

function stateOf(threadId: string, final: FinalState): ThreadState {
  const values: JsonText = final.values ?? asJsonText("{}");
  return {
    values,
    next: final.hasNext ? ["next"] : [],
    tasks: [],
    metadata: null,
    createdAt: null,
    checkpoint: { threadId, checkpointNs: "", checkpointId: null, checkpointMap: null },
    parentCheckpoint: null,
  };
}

function noSchemas(graphId: string): GraphSchemas {
  return {
    graphId,
    inputSchema: null,
    outputSchema: null,
    stateSchema: null,
    configSchema: null,
    contextSchema: null,
  };
}
