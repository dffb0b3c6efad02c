import type { JsonObject, JsonValue } from "../../core/json.js";

/** How an OpenWOP run stands: a fold of its event log (docs/wire/openwop.md §3.2 RunSnapshot). */
export type OpenwopStatus =
  | "pending"
  | "running"
  | "paused"
  | "waiting-approval"
  | "waiting-input"
  | "waiting-external"
  | "completed"
  | "failed"
  | "cancelled";

export const TERMINAL_TYPES = ["run.completed", "run.failed", "run.cancelled"] as const;
/** How a run ends: exactly one of them, and nothing after it. */
export type TerminalType = (typeof TERMINAL_TYPES)[number];

/** Types of the core that this server writes (§3.2 Events). */
export type CoreEventType =
  | TerminalType
  | "run.started"
  | "run.paused"
  | "run.resumed"
  | "node.started"
  | "node.completed"
  | "node.failed"
  | "node.cancelled"
  | "node.retried"
  | "node.suspended"
  | "node.resumed"
  | "interrupt.requested"
  | "interrupt.resolved"
  | "approval.requested"
  | "approval.received"
  | "clarification.requested"
  | "clarification.resolved"
  | "cap.breached"
  | "replay.diverged"
  | "output.chunk"
  | "log.appended";

/** Of a vendor's own: dotted, its first segment none of OpenWOP's. */
export type VendorEventType = `langgraph.${string}`;

export type EventType = CoreEventType | VendorEventType;

/** An event as clients see it, but for what the log gives it. */
export interface NewOpenwopEvent {
  readonly type: EventType;
  readonly nodeId?: string;
  /** Without times, durations and random ids: replays are compared by it. */
  readonly payload: JsonValue;
  /** `eventId` of what led to it. */
  readonly causationId?: string;
  /** What the server remembers with it, and clients never see. */
  readonly hidden?: HiddenDetails;
}

/** An event document (§3.2 Events). */
export interface OpenwopEvent {
  readonly eventId: string;
  readonly runId: string;
  readonly type: EventType;
  readonly payload: JsonValue;
  /** ISO-8601, UTC; never before that of the event before it. */
  readonly timestamp: string;
  /** From 0, one more each. */
  readonly sequence: number;
  readonly nodeId?: string;
  readonly causationId?: string;
}

/** How an event ties to LangGraph. */
export interface HiddenDetails {
  /** LangGraph's task: the same one when a superstep is executed again. */
  readonly taskId?: string;
  /** LangGraph's own id of an interrupt; the same for several of one task. */
  readonly langgraphInterruptId?: string;
  /** What the graph gave to `interrupt()`. */
  readonly interruptValue?: JsonValue;
  /** Where the thread stands when this has happened: what a branch starts from. */
  readonly checkpointId?: string;
  /** The LangGraph run that it happened in. */
  readonly langgraphRunId?: string;
  /** Where the node sent the graph by a `Command`. */
  readonly goto?: JsonValue;
  /** Until when an interrupt may be answered; absent: for ever. */
  readonly expiresAt?: number;
}

/** As it is kept: record of space {@link EVENTS_SPACE}, collection = runId, key = {@link eventKey}. */
export interface LoggedEvent extends OpenwopEvent {
  readonly hidden?: HiddenDetails;
}

export const EVENTS_SPACE = "openwop-events";

/** @example eventKey(12) // "000000000012" */
export function eventKey(sequence: number): string {
  return String(sequence).padStart(12, "0");
}

export function isTerminalType(type: string): type is TerminalType {
  return TERMINAL_TYPES.some((one) => one === type);
}

/** What clients get of an event. */
export function shownEvent(event: LoggedEvent): OpenwopEvent {
  const { hidden: _, ...shown } = event;
  return shown;
}

/** The terminal statuses: a run that has one never changes again. */
export function isTerminalStatus(status: OpenwopStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** A payload that is an object; of anything else an empty one. */
export function payloadOf(event: Pick<OpenwopEvent, "payload">): JsonObject {
  const { payload } = event;
  return typeof payload === "object" && payload !== null && !Array.isArray(payload) ? (payload as JsonObject) : {};
}

/** A member that is text; of anything else, what is said instead. */
export function textOf(object: JsonObject, member: string, otherwise = ""): string {
  const value = object[member];
  return typeof value === "string" ? value : otherwise;
}
