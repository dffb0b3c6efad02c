import type { JsonObject, JsonValue } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";
import type { NewOpenwopEvent } from "./event.js";
import type { AnswerRequest, Judgement } from "./seams.js";
import type { InterruptFold } from "./snapshot-types.js";

/** Actions that let the run go on as the approver wants it. */
const ACCEPTING = new Set(["accept", "edit-accept"]);

/**
 * What a decision does. One approver decides, or as many different ones as `requiredApprovals` says must accept. Who votes is whom
 * `decidedBy` names, as everybody who reaches a run is of one owner (README.md), and else who sends it; a second vote of one counts for
 * nothing. `rejectionPolicy` `single-veto` (the default): one rejection decides; `majority`: as many rejections as would have been
 * approvals, or so many votes against it that of `approversList` too few are left. Fewer approvals than `requiredApprovals` never accept.
 */
export function judgeApproval(interrupt: InterruptFold, { resumeValue, resolvedBy }: AnswerRequest): Judgement {
  const decision = isJsonObject(resumeValue) ? resumeValue : {};
  const { data } = interrupt.suspension;
  const action = decision["action"];
  const allowed = actionsOf(data);
  if (typeof action !== "string" || !allowed.includes(action)) {
    return refused(400, `resumeValue.action must be one of ${allowed.join(", ")}`, { actions: allowed });
  }
  if (action === "edit-accept" && decision["editedArtifactData"] === undefined) {
    return refused(400, "resumeValue.editedArtifactData is what edit-accept accepts, and is missing");
  }
  const decidedBy = nameOf(decision["decidedBy"]) ?? resolvedBy;
  const approvers = textsOf(data["approversList"]);
  if (approvers.length > 0 && !approvers.includes(decidedBy)) {
    return refused(422, `${decidedBy} is not among the approvers of this interrupt`);
  }
  const required = Math.max(1, Number(data["requiredApprovals"] ?? 1));
  if (required > 1 && interrupt.votes.some((vote) => vote["decidedBy"] === decidedBy)) {
    return { kind: "vote", events: [] };
  }
  const received = receivedEvent(interrupt, { action, decidedBy, feedback: decision["feedback"] });
  const actions = [...interrupt.votes.map((vote) => vote["action"]), action];
  const accepted = actions.filter(isAccepting).length;
  const rejected = actions.filter((one) => one === "reject").length;
  const isAgainst = !isAccepting(action);
  const isHopeless = approvers.length > 0 && new Set(approvers).size - (actions.length - accepted) < required;
  const isVetoed = rejected > 0 && data["rejectionPolicy"] !== "majority";
  const isRefused = isAgainst && (rejected >= required || isHopeless || isVetoed);
  // To refine is to send it back to the graph, which nobody has to agree to.
  const isFinal = required === 1 || accepted >= required || isRefused || action === "refine";
  if (!isFinal) return { kind: "vote", events: [received] };
  const votes = [...interrupt.votes.map(voteOf), { action, decidedBy }];
  return {
    kind: "resolved",
    resumeValue: { ...decision, decidedBy, ...(required > 1 && { votes }) },
    events: [received],
  };
}

function isAccepting(action: JsonValue | undefined): boolean {
  return typeof action === "string" && ACCEPTING.has(action);
}

/** An `edit` among the actions is answered by `edit-accept`; `ask` leaves the gate closed and is answered elsewhere. */
function actionsOf(data: JsonObject): readonly string[] {
  const actions = textsOf(data["actions"]).filter((one) => one !== "ask");
  return actions.map((one) => (one === "edit" ? "edit-accept" : one));
}

function receivedEvent(
  { nodeId, interruptId }: InterruptFold,
  decision: { readonly action: string; readonly decidedBy: string; readonly feedback: JsonValue | undefined },
): NewOpenwopEvent {
  const { action, decidedBy, feedback } = decision;
  const payload = { nodeId, interruptId, action, decidedBy, ...(feedback === undefined ? {} : { feedback }) };
  return { type: "approval.received", nodeId, payload };
}

function voteOf(vote: JsonObject): JsonObject {
  return { action: vote["action"], decidedBy: vote["decidedBy"] };
}

function textsOf(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function nameOf(value: JsonValue | undefined): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function refused(status: 400 | 422, message: string, details?: JsonObject): Judgement {
  return { kind: "invalid", status, message, ...(details === undefined ? {} : { details }) };
}
