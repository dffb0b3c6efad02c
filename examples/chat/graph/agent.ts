import { AIMessage, type BaseMessage, ToolMessage } from "@langchain/core/messages";
import type { StructuredToolInterface } from "@langchain/core/tools";
import {
  Command,
  END,
  interrupt,
  type LangGraphRunnableConfig,
  MessagesValue,
  ReducedValue,
  Send,
  START,
  StateGraph,
  StateSchema,
} from "@langchain/langgraph";
import { ToolNode } from "@langchain/langgraph/prebuilt";
import { z } from "zod";
import { ScriptedModel, type ScriptedModelFields } from "./scripted-model.js";

const todo = z.object({ content: z.string(), status: z.enum(["pending", "in_progress", "completed"]) });
const files = z.record(z.string(), z.string());

export const State = new StateSchema({
  messages: MessagesValue,
  todos: z.array(todo).default(() => []),
  files: new ReducedValue(
    files.default(() => ({})),
    { inputSchema: files, reducer: (all, written) => ({ ...all, ...written }) },
  ),
});

type ToolCall = NonNullable<AIMessage["tool_calls"]>[number];

/** What the human decides about a tool call, in the shape of LangChain's human-in-the-loop middleware. */
interface Review {
  readonly decisions: readonly (
    | { readonly type: "approve" }
    | {
        readonly type: "edit";
        readonly edited_action: { readonly name: string; readonly args: Record<string, unknown> };
      }
    | { readonly type: "reject"; readonly message?: string }
  )[];
}

/**
 * Model and tools in a loop. Each tool call is a task of its own, so that those of one message run side by side and a
 * subagent's stream has a namespace of its own, `tools:<task id>`.
 * @param params.needsApproval names of tools that a human must approve
 * @param params.tokenDelayMs pause before each token, milliseconds
 */
export function createAgent(params: {
  readonly script: ScriptedModelFields["script"];
  readonly tools: StructuredToolInterface[];
  readonly needsApproval: readonly string[];
  readonly tokenDelayMs: number;
}) {
  const { script, tools, needsApproval, tokenDelayMs } = params;
  const send = (calls: readonly ToolCall[]): Send[] => calls.map((call) => new Send("tools", { lg_tool_call: call }));

  return new StateGraph(State)
    .addNode("model", async ({ messages }, config: LangGraphRunnableConfig<{ seed?: number }>) => {
      const seed = config.configurable?.seed ?? 0;
      const model = new ScriptedModel({ script, tokenDelayMs, seed });
      return { messages: [await model.invoke(messages, config)] };
    })
    .addNode(
      "review",
      ({ messages }) => {
        const { message, calls } = lastCalls(messages);
        const asked = calls.filter(({ name }) => needsApproval.includes(name));
        const review = interrupt<unknown, Review>({
          action_requests: asked.map(({ name, args }) => ({ name, args, description: `Shall I call ${name}?` })),
          review_configs: asked.map(({ name }) => ({
            action_name: name,
            allowed_decisions: ["approve", "edit", "reject"],
          })),
        });
        const { reviewed, refusals } = applyReview(calls, asked, review);
        const answer = new AIMessage({
          ...(message.id !== undefined && { id: message.id }),
          content: message.text,
          tool_calls: reviewed,
        });
        const refused = new Set(refusals.map((refusal) => refusal.tool_call_id));
        const left = reviewed.filter(({ id }) => !refused.has(id ?? ""));
        return new Command({
          update: { messages: [answer, ...refusals] },
          goto: left.length > 0 ? send(left) : "model",
        });
      },
      { ends: ["tools", "model"] },
    )
    .addNode("tools", new ToolNode(tools))
    .addEdge(START, "model")
    .addConditionalEdges(
      "model",
      ({ messages }) => {
        const { calls } = lastCalls(messages);
        if (calls.length === 0) return END;
        return calls.some(({ name }) => needsApproval.includes(name)) ? "review" : send(calls);
      },
      ["review", "tools", END],
    )
    .addEdge("tools", "model")
    .compile();
}

function lastCalls(messages: readonly BaseMessage[]): { readonly message: AIMessage; readonly calls: ToolCall[] } {
  const message = messages.at(-1) as AIMessage;
  return { message, calls: message.tool_calls ?? [] };
}

function applyReview(
  calls: readonly ToolCall[],
  asked: readonly ToolCall[],
  { decisions }: Review,
): { readonly reviewed: ToolCall[]; readonly refusals: ToolMessage[] } {
  const refusals: ToolMessage[] = [];
  const reviewed = calls.map((call) => {
    const decision = asked.includes(call) ? decisions[asked.indexOf(call)] : undefined;
    if (decision?.type === "edit") return { ...call, ...decision.edited_action };
    if (decision?.type === "reject") {
      const content = decision.message ?? "Nobody said why.";
      refusals.push(new ToolMessage({ content, name: call.name, tool_call_id: call.id ?? "", status: "error" }));
    }
    return call;
  });
  return { reviewed, refusals };
}
