import { v5 } from "uuid";
import { isJsonObject, type JsonObject } from "../../core/json.js";
import { isTerminalType, type LoggedEvent, type OpenwopStatus, payloadOf, textOf } from "./event.js";
import type { RunRecord } from "./run-record.js";
import type { InterruptRules } from "./seams.js";
import type { InterruptFold, LaunchFold, NodeFold, RunError, RunFold, Suspension, TaskFold } from "./snapshot-types.js";

/** Of the LangGraph run that an event calls for: so that it is created once. */
function launchRunId(runId: string, sequence: number): string {
  return v5(`openwop:${sequence}`, runId);
}

type Interrupt = { -readonly [K in keyof InterruptFold]: InterruptFold[K] };

/** A run's log, event by event. */
export class Folding implements RunFold {
  sequence = -1;
  startedAt: string | null = null;
  completedAt: string | null = null;
  lastTimestamp: string | null = null;
  error: RunError | null = null;
  startedNodes = 0;
  diverged = false;
  lastRun: string | null = null;
  readonly superseded = new Set<string>();
  readonly nodes = new Map<string, NodeFold>();
  readonly tasks = new Map<string, TaskFold>();
  readonly #interrupts: Interrupt[] = [];
  #launches: LaunchFold[] = [];
  #ended: OpenwopStatus | null = null;
  #paused = false;
  #running = 0;
  readonly #inherited = new Set<string>();
  /** Answers that tasks have got since they asked last: LangGraph keeps them when the task has ended or asks again. */
  readonly #given = new Map<string, LaunchFold["answers"]>();
  readonly #record: Pick<RunRecord, "runId" | "source">;
  readonly #rules: Pick<InterruptRules, "statusOf">;

  constructor(record: Pick<RunRecord, "runId" | "source">, rules: Pick<InterruptRules, "statusOf">) {
    this.#record = record;
    this.#rules = rules;
  }

  get interrupts(): readonly InterruptFold[] {
    return this.#interrupts;
  }

  get launches(): readonly LaunchFold[] {
    return this.#launches;
  }

  get status(): OpenwopStatus {
    if (this.#ended !== null) return this.#ended;
    if (this.#paused) return "paused";
    const waiting = this.#interrupts.find(({ status }) => status === "pending");
    if (waiting !== undefined && this.#running === 0 && this.#launches.length === 0) {
      return this.#rules.statusOf(waiting.suspension);
    }
    return this.tasks.size > 0 ? "running" : "pending";
  }

  get inherited(): ReadonlyMap<string, readonly string[]> {
    const open = new Map<string, readonly string[]>();
    for (const taskId of this.#inherited) {
      const task = this.tasks.get(taskId);
      if (task !== undefined) open.set(task.nodeId, [...(open.get(task.nodeId) ?? []), taskId]);
    }
    return open;
  }

  /** The next event of the log. */
  apply(event: LoggedEvent): void {
    const { sequence, timestamp, hidden } = event;
    const isInherited = sequence < (this.#record.source?.fromSeq ?? 0);
    this.sequence = sequence;
    this.lastTimestamp = timestamp;
    this.startedAt ??= timestamp;
    const origin = hidden?.langgraphRunId;
    if (origin !== undefined && !isInherited) {
      this.#launches = this.#launches.filter((one) => one.langgraphRunId !== origin);
      this.lastRun = origin;
    }
    if (event.nodeId !== undefined && event.type.startsWith("node.")) this.#node(event, event.nodeId);
    if (event.type.startsWith("interrupt.") || event.type === "approval.received") this.#interrupt(event);
    else if (event.type === "run.started") this.#launch(sequence, "start", {});
    else if (event.type === "replay.diverged") this.diverged ||= !isInherited;
    else if (event.type === "run.paused") this.#paused = !isInherited;
    else if (event.type === "run.resumed") {
      this.#paused = false;
      if (!isInherited) this.#resume(sequence);
    } else if (isTerminalType(event.type)) this.#end(event);
  }

  #launch(sequence: number, kind: LaunchFold["kind"], answers: LaunchFold["answers"]): void {
    const { runId, source } = this.#record;
    // What a fork inherited was told to LangGraph on another thread.
    if (source !== null && sequence > 0 && sequence < source.fromSeq) return;
    this.#launches = [...this.#launches, { sequence, langgraphRunId: launchRunId(runId, sequence), kind, answers }];
  }

  /** With what a pause has kept from beginning: the input, or what was answered; and with the answers of tasks that it has stopped. */
  #resume(sequence: number): void {
    const kept = this.#launches;
    for (const { langgraphRunId } of kept) this.superseded.add(langgraphRunId);
    this.#launches = [];
    const stopped = [...this.#given].filter(([taskId]) => this.tasks.get(taskId)?.status === "cancelled");
    const given = [...stopped.map(([, answers]) => answers), ...kept.map(({ answers }) => answers)];
    const answers: LaunchFold["answers"] = Object.fromEntries(given.flatMap((one) => Object.entries(one)));
    const otherwise = Object.keys(answers).length > 0 ? "answer" : "continue";
    this.#launch(sequence, kept.some(({ kind }) => kind === "start") ? "start" : otherwise, answers);
  }

  #node({ type, timestamp, payload, hidden, sequence }: LoggedEvent, nodeId: string): void {
    const before = this.nodes.get(nodeId);
    const status = NODE_STATUS[type];
    if (status === undefined) return;
    const isInherited = sequence < (this.#record.source?.fromSeq ?? 0);
    if (type === "node.started") this.startedNodes += 1;
    const taskId = hidden?.taskId ?? nodeId;
    if (!isInherited && !this.tasks.has(taskId)) this.#succeed(nodeId);
    const task = this.tasks.get(taskId);
    this.#running += (status === "running" ? 1 : 0) - (task?.status === "running" ? 1 : 0);
    this.tasks.set(taskId, { taskId, nodeId, status });
    const isOver = status === "completed" || status === "failed" || status === "cancelled";
    if (!isOver && isInherited) this.#inherited.add(taskId);
    else this.#inherited.delete(taskId);
    const { outputs, error } = payloadOf({ payload });
    this.nodes.set(nodeId, {
      nodeId,
      status,
      attempt: (before?.attempt ?? 0) + (type === "node.started" || type === "node.retried" ? 1 : 0),
      startedAt: type === "node.started" ? timestamp : (before?.startedAt ?? timestamp),
      completedAt: isOver ? timestamp : null,
      ...(outputs !== undefined && { outputs }),
      ...(isJsonObject(error) && { error: runError(error) }),
    });
    if (status === "suspended" || status === "completed") this.#given.delete(taskId);
    if (isOver) this.#leave(taskId);
  }

  /** A fork's own task takes the place of the one that its source had begun. */
  #succeed(nodeId: string): void {
    const old = this.inherited.get(nodeId)?.[0];
    if (old === undefined) return;
    if (this.tasks.get(old)?.status === "running") this.#running -= 1;
    this.tasks.delete(old);
    this.#inherited.delete(old);
    this.#leave(old);
  }

  /** Nobody asks any more. */
  #leave(taskId: string | null): void {
    for (const one of this.#interrupts) {
      if (one.status === "pending" && (taskId === null || one.taskId === taskId)) one.status = "gone";
    }
  }

  #interrupt(event: LoggedEvent): void {
    const { type, sequence, timestamp, nodeId = "", hidden } = event;
    const payload = payloadOf(event);
    if (type === "interrupt.requested") {
      this.#interrupts.push({
        interruptId: textOf(payload, "interruptId"),
        nodeId,
        taskId: hidden?.taskId ?? nodeId,
        langgraphInterruptId: hidden?.langgraphInterruptId ?? "",
        suspension: suspensionIn(payload),
        status: "pending",
        votes: [],
        requestedAtSequence: sequence,
        requestedAt: timestamp,
        expiresAt: hidden?.expiresAt ?? null,
      });
      return;
    }
    if (type === "approval.received") {
      // By its id: what one was answered with is no vote for another one of the same node.
      const asked = this.#interrupts.find((one) => one.interruptId === payload["interruptId"]);
      if (asked?.status === "pending") asked.votes = [...asked.votes, payload];
      return;
    }
    const answered = this.#interrupts.find((one) => one.interruptId === payload["interruptId"]);
    if (answered === undefined || type !== "interrupt.resolved") return;
    answered.status = "resolved";
    const { taskId, langgraphInterruptId } = answered;
    const answers = { [langgraphInterruptId]: payload["resumeValue"] ?? null };
    if (sequence >= (this.#record.source?.fromSeq ?? 0)) {
      this.#given.set(taskId, { ...this.#given.get(taskId), ...answers });
    }
    if (hidden?.langgraphRunId === undefined) this.#launch(sequence, "answer", answers);
  }

  #end(event: LoggedEvent): void {
    this.#ended = event.type.slice("run.".length) as OpenwopStatus;
    this.completedAt = event.timestamp;
    this.#launches = [];
    const { error } = payloadOf(event);
    if (isJsonObject(error)) this.error = runError(error);
    this.#leave(null);
  }
}

const NODE_STATUS: Readonly<Record<string, NodeFold["status"] | undefined>> = {
  "node.started": "running",
  "node.retried": "running",
  "node.resumed": "running",
  "node.suspended": "suspended",
  "node.completed": "completed",
  "node.failed": "failed",
  "node.cancelled": "cancelled",
};

function runError(error: JsonObject): RunError {
  const { details } = error;
  const [code, message] = [textOf(error, "code"), textOf(error, "message")];
  return { code, message, ...(isJsonObject(details) && { details }) };
}

/** The suspend shape out of a payload that has ids beside it. */
function suspensionIn(payload: JsonObject): Suspension {
  const { data, resumeSchema, timeoutMs } = payload;
  return {
    kind: textOf(payload, "kind"),
    key: textOf(payload, "key"),
    data: isJsonObject(data) ? data : {},
    ...(isJsonObject(resumeSchema) && { resumeSchema }),
    ...(typeof timeoutMs === "number" && { timeoutMs }),
  };
}

/** The newest checkpoint that a fork may begin at: of the state before the event at `fromSeq`. `null`: the very beginning. */
export function checkpointBefore(events: readonly LoggedEvent[], fromSeq: number): string | null {
  const next = events.find((event) => event.sequence >= fromSeq && event.hidden?.taskId !== undefined);
  const started = next?.type === "node.started" ? next.hidden?.checkpointId : undefined;
  // Of nodes that began together the first one tells: when another has done something before, that is not undone.
  const began = events.find((event) => event.type === "node.started" && event.hidden?.checkpointId === started);
  if (started !== undefined && began === next) return started;
  const before = events.findLast((event) => event.sequence < fromSeq && event.hidden?.checkpointId !== undefined);
  return before?.hidden?.checkpointId ?? null;
}
