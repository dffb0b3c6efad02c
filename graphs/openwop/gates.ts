import { Command, END, interrupt, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";

/*
 * Fixture workflows of OpenWOP that wait for somebody. Each stops at an ordinary `interrupt()` whose value has OpenWOP's suspend
 * shape, `{kind, key, data, timeoutMs?}`; over LangGraph's API resume them with what OpenWOP calls the resumeValue:
 *   { "command": { "resume": { "action": "accept" } } }
 */

const Decision = z.looseObject({ action: z.string(), feedback: z.string().optional() });

const Decided = new StateSchema({ decision: Decision.nullable().default(null) });

interface ApprovalOptions {
  readonly node: string;
  readonly typeId: string;
  readonly title: string;
  /** More of the interrupt's data. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/** A gate that ends the run when it is rejected, by failing, and goes on otherwise. */
function approvalGraph({ node, typeId, title, data }: ApprovalOptions) {
  return new StateGraph(Decided)
    .addNode(
      node,
      () => {
        const answer: unknown = interrupt({
          kind: "approval",
          key: node,
          data: { artifactId: node, artifactType: "gate", title, actions: ["accept", "reject"], ...data },
        });
        const decision = Decision.parse(answer);
        if (decision.action === "reject") throw new Error(`Rejected: ${decision.feedback ?? "no reason given"}.`);
        return { decision };
      },
      { metadata: { "openwop.typeId": typeId } },
    )
    .addEdge(START, node)
    .addEdge(node, END)
    .compile();
}

/** `conformance-approval`: one decision. */
export const approval = approvalGraph({ node: "gate", typeId: "core.approvalGate", title: "May this run go on?" });

/** `conformance-interrupt-quorum`: three different people must accept. */
export const quorum = approvalGraph({
  node: "gate",
  typeId: "core.approvalGate",
  title: "Three of you must agree",
  data: { requiredApprovals: 3, rejectionPolicy: "majority" },
});

/** `conformance-interrupt-auth-required`: decided only by whom the server knows, never by a link. */
export const authRequired = approvalGraph({
  node: "gate",
  typeId: "core.approvalGate",
  title: "Sign in to decide",
  data: { authRequired: true },
});

/** `conformance-clarification`: asks a question and keeps the answer. */
export const clarification = new StateGraph(
  new StateSchema({ answers: z.record(z.string(), z.json()).nullable().default(null) }),
)
  .addNode(
    "ask",
    () => {
      const answer: unknown = interrupt({
        kind: "clarification",
        key: "ask",
        data: { questions: [{ id: "q1", question: "What should be done?" }] },
      });
      return z.looseObject({ answers: z.record(z.string(), z.json()) }).parse(answer);
    },
    { metadata: { "openwop.typeId": "core.clarificationGate" } },
  )
  .addEdge(START, "ask")
  .addEdge("ask", END)
  .compile();

const EVENT_TIMEOUT_MS = 60_000;

/** `conformance-interrupt-external-event`: waits until this very order is said to be paid. */
export const externalEvent = new StateGraph(new StateSchema({ event: z.json().default(null) }))
  .addNode(
    "wait-for-external",
    () => {
      const event: unknown = interrupt({
        kind: "external-event",
        key: "wait-for-external",
        data: { eventType: "order.updated", correlation: { orderId: "order-1", status: "paid" } },
        timeoutMs: EVENT_TIMEOUT_MS,
      });
      return new Command({ update: { event: z.json().parse(event) } });
    },
    { metadata: { "openwop.typeId": "core.interrupt" }, ends: [END] },
  )
  .addEdge(START, "wait-for-external")
  .addEdge("wait-for-external", END)
  .compile();
