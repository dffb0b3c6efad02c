import { HumanMessage, ToolMessage, type BaseMessage } from "@langchain/core/messages";
import { createAgent, tool } from "langchain";
import { z } from "zod";
import { ScriptedChatModel, type Reply } from "./models/scripted-chat-model.js";

/*
 * A tool-calling chat agent. Ask it "What is 6 times 7?" or "How is the weather in Oslo and Rome?".
 * Replace `model` by `new ChatOpenAI(…)` or any other chat model, and it is a real one.
 */

const calculate = tool(({ a, b, operator }) => String(operations[operator](a, b)), {
  name: "calculate",
  description: "Calculate with two numbers.",
  schema: z.object({ a: z.number(), b: z.number(), operator: z.enum(["plus", "minus", "times"]) }),
});

const getWeather = tool(({ city }) => `${city}: ${["sunny", "rain", "snow"][city.length % 3]}`, {
  name: "get_weather",
  description: "The weather in a city.",
  schema: z.object({ city: z.string() }),
});

const operations = {
  plus: (a: number, b: number) => a + b,
  minus: (a: number, b: number) => a - b,
  times: (a: number, b: number) => a * b,
};

/** Stands in for a language model: looks at the last messages and says what a model would. */
function script(messages: readonly BaseMessage[]): Reply {
  const asked = messages.findLastIndex((message) => HumanMessage.isInstance(message));
  const results = messages.slice(asked + 1).filter((message) => ToolMessage.isInstance(message));
  if (results.length > 0) return `Here is what I found. ${results.map(({ text }) => text).join("; ")}.`;

  const question = messages[asked]?.text ?? "";
  const sum = /(-?\d+) (plus|minus|times) (-?\d+)/.exec(question);
  if (sum !== null) return [{ name: "calculate", args: { a: Number(sum[1]), operator: sum[2], b: Number(sum[3]) } }];
  const [, cities] = /weather in ([^?.!]+)/i.exec(question) ?? [];
  if (cities !== undefined)
    return cities.split(/,| and /).map((city) => ({ name: "get_weather", args: { city: city.trim() } }));
  return `You said: ${question || "nothing"}. Ask me for a sum or for the weather in a city.`;
}

const model = new ScriptedChatModel({ script });

export const graph = createAgent({ model, tools: [calculate, getWeather] });
