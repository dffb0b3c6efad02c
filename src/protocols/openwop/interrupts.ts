import type { JsonObject, JsonValue } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";
import { judgeApproval } from "./approvals.js";
import type { NewOpenwopEvent } from "./event.js";
import { schemaCheck } from "./json-schema.js";
import { sameJson } from "./same-json.js";
import type { InterruptRules, Judgement } from "./seams.js";
import type { InterruptFold, Suspension } from "./snapshot-types.js";

/** What the data of an interrupt must hold, by its kind (docs/wire/openwop.md §3.2 Interrupts). */
const REQUIRED_DATA: Readonly<Record<string, readonly string[]>> = {
  approval: ["artifactId", "artifactType", "title", "actions"],
  clarification: ["questions"],
  "external-event": ["eventType", "correlation"],
  custom: ["customKind"],
  "conversation.start": [],
  "conversation.exchange": [],
  "conversation.close": [],
  "low-confidence": [],
};
const MEMBERS = new Set(["kind", "key", "data", "resumeSchema", "timeoutMs"]);
/** Nearly 25 days: timers hold no more. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export function createInterruptRules(): InterruptRules {
  return { suspensionOf, requestedEvents, judge, statusOf };
}

/**
 * What a graph's `interrupt(value)` asks for: the value where it has the suspend shape, which is closed, and anything else as
 * `custom` with the value as its payload.
 */
function suspensionOf(value: JsonValue, nodeId: string): Suspension {
  return (
    suspensionIn(value) ?? {
      kind: "custom",
      key: nodeId,
      data: { customKind: "langgraph.interrupt", payload: value },
    }
  );
}

function suspensionIn(value: JsonValue): Suspension | null {
  if (!isJsonObject(value) || Object.keys(value).some((member) => !MEMBERS.has(member))) return null;
  const { kind, key, data, resumeSchema, timeoutMs } = value;
  if (typeof kind !== "string" || typeof key !== "string" || key === "" || !isJsonObject(data)) return null;
  const required = Object.hasOwn(REQUIRED_DATA, kind) ? REQUIRED_DATA[kind] : undefined;
  if (required === undefined || required.some((member) => data[member] === undefined)) return null;
  if (!hasShape(kind, data)) return null;
  if (resumeSchema !== undefined && !isJsonObject(resumeSchema)) return null;
  if (timeoutMs !== undefined && !isTimeout(timeoutMs)) return null;
  return {
    kind,
    key,
    data,
    ...(resumeSchema === undefined ? {} : { resumeSchema }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function isTimeout(value: JsonValue): value is number {
  return typeof value === "number" && value >= 1 && value <= MAX_TIMEOUT_MS;
}

/** What the answers of this kind are judged by has the type that it needs. */
function hasShape(kind: string, data: JsonObject): boolean {
  if (kind === "approval") {
    const { actions, requiredApprovals = 1, approversList = [] } = data;
    return isTexts(actions) && actions.length > 0 && Number.isInteger(requiredApprovals) && isTexts(approversList);
  }
  if (kind === "clarification") {
    const { questions } = data;
    return Array.isArray(questions) && questions.length > 0 && questions.every((one: JsonValue) => isQuestion(one));
  }
  return kind !== "external-event" || isJsonObject(data["correlation"]);
}

function isTexts(value: JsonValue | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function isQuestion(value: JsonValue): value is JsonObject & { readonly id: string } {
  return isJsonObject(value) && typeof value["id"] === "string" && typeof value["question"] === "string";
}

function requestedEvents({
  nodeId,
  interruptId,
  suspension,
}: Pick<InterruptFold, "nodeId" | "interruptId" | "suspension">): readonly NewOpenwopEvent[] {
  const { data, kind } = suspension;
  const requested: NewOpenwopEvent = {
    type: "interrupt.requested",
    nodeId,
    payload: { nodeId, interruptId, ...suspension },
  };
  if (kind === "approval") {
    return [requested, { type: "approval.requested", nodeId, payload: { nodeId, interruptId, ...data } }];
  }
  if (kind !== "clarification") return [requested];
  const payload = { nodeId, interruptId, questions: data["questions"] ?? [] };
  return [requested, { type: "clarification.requested", nodeId, payload }];
}

/** Custom kinds wait for somebody's input, too ([D]: README.md). */
function statusOf({ kind }: Pick<Suspension, "kind">): "waiting-approval" | "waiting-external" | "waiting-input" {
  if (kind === "approval") return "waiting-approval";
  return kind === "external-event" ? "waiting-external" : "waiting-input";
}

function judge(interrupt: InterruptFold, answer: Parameters<InterruptRules["judge"]>[1]): Judgement {
  const { suspension } = interrupt;
  const { resumeSchema } = suspension;
  const problem = resumeSchema === undefined ? null : (schemaCheck(resumeSchema)?.(answer.resumeValue) ?? null);
  if (problem !== null) return refused(422, `resumeValue does not fit the interrupt's resumeSchema: ${problem}`);
  if (suspension.kind === "approval") return judgeApproval(interrupt, answer);
  if (suspension.kind === "clarification") return judgeClarification(interrupt, answer.resumeValue);
  if (suspension.kind === "external-event") return judgeExternalEvent(interrupt, answer.resumeValue);
  return { kind: "resolved", resumeValue: answer.resumeValue, events: [] };
}

/** Every question has an answer, and there are no others: `{answers: {q1: …}}`, or as a list of `{id, answer}`. */
function judgeClarification({ nodeId, interruptId, suspension }: InterruptFold, value: JsonValue): Judgement {
  const answers = isJsonObject(value) ? answersOf(value["answers"]) : null;
  if (answers === null) {
    return refused(400, "resumeValue.answers must be an object of answers by the questions' ids");
  }
  const { questions } = suspension.data;
  const asked = new Set(Array.isArray(questions) ? questions.filter(isQuestion).map(({ id }) => id) : []);
  const missing = [...asked].filter((id) => !Object.hasOwn(answers, id) || answers[id] === undefined);
  const unknown = Object.keys(answers).filter((id) => !asked.has(id));
  if (missing.length > 0) return refused(400, `resumeValue.answers lacks ${missing.join(", ")}`, { missing });
  if (unknown.length > 0) return refused(400, `Nobody asked ${unknown.join(", ")}`, { unknown });
  const payload = { nodeId, interruptId, answers };
  return {
    kind: "resolved",
    resumeValue: { ...(isJsonObject(value) ? value : {}), answers },
    events: [{ type: "clarification.resolved", nodeId, payload }],
  };
}

function answersOf(value: JsonValue | undefined): JsonObject | null {
  if (isJsonObject(value)) return value;
  if (!Array.isArray(value)) return null;
  const entries = value.flatMap((one: JsonValue) =>
    isJsonObject(one) && typeof one["id"] === "string" ? [[one["id"], one["answer"]] as const] : [],
  );
  return entries.length === value.length ? Object.fromEntries(entries) : null;
}

/** The event has every member of the correlation, with the same value. */
function judgeExternalEvent({ suspension }: InterruptFold, value: JsonValue): Judgement {
  const correlation = suspension.data["correlation"];
  const wanted = Object.entries(isJsonObject(correlation) ? correlation : {});
  const differing = wanted
    .filter(([key, one]) => !isJsonObject(value) || !sameJson(value[key], one))
    .map(([key]) => key);
  if (differing.length === 0) return { kind: "resolved", resumeValue: value, events: [] };
  return refused(422, `The event is another one: it differs in ${differing.join(", ")}`, { correlation: differing });
}

function refused(status: 400 | 422, message: string, details?: JsonObject): Judgement {
  return { kind: "invalid", status, message, ...(details === undefined ? {} : { details }) };
}
