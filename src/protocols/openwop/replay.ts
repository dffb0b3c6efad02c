import { isJsonObject } from "../../core/json.js";
import type { RecordedNodes, RecordedTask } from "../../core/run-observer.js";
import type { JsonValue } from "../../core/json.js";
import { type LoggedEvent, type NewOpenwopEvent, payloadOf, textOf } from "./event.js";
import { sameJson } from "./same-json.js";
import type { RunFold } from "./snapshot-types.js";

/** One execution of a node in the run that is replayed. */
interface Execution {
  readonly nodeId: string;
  readonly taskId: string;
  readonly interruptIds: string[];
  readonly interruptValues: JsonValue[];
  /** What came between each question and the node's going on. */
  readonly answers: NewOpenwopEvent[][];
  /** What the node said while it ran. */
  readonly said: NewOpenwopEvent[];
  readonly next: string[];
  outputs: JsonValue;
  error: string | null;
  hasEnded: boolean;
}

const ANSWERS: ReadonlySet<string> = new Set(["interrupt.resolved", "approval.received", "clarification.resolved"]);
const SAID: ReadonlySet<string> = new Set(["output.chunk", "langgraph.custom"]);
const NOT_ENDED = "The run that is replayed has no result of this node: a replay calls no node itself.";

/** What a replay takes from the log of the run that it repeats. */
export class Replay {
  readonly #source: readonly LoggedEvent[];
  readonly #sourceRunId: string;
  readonly #byNode = new Map<string, Execution[]>();
  /** Of this run's tasks: which execution each repeats. */
  readonly #places = new Map<string, Execution | null>();

  constructor(sourceRunId: string, source: readonly LoggedEvent[]) {
    this.#source = source;
    this.#sourceRunId = sourceRunId;
    for (const event of source) this.#add(event);
  }

  #add(event: LoggedEvent): void {
    const { type, nodeId, hidden } = event;
    if (nodeId === undefined && !SAID.has(type)) return;
    if (SAID.has(type)) {
      this.#lastOpen(nodeId)?.said.push(copyOf(event));
      return;
    }
    const node = nodeId ?? "";
    const taskId = hidden?.taskId;
    if (type === "node.started" && taskId !== undefined) this.#begin(node, taskId);
    const execution = this.#byNode.get(node)?.find((one) => one.taskId === taskId);
    if (execution === undefined) return;
    if (type === "interrupt.requested") {
      execution.interruptIds.push(textOf(payloadOf(event), "interruptId"));
      execution.interruptValues.push(hidden?.interruptValue ?? null);
      execution.answers.push([]);
    } else if (ANSWERS.has(type)) {
      const question = execution.interruptIds.indexOf(textOf(payloadOf(event), "interruptId"));
      execution.answers[question]?.push(copyOf(event));
    } else if (type === "node.completed" || type === "node.failed") end(execution, event);
  }

  #begin(nodeId: string, taskId: string): void {
    // Those that have ended have led to it.
    for (const one of [...this.#byNode.values()].flat())
      if (one.hasEnded && !one.next.includes(nodeId)) one.next.push(nodeId);
    const execution: Execution = {
      nodeId,
      taskId,
      interruptIds: [],
      interruptValues: [],
      answers: [],
      said: [],
      next: [],
      outputs: {},
      error: null,
      hasEnded: false,
    };
    this.#byNode.set(nodeId, [...(this.#byNode.get(nodeId) ?? []), execution]);
  }

  #lastOpen(nodeId: string | undefined): Execution | undefined {
    const all = nodeId === undefined ? [...this.#byNode.values()].flat() : (this.#byNode.get(nodeId) ?? []);
    return all.findLast(({ hasEnded }) => !hasEnded);
  }

  /** Which execution a task repeats: they are in the same order. */
  #of(nodeId: string, taskId: string, fold: Pick<RunFold, "tasks" | "inherited">): Execution | null {
    const known = this.#places.get(taskId);
    if (known !== undefined) return known;
    // One that the source had begun is what this task repeats.
    const begun = new Set(fold.inherited.get(nodeId));
    const started = [...fold.tasks.values()]
      .filter((task) => task.nodeId === nodeId && !begun.has(task.taskId))
      .map((task) => task.taskId);
    const logged = started.indexOf(taskId);
    const unlogged = [...this.#places].filter(([id, one]) => one?.nodeId === nodeId && !started.includes(id)).length;
    const place = logged === -1 ? started.length + unlogged : logged;
    const execution = this.#byNode.get(nodeId)?.[place] ?? null;
    this.#places.set(taskId, execution);
    return execution;
  }

  /** @param fold how the replay stands */
  recorded(fold: () => Pick<RunFold, "tasks" | "inherited">): RecordedNodes {
    return (node, taskId): RecordedTask => {
      const execution = this.#of(node, taskId, fold());
      if (execution === null) return { interrupts: [], outputs: {}, error: NOT_ENDED, next: [] };
      const { interruptValues: interrupts, outputs, error, next, hasEnded } = execution;
      return { interrupts, outputs, error: hasEnded ? error : NOT_ENDED, next };
    };
  }

  /** The answers that the source got to a task's questions; nothing for one that nobody has answered. */
  answersOf(
    nodeId: string,
    taskId: string,
    question: number,
    fold: Pick<RunFold, "tasks" | "inherited">,
  ): readonly NewOpenwopEvent[] {
    return this.#of(nodeId, taskId, fold)?.answers[question] ?? [];
  }

  /** With what nodes said when they ran, and, once, that it is another course than the source's. Pure. */
  completed(
    events: readonly NewOpenwopEvent[],
    fold: Pick<RunFold, "tasks" | "inherited" | "sequence" | "diverged">,
  ): readonly NewOpenwopEvent[] {
    const whole = events.flatMap((event) => {
      const { type, nodeId, hidden } = event;
      if ((type !== "node.completed" && type !== "node.failed") || nodeId === undefined) return [event];
      const said = this.#of(nodeId, hidden?.taskId ?? "", fold)?.said ?? [];
      const origin = { langgraphRunId: hidden?.langgraphRunId ?? "" };
      return [...said.map((one) => Object.assign({}, one, { hidden: origin })), event];
    });
    if (fold.diverged) return whole;
    const at = whole.findIndex((event, index) => !this.#isSame(event, fold.sequence + 1 + index));
    const other = whole[at];
    if (other === undefined) return whole;
    return [...whole.slice(0, at), this.#diverged(other, fold.sequence + 1 + at), ...whole.slice(at)];
  }

  #isSame(event: NewOpenwopEvent, sequence: number): boolean {
    const before = this.#source[sequence];
    if (before === undefined || before.type !== event.type || before.nodeId !== event.nodeId) return false;
    return sameJson(withoutRun(before), withoutRun(event));
  }

  #diverged(event: NewOpenwopEvent, atSequence: number): NewOpenwopEvent {
    const before = this.#source[atSequence];
    const divergenceKind =
      before === undefined
        ? "extra"
        : before.type === event.type && before.nodeId === event.nodeId
          ? "output"
          : "type-mismatch";
    return { type: "replay.diverged", payload: { sourceRunId: this.#sourceRunId, atSequence, divergenceKind } };
  }
}

function end(execution: Execution, event: LoggedEvent): void {
  const { outputs, error } = payloadOf(event);
  execution.hasEnded = true;
  execution.outputs = outputs ?? {};
  if (event.type === "node.failed") {
    execution.error = isJsonObject(error) ? textOf(error, "message", "failed") : "failed";
  }
}

function copyOf({ type, nodeId, payload }: LoggedEvent): NewOpenwopEvent {
  return { type, payload, ...(nodeId !== undefined && { nodeId }) };
}

/** Payloads of tokens name their run. */
function withoutRun({ type, payload }: Pick<NewOpenwopEvent, "type" | "payload">): JsonValue {
  if (type !== "output.chunk") return payload;
  const { runId: _, ...rest } = payloadOf({ payload });
  return rest;
}
