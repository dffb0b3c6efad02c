import type { RunParts } from "./context.js";
import { isTerminalStatus, type NewOpenwopEvent } from "./event.js";
import type { AnswerOutcome, AnswerRequest } from "./seams.js";
import type { InterruptFold, RunFold } from "./snapshot-types.js";

/** Answers interrupts: of several at once the log takes one. */
export function createAnswering({ context, logs, runRecords, rules, launcher }: RunParts) {
  const { clock, logger } = context;

  return async (
    run: { readonly owner: string; readonly runId: string },
    at: { readonly nodeId: string; readonly interruptId?: string },
    request: AnswerRequest,
  ): Promise<AnswerOutcome> => {
    const record = await runRecords.find(run.owner, run.runId);
    if (record === null) return { kind: "not-found" };
    let outcome: AnswerOutcome = { kind: "not-found" };
    const decision = await logs.decide(record, (fold) => {
      const asked = askedFor(fold, at);
      outcome = refusalOf(asked, fold, clock.now());
      if (asked === undefined || outcome.kind !== "accepted") return null;
      const judgement = rules.judge(asked, request);
      if (judgement.kind === "invalid") {
        outcome = judgement;
        return null;
      }
      if (judgement.kind === "vote") return withCause(judgement.events, asked);
      const { nodeId, interruptId, suspension, taskId } = asked;
      const { resumeValue, events } = judgement;
      const resolved: NewOpenwopEvent = {
        type: "interrupt.resolved",
        nodeId,
        payload: { nodeId, interruptId, kind: suspension.kind, resumeValue, resolvedBy: request.resolvedBy },
        hidden: { taskId },
      };
      return [resolved, ...withCause(events, asked)];
    });
    if (decision.kind === "declined") return outcome;
    const [first] = decision.events;
    const launch = decision.fold.launches.find(({ sequence }) => sequence === first?.sequence);
    try {
      if (launch !== undefined) await launcher.create(record, launch);
    } catch (error) {
      // The answer stands; the sweep makes the graph go on.
      logger.error({ err: error, runId: record.runId }, "an answered run could not go on yet");
    }
    const answered = decision.fold.interrupts.find((one) => one.interruptId === askedId(outcome)) ?? null;
    if (answered === null) return outcome;
    return { kind: "accepted", status: decision.fold.status, interrupt: answered };
  };
}

function askedId(outcome: AnswerOutcome): string | null {
  return outcome.kind === "accepted" ? outcome.interrupt.interruptId : null;
}

function askedFor(
  { interrupts }: RunFold,
  { nodeId, interruptId }: { readonly nodeId: string; readonly interruptId?: string },
): InterruptFold | undefined {
  const ofNode = interrupts.filter((one) => one.nodeId === nodeId);
  if (interruptId !== undefined) return ofNode.find((one) => one.interruptId === interruptId);
  return ofNode.find(({ status }) => status === "pending") ?? ofNode.at(-1);
}

function refusalOf(asked: InterruptFold | undefined, fold: RunFold, nowMs: number): AnswerOutcome {
  if (asked === undefined) return { kind: "not-found" };
  if (asked.status === "resolved") return { kind: "already-resolved" };
  if (asked.status === "gone" || isTerminalStatus(fold.status)) return { kind: "gone" };
  if (asked.expiresAt !== null && nowMs >= asked.expiresAt) return { kind: "expired" };
  return { kind: "accepted", status: fold.status, interrupt: asked };
}

function withCause(events: readonly NewOpenwopEvent[], { taskId }: InterruptFold): readonly NewOpenwopEvent[] {
  return events.map((event) => ({ ...event, hidden: { taskId, ...event.hidden } }));
}
