import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { Command, type LangGraphRunnableConfig } from "@langchain/langgraph";
import { z } from "zod";
import { createAgent } from "./agent.js";
import { chatScript, researcherScript } from "./scripts.js";

const tokenDelayMs = Number(process.env["CHAT_TOKEN_DELAY_MS"] ?? 40);

/** The id of the call that runs a tool, which its answer must carry. */
const callId = (config: unknown): string => (config as { toolCall: { id: string } }).toolCall.id;

const lookUp = tool(({ query }) => `three books about “${query}”`, {
  name: "look_up",
  description: "Looks into the library.",
  schema: z.object({ query: z.string() }),
});

const researcher = createAgent({ script: researcherScript, tools: [lookUp], needsApproval: [], tokenDelayMs });

const task = tool(
  async ({ description }, config: LangGraphRunnableConfig) => {
    const { messages } = (await researcher.invoke({ messages: [new HumanMessage(description)] }, config)) as {
      messages: HumanMessage[];
    };
    return messages.at(-1)?.text ?? "";
  },
  {
    name: "task",
    description: "Gives work to a subagent.",
    schema: z.object({ subagent_type: z.enum(["researcher"]), description: z.string() }),
  },
);

const getWeather = tool(({ city }) => `18 °C and sunny in ${city}`, {
  name: "get_weather",
  description: "The weather of a city.",
  schema: z.object({ city: z.string() }),
});

const sendEmail = tool(({ to, subject }) => `Sent “${subject}” to ${to}.`, {
  name: "send_email",
  description: "Sends an email. A human must approve it.",
  schema: z.object({ to: z.string(), subject: z.string(), body: z.string() }),
});

const writeTodos = tool(
  ({ todos }, config) =>
    new Command({
      update: {
        todos,
        messages: [
          new ToolMessage({ content: `${todos.length} todos.`, name: "write_todos", tool_call_id: callId(config) }),
        ],
      },
    }),
  {
    name: "write_todos",
    description: "Replaces the list of todos.",
    schema: z.object({
      todos: z.array(z.object({ content: z.string(), status: z.enum(["pending", "in_progress", "completed"]) })),
    }),
  },
);

const writeFile = tool(
  ({ path, content }, config) =>
    new Command({
      update: {
        files: { [path]: content },
        messages: [new ToolMessage({ content: `Wrote ${path}.`, name: "write_file", tool_call_id: callId(config) })],
      },
    }),
  {
    name: "write_file",
    description: "Writes a file.",
    schema: z.object({ path: z.string(), content: z.string() }),
  },
);

export const graph = createAgent({
  script: chatScript,
  tools: [getWeather, sendEmail, writeTodos, writeFile, task],
  needsApproval: ["send_email"],
  tokenDelayMs,
});
