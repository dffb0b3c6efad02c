import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.js";
import type { ObservedEvent } from "../../core/run-observer.js";
import type { HiddenDetails, NewOpenwopEvent } from "./event.js";
import { LIMITS } from "./limits.js";
import type { RunRecord } from "./run-record.js";
import type { InterruptRules } from "./seams.js";
import type { InterruptFold, NodeFold, RunFold } from "./snapshot-types.js";

/** An interrupt that was observed, and that is told of when the LangGraph run has ended. */
export interface HeldInterrupt {
  readonly taskId: string;
  readonly node: string;
  readonly langgraphInterruptId: string;
  readonly value: JsonValue;
}

/** A message of a model that may go on. */
export interface OpenText {
  readonly node: string;
  readonly messageId: string | null;
}

/** What one attempt of a LangGraph run brings. */
export interface Attempt {
  readonly langgraphRunId: string;
  /** More than 1: what was begun by an earlier one is begun again. */
  readonly attempt: number;
  /** `command.resume` of the run: who resumes by LangGraph answers, too. */
  readonly resume: JsonValue | undefined;
}

export interface Translation {
  readonly events: readonly NewOpenwopEvent[];
  readonly held: readonly HeldInterrupt[];
  readonly openText: OpenText | null;
  /** The limit of nodes was reached, and the run has failed of it. */
  readonly breached: boolean;
}

type TaskStatus = NodeFold["status"];

/** What a graph did → events, on top of what the log has already: what it has is not told again. Pure. */
export function translate(
  observed: readonly ObservedEvent[],
  context: {
    readonly record: RunRecord;
    readonly fold: RunFold;
    readonly attempt: Attempt;
    readonly openText: OpenText | null;
    readonly rules: InterruptRules;
    /** The state before the tasks that start now. */
    readonly checkpointId: string | null;
  },
): Translation {
  return new Translator(context).all(observed);
}

class Translator {
  readonly #context: Parameters<typeof translate>[1];
  readonly #events: NewOpenwopEvent[] = [];
  readonly #held: HeldInterrupt[] = [];
  readonly #tasks = new Map<string, TaskStatus>();
  readonly #answered = new Set<string>();
  readonly #succeeded = new Map<string, number>();
  #openText: OpenText | null;
  #started: number;
  #breached = false;

  constructor(context: Parameters<typeof translate>[1]) {
    this.#context = context;
    this.#openText = context.openText;
    this.#started = context.fold.startedNodes;
  }

  all(observed: readonly ObservedEvent[]): Translation {
    for (const event of observed) {
      if (this.#breached) break;
      if (event.kind === "task-started") this.#start(event.taskId, event.node);
      else if (event.kind === "task-ended") this.#endTask(event);
      // What nodes said is the source's to tell.
      else if (this.#context.record.source?.mode === "replay") continue;
      else if (event.kind === "text") this.#text(event);
      else this.#push("langgraph.custom", null, { value: event.payload });
    }
    return { events: this.#events, held: this.#held, openText: this.#openText, breached: this.#breached };
  }

  #push(type: NewOpenwopEvent["type"], nodeId: string | null, payload: JsonObject, hidden: HiddenDetails = {}): void {
    const { langgraphRunId } = this.#context.attempt;
    this.#events.push({
      type,
      ...(nodeId !== null && { nodeId }),
      payload: nodeId === null ? payload : { nodeId, ...payload },
      hidden: { langgraphRunId, ...hidden },
    });
  }

  #statusOf(taskId: string): TaskStatus | undefined {
    return this.#tasks.get(taskId) ?? this.#context.fold.tasks.get(taskId)?.status;
  }

  /** It stands for one that the run's source had begun, whose start is told already. */
  #isInherited(node: string): boolean {
    const open = this.#context.fold.inherited.get(node)?.length ?? 0;
    const used = this.#succeeded.get(node) ?? 0;
    if (used >= open) return false;
    this.#succeeded.set(node, used + 1);
    return true;
  }

  #start(taskId: string, node: string): void {
    const { record, fold, attempt, checkpointId } = this.#context;
    const status = this.#statusOf(taskId);
    if (status === "suspended") this.#resume(taskId, node);
    else if (status === "running") {
      // A worker died while it ran; in one attempt a task starts once.
      if (attempt.attempt <= 1 || this.#tasks.has(taskId)) return;
      this.#tasks.set(taskId, "running");
      const count = (fold.nodes.get(node)?.attempt ?? 1) + 1;
      this.#push("node.retried", node, { attempt: count }, { taskId });
    } else if (status === undefined && this.#isInherited(node)) {
      this.#tasks.set(taskId, "running");
      // A replay is as its source was.
      if (record.source?.mode === "replay") return;
      this.#push("node.retried", node, { attempt: (fold.nodes.get(node)?.attempt ?? 1) + 1 }, { taskId });
    } else if (status === undefined || status === "cancelled") {
      this.#started += 1;
      const limit = record.recursionLimit ?? LIMITS.maxNodeExecutions;
      if (this.#started > limit) {
        this.#breach(limit, node);
        return;
      }
      this.#tasks.set(taskId, "running");
      const typeId = record.nodeTypes[node] ?? "langgraph.node";
      this.#push("node.started", node, { typeId }, { taskId, ...(checkpointId !== null && { checkpointId }) });
    }
  }

  #breach(limit: number, nodeId: string): void {
    this.#breached = true;
    this.#events.push(...recursionEvents(limit, nodeId, this.#context.fold, this.#tasks));
  }

  /** It waited; whoever resumes the thread by LangGraph answers what its node asked, if it is this one's turn. */
  #resume(taskId: string, node: string): void {
    const { fold, attempt } = this.#context;
    const own = fold.interrupts.filter((one) => one.taskId === taskId);
    const open = own.filter((one) => this.#isOpen(one));
    const answered = open.filter((one, index) => {
      const isAsked = index === 0 || isById(attempt.resume);
      return isAsked && answerTo(one.langgraphInterruptId, attempt.resume) !== undefined;
    });
    // A nested graph may wait for several at once: the answer to another one lets its node run, too.
    const isAnswered = own.some(
      (one) => one.status === "resolved" && answerTo(one.langgraphInterruptId, attempt.resume) !== undefined,
    );
    if (open.length > 0 && answered.length === 0 && !isAnswered) return;
    for (const { interruptId, suspension, langgraphInterruptId } of answered) {
      this.#answered.add(interruptId);
      const resumeValue = answerTo(langgraphInterruptId, attempt.resume) ?? null;
      this.#push(
        "interrupt.resolved",
        node,
        { interruptId, kind: suspension.kind, resumeValue, resolvedBy: "langgraph" },
        { taskId },
      );
    }
    this.#tasks.set(taskId, "running");
    this.#push("node.resumed", node, {}, { taskId });
  }

  #endTask({ taskId, node, outputs, interrupts, error }: Extract<ObservedEvent, { kind: "task-ended" }>): void {
    const status = this.#statusOf(taskId);
    if (status === "completed" || status === "failed" || status === "suspended") return;
    if (status === undefined || status === "cancelled") this.#start(taskId, node);
    if (this.#breached) return;
    this.#closeText(node);
    if (error !== null) {
      this.#tasks.set(taskId, "failed");
      this.#push("node.failed", node, { error: nodeError(error) }, { taskId });
    } else if (interrupts.length > 0) {
      this.#wait(taskId, node, interrupts);
    } else {
      this.#tasks.set(taskId, "completed");
      this.#push("node.completed", node, { outputs }, { taskId });
    }
  }

  /** What it asks is told when the LangGraph run has ended; what it has asked before, it waits for again. */
  #wait(taskId: string, node: string, interrupts: Extract<ObservedEvent, { kind: "task-ended" }>["interrupts"]): void {
    for (const { id, value } of interrupts) {
      const isSame = (one: InterruptFold): boolean => one.taskId === taskId && one.langgraphInterruptId === id;
      const asked = this.#context.fold.interrupts.find((one) => isSame(one) && this.#isOpen(one));
      if (asked === undefined) {
        this.#held.push({ taskId, node, langgraphInterruptId: id, value });
        continue;
      }
      const { interruptId, suspension } = asked;
      this.#tasks.set(taskId, "suspended");
      this.#push("node.suspended", node, { interruptId, kind: suspension.kind, key: suspension.key }, { taskId });
    }
  }

  /** Nobody has answered it yet, this attempt neither. */
  #isOpen({ status, interruptId }: InterruptFold): boolean {
    return status === "pending" && !this.#answered.has(interruptId);
  }

  #text({ node, messageId, text, isWhole }: Extract<ObservedEvent, { kind: "text" }>): void {
    const open = this.#openText;
    if (open !== null && (open.node !== node || open.messageId !== messageId)) this.#closeText(open.node);
    const { runId } = this.#context.record;
    this.#push("output.chunk", node, { runId, chunk: text, isLast: isWhole });
    this.#openText = isWhole ? null : { node, messageId };
  }

  #closeText(node: string): void {
    if (this.#openText?.node !== node) return;
    this.#openText = null;
    this.#push("output.chunk", node, { runId: this.#context.record.runId, chunk: "", isLast: true });
  }
}

/** What of a LangGraph resume goes to an interrupt: by its id, or, without ids, to the one that is open. */
function answerTo(langgraphInterruptId: string, resume: JsonValue | undefined): JsonValue | undefined {
  if (resume === undefined) return undefined;
  return isById(resume) ? resume[langgraphInterruptId] : resume;
}

function isById(resume: JsonValue | undefined): resume is JsonObject {
  if (!isJsonObject(resume)) return false;
  const keys = Object.keys(resume);
  return keys.length > 0 && keys.every((key) => /^[0-9a-f]{32}$/.test(key));
}

export function nodeError(message: string): JsonObject {
  return { code: "node_execution_failed", message };
}

/** The run fails of its limit of nodes. */
export function recursionEvents(
  limit: number,
  nodeId: string | null,
  fold: RunFold,
  tasks: ReadonlyMap<string, TaskStatus> = new Map(),
): readonly NewOpenwopEvent[] {
  const node = nodeId === null ? {} : { nodeId };
  const message = `The run may execute ${limit} nodes, and needs more.`;
  return [
    {
      type: "cap.breached",
      ...node,
      payload: { kind: "node-executions", limit, observed: limit + 1, ...node },
    },
    ...cancelledNodes(fold, "recursion_limit_exceeded", tasks),
    { type: "run.failed", payload: { error: { code: "recursion_limit_exceeded", message } } },
  ];
}

/** Of all that is under way or waits. */
export function cancelledNodes(
  fold: RunFold,
  reason: string,
  newer: ReadonlyMap<string, TaskStatus> = new Map(),
): readonly NewOpenwopEvent[] {
  return [...fold.tasks.values()]
    .filter(({ taskId, status: before }) => {
      const status = newer.get(taskId) ?? before;
      return status === "running" || status === "suspended";
    })
    .map(({ taskId, nodeId }) => ({
      type: "node.cancelled",
      nodeId,
      payload: { nodeId, reason },
      hidden: { taskId },
    }));
}
