import { isJsonObject, type JsonObject, parseJsonText } from "../../core/json.js";
import type { ObservedEnd } from "../../core/run-observer.js";
import { clarificationBreach } from "./clarification-cap.js";
import { type HiddenDetails, type NewOpenwopEvent, payloadOf, textOf } from "./event.js";
import type { Replay } from "./replay.js";
import type { RunRecord } from "./run-record.js";
import type { InterruptRules } from "./seams.js";
import type { RunFold } from "./snapshot-types.js";
import { cancelledNodes, type HeldInterrupt, nodeError, recursionEvents } from "./translate.js";

/** LangGraph's own limit of supersteps, where nobody says another. */
const DEFAULT_RECURSION_LIMIT = 25;

/** How a LangGraph run ended, and what its thread waits for. */
export interface EndedRun {
  readonly end: ObservedEnd;
  readonly langgraphRunId: string;
  /** It has executed something, though it may have shown nothing. Default true. */
  readonly hasBegun?: boolean;
  /** None has followed it, as the store says. */
  readonly isLast?: boolean;
  /** Not told of yet. */
  readonly held: readonly HeldInterrupt[];
  /** Nodes are left to run. */
  readonly hasNext: boolean;
  /** First of them. */
  readonly nextNode: string | null;
  /** Of a replay: what was answered. */
  readonly replay?: Replay;
}

/** What the end of a LangGraph run is to the OpenWOP run. Pure; `null`: nothing. */
export function endEvents(
  ended: EndedRun,
  context: {
    readonly record: RunRecord;
    readonly fold: RunFold;
    readonly rules: InterruptRules;
    readonly nowMs: number;
  },
): readonly NewOpenwopEvent[] | null {
  const { end, langgraphRunId, hasBegun = true, held, hasNext, nextNode } = ended;
  const { record, fold } = context;
  if (fold.status === "paused") return null;
  const marked = (events: readonly NewOpenwopEvent[]): readonly NewOpenwopEvent[] =>
    events.map((event) => withHidden(event, { langgraphRunId }));
  switch (end.status) {
    case "error":
    case "timeout":
      return marked(failure(end, context, nextNode));
    case "rolled-back":
      return marked([...cancelledNodes(fold, "rolled back"), cancelled("rolled back")]);
    case "interrupted":
      if (record.pause?.policy === "immediate") {
        // What it was for is left to the resume.
        const isUnseen = fold.launches.some((one) => one.langgraphRunId === langgraphRunId);
        if (!hasBegun && isUnseen) return [pausedEvent(record)];
        return marked([...cancelledNodes(fold, "paused"), pausedEvent(record)]);
      }
      return marked([...cancelledNodes(fold, "cancelled"), cancelled("cancelled")]);
    case "success":
      if (held.length > 0) {
        const breach = clarificationBreach(held, context);
        return breach === null ? suspensions(ended, context) : marked(breach);
      }
      if (fold.interrupts.some(({ status }) => status === "pending") && hasNext) return null;
      // It has been resumed or answered before this could be told.
      if (hasNext && isFollowed(ended, fold)) return null;
      if (hasNext) return marked([{ type: "run.paused", payload: { reason: "breakpoint" } }]);
      return marked([
        ...cancelledNodes(fold, "superseded"),
        { type: "run.completed", payload: { outputs: end.values === undefined ? null : parseJsonText(end.values) } },
      ]);
    default:
      return end.status satisfies never;
  }
}

/** The log calls for another LangGraph run after this one, or has heard of one. */
function isFollowed({ langgraphRunId, isLast = false }: EndedRun, { launches, lastRun }: RunFold): boolean {
  if (launches.some((one) => one.langgraphRunId !== langgraphRunId)) return true;
  return !isLast && launches.length === 0 && lastRun !== null && lastRun !== langgraphRunId;
}

export function pausedEvent({ pause }: RunRecord): NewOpenwopEvent {
  return { type: "run.paused", payload: { reason: pause?.reason ?? null } };
}

function cancelled(reason: string): NewOpenwopEvent {
  return { type: "run.cancelled", payload: { reason, cancelledBy: "langgraph" } };
}

function failure(
  { status, error: text }: ObservedEnd,
  { record, fold }: { readonly record: RunRecord; readonly fold: RunFold },
  nextNode: string | null,
): readonly NewOpenwopEvent[] {
  const { error, message } = errorOf(text);
  if (error === "GraphRecursionError") {
    // An assistant may have one of its own.
    const said = Number(/limit of (\d+)/.exec(message)?.[1] ?? 0);
    return recursionEvents(said || (record.recursionLimit ?? DEFAULT_RECURSION_LIMIT), nextNode, fold);
  }
  const running = [...fold.tasks.values()].filter((task) => task.status === "running");
  if (status === "timeout") {
    // The server may have a shorter one than the run.
    const seconds = Number(/longer than ([\d.]+) s/.exec(message)?.[1] ?? 0);
    const limit = seconds > 0 ? Math.round(seconds * 1_000) : (record.runTimeoutMs ?? 0);
    const [first] = running;
    const node = first === undefined ? {} : { nodeId: first.nodeId };
    return [
      { type: "cap.breached", ...node, payload: { kind: "run-duration", limit, observed: limit + 1, ...node } },
      ...cancelledNodes(fold, "run_timeout"),
      { type: "run.failed", payload: { error: { code: "run_timeout", message } } },
    ];
  }
  const failed = [...fold.tasks.values()].findLast((task) => task.status === "failed") ?? running[0];
  return [
    ...running.map(({ taskId, nodeId }): NewOpenwopEvent => ({
      type: "node.failed",
      nodeId,
      payload: { nodeId, error: nodeError(`${error}: ${message}`) },
      hidden: { taskId },
    })),
    {
      type: "run.failed",
      payload: {
        error: { code: "node_execution_failed", message: `${error}: ${message}` },
        ...(failed !== undefined && { failedNodeId: failed.nodeId }),
      },
    },
  ];
}

function errorOf(text: string | null): { readonly error: string; readonly message: string } {
  const parsed: unknown = text === null ? null : JSON.parse(text);
  const fields: JsonObject = isJsonObject(parsed) ? parsed : {};
  return { error: textOf(fields, "error", "Error"), message: textOf(fields, "message", "The run failed.") };
}

/** `node.suspended`, then what the interrupt asks for; in a replay, then what was answered. */
function suspensions(
  { held, langgraphRunId, replay }: EndedRun,
  { fold, rules, nowMs }: { readonly fold: RunFold; readonly rules: InterruptRules; readonly nowMs: number },
): readonly NewOpenwopEvent[] {
  const asked = fold.interrupts.length;
  const questions = held.map(({ taskId, node, langgraphInterruptId, value }, index) => {
    const interruptId = `int-${asked + index + 1}`;
    const suspension = rules.suspensionOf(value, node);
    const { kind, key, timeoutMs } = suspension;
    const expires = timeoutMs === undefined ? {} : { expiresAt: nowMs + timeoutMs };
    const hidden = { langgraphRunId, taskId, langgraphInterruptId, interruptValue: value, ...expires };
    const suspended: NewOpenwopEvent = {
      type: "node.suspended",
      nodeId: node,
      payload: { nodeId: node, interruptId, kind, key },
      hidden: { langgraphRunId, taskId },
    };
    const requested = rules.requestedEvents({ nodeId: node, interruptId, suspension });
    return [suspended, ...requested.map((event) => withHidden(event, hidden))];
  });
  const answers = held.map(({ taskId, node }, index) => {
    const before = fold.interrupts.filter((one) => one.taskId === taskId).length;
    const given = replay?.answersOf(node, taskId, before, fold) ?? [];
    const interruptId = `int-${asked + index + 1}`;
    // Without a LangGraph run of theirs: they call for one.
    return given.map((event) => {
      const { type, nodeId = node } = event;
      return { type, nodeId, payload: renamed(event, interruptId), hidden: { taskId } };
    });
  });
  return [...questions.flat(), ...answers.flat()];
}

/** The source may have counted its interrupts otherwise. */
function renamed({ payload }: NewOpenwopEvent, interruptId: string): JsonObject {
  const copy = payloadOf({ payload });
  return copy["interruptId"] === undefined ? copy : { ...copy, interruptId };
}

/** What an event says itself counts. */
function withHidden(event: NewOpenwopEvent, hidden: HiddenDetails): NewOpenwopEvent {
  return { ...event, hidden: { ...hidden, ...event.hidden } };
}
