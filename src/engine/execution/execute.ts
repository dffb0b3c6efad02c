import { LangChainTracer } from "@langchain/core/tracers/tracer_langchain";
import { MemorySaver, type BaseCheckpointSaver, type BaseStore } from "@langchain/langgraph-checkpoint";
import type { Clock } from "../../core/clock.js";
import type { Engine, ExecuteRequest, ExecutionOutcome, FinalState } from "../../core/engine.js";
import { isHeddleError } from "../../core/errors.js";
import type { JsonObject } from "../../core/json.js";
import type { Logger } from "../../core/logger.js";
import type { NewRunEvent } from "../../core/run-event.js";
import type { AbortReason } from "../../core/run-lifecycle.js";
import type { Durability, RunKwargs, RunLease } from "../../core/run.js";
import { settledWithin } from "../../core/settled-within.js";
import { bindGraph } from "./bind-graph.js";
import { toCommand } from "./command.js";
import { describeError } from "./describe-error.js";
import { DrainControl } from "./drain-control.js";
import { EventQueue } from "./event-queue.js";
import type { ExecutionScope } from "./execution-scope.js";
import { requestFeedback } from "./feedback.js";
import { finalState, storedState } from "./final-state.js";
import type { GraphSource, PregelLike } from "../graph-source.js";
import { guardAbort } from "./guard-abort.js";
import { runStream, type StreamOptions } from "./open-stream.js";
import { recoverRun } from "./recover-run.js";
import { withRecordedNodes } from "./recorded-nodes.js";
import { checkpointMetadata, leaseConfigurable, runConfigurable, runMetadata, type ServerInfo } from "./run-config.js";
import { RunSaver } from "./run-saver.js";
import { createObservedEvents } from "../streams/observed-events.js";
import { createStreamParts, planStream, type StreamParts, type StreamPlan } from "../streams/stream-parts.js";
import { createThreadEvents, type GraphEnd, type ThreadEvents } from "../thread-events/thread-events.js";

/** How long a graph that was told to stop may take to do so, before its run is ended without it. */
const ABORT_GRACE_MS = 1_000;

export interface ExecuteParts {
  readonly graphs: GraphSource;
  readonly saver: BaseCheckpointSaver;
  readonly store: BaseStore | undefined;
  readonly scope: ExecutionScope;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly notice: (graphId: string, graph: PregelLike) => void;
  readonly server: ServerInfo & { readonly langgraphVersion: string };
  /** A LangSmith key is configured, so that `langsmith_tracer` and `feedback_keys` can be honoured. */
  readonly langsmith: boolean;
  /** Whether a lease still holds; `undefined` where the saver's own statements check it, or nobody could take a run over. */
  readonly holdsLease: ((lease: RunLease) => Promise<boolean>) | undefined;
  /** The saver stores what it is given in the order of the calls, without waiting for one before the next. */
  readonly storesInOrder: boolean;
}

/** How the graph stopped. */
type Stop = { readonly kind: "ended" } | { readonly kind: "failed"; readonly error: unknown };

/** What is known of a run before its graph is. */
interface Prepared {
  readonly configurable: Readonly<Record<string, unknown>>;
  readonly metadata: JsonObject;
  readonly saver: RunSaver;
  readonly control: DrainControl;
}

/** One run as it is executed. */
interface Execution extends Prepared {
  readonly graph: PregelLike;
  readonly parts: StreamParts;
  /** Set when the thread is watched. */
  readonly threadEvents: ThreadEvents | null;
}

/** Executes claimed runs: docs/wire/langgraph-api.md §2.9.1, part 3. */
export function createExecute(context: ExecuteParts): Engine["execute"] {
  return async function* execute(request) {
    const { run } = request.claimed;
    const prepared = prepare(context, request);
    const queue = new EventQueue();
    const abort = new AbortController();
    const halted = Promise.withResolvers<void>();
    const onAbort = (): void => {
      prepared.saver.stopping = true;
      // Nodes expect an error as reason, and LangGraph writes to what is thrown.
      abort.abort(new DOMException("The run was stopped.", "AbortError"));
      queue.wake();
      halted.resolve();
    };
    let execution: Execution | undefined;
    let stop: Stop | undefined;
    if (request.signal.aborted) onAbort();
    else request.signal.addEventListener("abort", onAbort, { once: true });

    const work = context.scope(async (): Promise<Stop> => {
      try {
        const graph = await resolveGraph(context, request, prepared);
        const plan = planStream(run.kwargs.streamModes, run.kwargs.streamSubgraphs, {
          threadEvents: request.threadEvents === true,
          observed: request.observer !== undefined,
        });
        const parts = createStreamParts({
          asked: run.kwargs.streamModes,
          streamSubgraphs: run.kwargs.streamSubgraphs,
          plan,
        });
        execution = {
          ...prepared,
          graph: boundGraph(context, graph, prepared.saver, request),
          parts,
          threadEvents: request.threadEvents === true ? threadEventsOf(context, graph, queue) : null,
        };
        // Cancelled before it began: not even its input is applied.
        if (abort.signal.aborted) return { kind: "ended" };
        await runGraph(context, request, execution, plan, abort.signal, queue);
        await prepared.saver.drained();
        if (!abort.signal.aborted) await endStreams(execution, { kind: "ended" }, queue);
        return { kind: "ended" };
      } catch (error) {
        if (prepared.control.isDrained(error)) {
          await prepared.saver.drained();
          prepared.saver.interrupted = true;
          if (execution !== undefined && !abort.signal.aborted) await endStreams(execution, { kind: "stopped" }, queue);
          return { kind: "ended" };
        }
        // What it was stopped by is its error, not what its writes met with.
        await prepared.saver.drained().catch(() => undefined);
        if (execution !== undefined && !abort.signal.aborted) {
          await endStreams(execution, { kind: "failed", error }, queue);
        }
        return { kind: "failed", error };
      }
    }, run);
    const stopped = work.then((result) => {
      stop = result;
      queue.wake();
    });

    try {
      while (stop === undefined && !abort.signal.aborted) {
        await queue.wait();
        const events = queue.take();
        // Who reads a question may answer it at once.
        if (prepared.saver.interrupted) await Promise.race([prepared.saver.asked(), halted.promise]);
        if (events !== null && !abort.signal.aborted) yield events;
      }
      const rest = queue.take();
      if (rest !== null && !abort.signal.aborted) yield rest;
      if (abort.signal.aborted) {
        await settledWithin(context.clock, ABORT_GRACE_MS, stopped);
        const last = execution === undefined ? null : await lastEvents(execution, request.signal, queue);
        if (last !== null) yield last;
      }
    } finally {
      request.signal.removeEventListener("abort", onAbort);
      // Nothing is left to stop when the graph has ended; a reader that went away stops it.
      if (stop === undefined) onAbort();
      prepared.saver.seal();
    }
    const outcome = await outcomeOf(context, request, execution, abort.signal.aborted ? "aborted" : stop);
    if (outcome.kind === "success" && run.kwargs.feedbackKeys !== undefined) {
      const feedback = await requestFeedback(context, run, request.signal);
      if (feedback !== null) yield { run: [feedback], thread: [] };
    }
    return outcome;
  };
}

function threadEventsOf(context: ExecuteParts, graph: PregelLike, queue: EventQueue): ThreadEvents {
  const { clock, logger } = context;
  const emit = (event: NewRunEvent): void => {
    queue.openThread.push(event);
    queue.wake();
  };
  return createThreadEvents({ graph, clock, logger, emit });
}

/** What is still open on the streams ends with the graph. */
async function endStreams({ parts, threadEvents }: Execution, end: GraphEnd, queue: EventQueue): Promise<void> {
  const isInterrupted = end.kind === "stopped" || (end.kind === "ended" && parts.interrupted);
  parts.end(end.kind === "failed" ? "failed" : isInterrupted ? "interrupted" : "completed", queue.open);
  await threadEvents?.end(end);
}

/**
 * Of a run that was stopped, and that ends with this attempt: that what was open is over. What its graph produced since is
 * nobody's to see.
 */
async function lastEvents(
  execution: Execution,
  signal: AbortSignal,
  queue: EventQueue,
): Promise<ReturnType<EventQueue["take"]>> {
  const { kind } = signal.reason as AbortReason;
  if (kind !== "cancel" && kind !== "timeout") return null;
  queue.take();
  await endStreams(execution, kind === "cancel" ? { kind: "stopped" } : { kind: "failed", error: null }, queue);
  return queue.take();
}

/** The graph as this run executes it. */
function boundGraph(
  { store }: ExecuteParts,
  graph: PregelLike,
  saver: RunSaver,
  { observer }: ExecuteRequest,
): PregelLike {
  const bound = bindGraph(graph, { saver, store });
  return observer?.recorded === undefined ? bound : withRecordedNodes(bound, observer.recorded);
}

function prepare(context: ExecuteParts, request: ExecuteRequest): Prepared {
  const { run, lease } = request.claimed;
  const { observer } = request;
  const control = new DrainControl();
  const onCheckpoint = async (checkpointId: string): Promise<void> => {
    // What LangGraph has streamed so far travels in microtasks: it has arrived when they are done.
    await new Promise<void>((resolve) => setImmediate(resolve));
    if ((await observer?.superstep({ checkpointId })) === "stop") control.drain();
  };
  const { temporary } = run.kwargs;
  const configurable = runConfigurable(request);
  const metadata = runMetadata(run, context.server);
  // Of a temporary run nothing is kept; it has a saver all the same, because interrupts need one (Appendix A26).
  const saver = new RunSaver(
    temporary ? new MemorySaver() : context.saver,
    checkpointMetadata(configurable, { ...metadata, ls_integration: "langgraph" }),
    {
      holdsLease: temporary ? undefined : context.holdsLease?.bind(null, lease),
      // An observer is told of what is stored.
      behind:
        !temporary && observer === undefined && run.kwargs.durability === "async"
          ? { inOrder: context.storesInOrder }
          : undefined,
      onCheckpoint: observer === undefined ? undefined : onCheckpoint,
    },
  );
  return { configurable, metadata, saver, control };
}

async function resolveGraph(
  context: ExecuteParts,
  request: ExecuteRequest,
  { configurable }: Prepared,
): Promise<PregelLike> {
  const { graphId, kwargs } = request.claimed.run;
  const graph = await context.graphs.resolve(
    graphId,
    { ...kwargs.config, configurable: configurable as JsonObject },
    { accessContext: "threads.create_run", executionRuntime: { context: kwargs.context } },
  );
  context.notice(graphId, graph);
  return graph;
}

async function runGraph(
  context: ExecuteParts,
  request: ExecuteRequest,
  execution: Execution,
  plan: StreamPlan,
  signal: AbortSignal,
  queue: EventQueue,
): Promise<void> {
  const { run } = request.claimed;
  const { graph, parts, threadEvents, saver } = execution;
  const recovery = await recoverRun(graph, saver, run);
  if (recovery === "stopped") {
    saver.interrupted = true;
    return;
  }
  const options = streamOptions(context, request, execution, signal, threadEvents?.handlers ?? []);
  if (recovery === "continue") {
    for (const key of ["checkpoint_id", "checkpoint_ns", "checkpoint_map"]) delete options.configurable[key];
  }
  await runStream({
    graph,
    input: recovery === "continue" ? null : inputOf(run.kwargs),
    options,
    plan,
    parts,
    threadEvents,
    observe: request.observer === undefined ? null : createObservedEvents(request.observer),
    out: () => queue.open,
    wake: () => queue.wake(),
  });
}

/** A command replaces the input; neither means to continue from the checkpoint (§2.9.6). */
function inputOf(kwargs: RunKwargs): unknown {
  if (kwargs.command !== undefined) return toCommand(kwargs.command);
  return kwargs.input ?? null;
}

function streamOptions(
  context: ExecuteParts,
  request: ExecuteRequest,
  prepared: Prepared,
  signal: AbortSignal,
  handlers: readonly unknown[],
): StreamOptions & { readonly configurable: Record<string, unknown> } {
  const { run } = request.claimed;
  const { kwargs } = run;
  const { config } = kwargs;
  const configurable: Record<string, unknown> = {
    ...prepared.configurable,
    ...leaseConfigurable(request),
    ...guardAbort(signal),
  };
  const metadata: Record<string, unknown> = { ...prepared.metadata };
  // What `Runnable.stream` does to every config (@langchain/core 1.4.0, `ensureConfig`), which the direct way passes by.
  if (typeof configurable["model"] === "string") metadata["model"] ??= configurable["model"];
  return {
    configurable,
    metadata,
    signal,
    ...(request.observer !== undefined && { control: prepared.control }),
    durability: durabilityOf(kwargs),
    ...(context.store === undefined ? {} : { store: context.store }),
    // An id of an earlier attempt is taken already where runs are traced.
    ...(run.attempt <= 1 ? { runId: run.runId } : {}),
    ...defined("context", kwargs.context),
    ...defined("recursionLimit", config["recursion_limit"]),
    ...defined("maxConcurrency", config["max_concurrency"]),
    ...defined("runName", config["run_name"]),
    ...defined("tags", config["tags"]),
    ...defined("interruptBefore", kwargs.interruptBefore),
    ...defined("interruptAfter", kwargs.interruptAfter),
    ...defined("callbacks", callbacksOf(context, kwargs, handlers)),
  };
}

function defined(key: string, value: unknown): Readonly<Record<string, unknown>> {
  return value === undefined || value === null ? {} : { [key]: value };
}

/**
 * Nobody can read a temporary run's checkpoints before it ends, so they are kept at its end only; unless it streams them.
 * With `sync` LangGraph waits for the saver, which is where `async` is made of it: {@link WriteBehind}.
 */
function durabilityOf(kwargs: RunKwargs): Durability {
  const streamsCheckpoints = kwargs.streamModes.some((mode) => mode === "checkpoints" || mode === "debug");
  if (kwargs.temporary && !streamsCheckpoints) return "exit";
  return kwargs.durability === "async" ? "sync" : kwargs.durability;
}

/** With `langsmith_tracer`, one that makes a trace in that project as well (§2.5). */
function callbacksOf(
  context: ExecuteParts,
  kwargs: RunKwargs,
  handlers: readonly unknown[],
): readonly unknown[] | undefined {
  const tracer = kwargs.langsmithTracer;
  if (tracer === undefined || !context.langsmith) return handlers.length === 0 ? undefined : handlers;
  const { projectName, exampleId } = tracer;
  return [
    ...handlers,
    new LangChainTracer({
      ...(projectName === undefined ? {} : { projectName }),
      ...(exampleId === undefined ? {} : { exampleId }),
    }),
  ];
}

async function outcomeOf(
  context: ExecuteParts,
  request: ExecuteRequest,
  execution: Execution | undefined,
  stop: Stop | "aborted" | undefined,
): Promise<ExecutionOutcome> {
  const { run } = request.claimed;
  const { threadId } = run;
  if (stop !== "aborted" && stop?.kind === "ended" && execution !== undefined) {
    const { graph, parts, saver } = execution;
    const final = await context.scope(
      () => finalState(graph, threadId, { parts, interrupted: saver.interrupted }),
      run,
    );
    return { kind: "success", ...final };
  }
  let final: FinalState = { hasNext: false };
  if (execution !== undefined) {
    try {
      final = await context.scope(() => storedState(execution.graph, threadId), run);
    } catch (error) {
      context.logger.warn({ err: error, runId: run.runId, threadId }, "the state of a stopped run could not be read");
    }
  }
  if (stop === "aborted" || stop === undefined || stop.kind === "ended") return { kind: "aborted", ...final };
  // Another worker has the run: what it does now is not ours to report as the graph's error.
  if (isHeddleError(stop.error) && stop.error.code === "LEASE_LOST") return { kind: "aborted", ...final };
  return { kind: "error", error: describeError(stop.error), ...final };
}
