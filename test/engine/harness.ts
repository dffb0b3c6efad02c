import { MemorySaver } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import type { Checkpointer, Saver } from "../../src/core/checkpointer.js";
import type { Engine, ExecutionOutcome } from "../../src/core/engine.js";
import type { JsonValue } from "../../src/core/json.js";
import { parseJsonText } from "../../src/core/json.js";
import type { Logger } from "../../src/core/logger.js";
import type { ClaimedRun, RunKwargs } from "../../src/core/run.js";
import { createEngine, type EngineOptions } from "../../src/engine/create-engine.js";
import { createGraphRegistry, type RegisteredGraph } from "../../src/engine/loading/graph-registry.js";
import { onTestFinished } from "vitest";
import { systemClock } from "../../src/runtime/system-clock.js";

export interface Logged {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

export interface Harness {
  readonly engine: Engine;
  readonly saver: MemorySaver;
  readonly logs: readonly Logged[];
}

/** LangGraph's own MemorySaver as a core checkpointer. */
export function stockCheckpointer(saver: MemorySaver): Checkpointer {
  return {
    saver: saver as unknown as Saver,
    durable: false,
    fenced: false,
    deleteRun: () => Promise.resolve(),
    deleteThread: (threadId) => saver.deleteThread(threadId),
    copyThread: () => Promise.resolve(),
    prune: () => Promise.reject(new Error("not used")),
    storage: () => Promise.reject(new Error("not used")),
    close: () => Promise.resolve(),
  };
}

export async function harness(
  graphs: Readonly<Record<string, unknown>>,
  options: Partial<EngineOptions> = {},
): Promise<Harness> {
  const logs: Logged[] = [];
  const log = (level: string) => (fields: object, message: string) => void logs.push({ level, fields, message });
  const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  const saver = new MemorySaver();
  const engine = createEngine({
    graphs: await createGraphRegistry({ graphs: graphs as Record<string, RegisteredGraph>, logger }),
    checkpointer: stockCheckpointer(saver),
    clock: systemClock,
    logger,
    ...options,
  });
  onTestFinished(() => engine.close());
  return { engine, saver, logs };
}

export interface RunParams extends Partial<RunKwargs> {
  readonly graphId: string;
  readonly threadId?: string;
  readonly runId?: string;
  readonly attempt?: number;
  readonly metadata?: Readonly<Record<string, JsonValue>>;
}

export function claimed(params: RunParams): ClaimedRun {
  const { graphId, threadId, runId, attempt, metadata, ...kwargs } = params;
  const id = runId ?? randomUUID();
  return {
    run: {
      runId: id,
      threadId: threadId ?? randomUUID(),
      assistantId: "3f0a4f6e-0000-4000-8000-000000000001",
      graphId,
      createdAt: 0,
      updatedAt: 0,
      dueAt: 0,
      status: "running",
      metadata: metadata ?? {},
      kwargs: {
        config: {},
        streamModes: ["values"],
        streamSubgraphs: false,
        streamResumable: false,
        durability: "async",
        temporary: false,
        ...kwargs,
      },
      multitaskStrategy: "enqueue",
      attempt: attempt ?? 1,
      error: null,
    },
    lease: { runId: id, leaseToken: 7 },
    cancel: null,
    watched: false,
  };
}

export interface Frame {
  readonly event: string;
  readonly data: JsonValue;
  readonly kind: string;
}

export interface Executed {
  readonly run: ClaimedRun["run"];
  readonly frames: readonly Frame[];
  /** Events of the thread's log, if they were asked for. */
  readonly thread: readonly Frame[];
  /** `event: data` lines. */
  readonly text: readonly string[];
  readonly outcome: ExecutionOutcome;
  readonly values: JsonValue;
  readonly interrupts: JsonValue;
}

/** Run to the end, with an optional look at each frame while it runs. */
export async function execute(
  engine: Engine,
  params: RunParams,
  options: {
    readonly signal?: AbortSignal;
    readonly onFrame?: (frame: Frame) => void;
    readonly threadEvents?: boolean;
  } = {},
): Promise<Executed> {
  const run = claimed(params);
  const frames: Frame[] = [];
  const thread: Frame[] = [];
  const text: string[] = [];
  const events = engine.execute({
    claimed: run,
    signal: options.signal ?? new AbortController().signal,
    ...(options.threadEvents === true && { threadEvents: true }),
  });
  for (;;) {
    const next = await events.next();
    if (next.done === true) {
      const outcome = next.value;
      return {
        run: run.run,
        frames,
        thread,
        text,
        outcome,
        values: outcome.values === undefined ? null : parseJsonText(outcome.values),
        interrupts: outcome.interrupts === undefined ? null : parseJsonText(outcome.interrupts),
      };
    }
    for (const { event, data, kind } of next.value.thread) thread.push({ event, data: parseJsonText(data), kind });
    for (const { event, data, kind } of next.value.run) {
      const frame = { event, data: parseJsonText(data), kind };
      frames.push(frame);
      text.push(`${event}: ${data}`);
      options.onFrame?.(frame);
    }
  }
}

export const named = (executed: Executed, event: string): readonly JsonValue[] =>
  executed.frames.filter((frame) => frame.event === event).map((frame) => frame.data);
