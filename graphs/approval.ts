import { AIMessage } from "@langchain/core/messages";
import { Command, END, interrupt, MessagesValue, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";

/*
 * Human in the loop. The run stops at `review` with the draft; resume it with a decision:
 *   { "command": { "resume": { "type": "approve" } } }
 *   { "command": { "resume": { "type": "edit", "text": "…" } } }
 *   { "command": { "resume": { "type": "reject", "reason": "…" } } }
 */

const Decision = z.discriminatedUnion("type", [
  z.object({ type: z.literal("approve") }),
  z.object({ type: z.literal("edit"), text: z.string() }),
  z.object({ type: z.literal("reject"), reason: z.string().optional() }),
]);

const State = new StateSchema({
  messages: MessagesValue,
  draft: z.string().default(""),
  sent: z.array(z.string()).default(() => []),
});

export const graph = new StateGraph(State)
  .addNode("write", ({ messages }) => ({ draft: `Dear customer, about "${messages.at(-1)?.text ?? ""}": …` }))
  .addNode(
    "review",
    ({ draft }: typeof State.State) => {
      const decision = Decision.parse(interrupt({ question: "May I send this?", draft }));
      if (decision.type === "approve") return new Command({ goto: "send" });
      if (decision.type === "edit") return new Command({ goto: "send", update: { draft: decision.text } });
      const reason = decision.reason ?? "no reason given";
      return new Command({ goto: END, update: { messages: [new AIMessage(`Not sent: ${reason}.`)] } });
    },
    { ends: ["send", END] },
  )
  .addNode("send", ({ draft, sent }) => ({ sent: [...sent, draft], messages: [new AIMessage(`Sent: ${draft}`)] }))
  .addEdge(START, "write")
  .addEdge("write", "review")
  .addEdge("send", END)
  .compile();
