import { type BaseMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import type { Reply } from "./scripted-model.js";

/*
 * What the two models say. A reply depends on what the human asked last and on the results of the tools since then.
 */

const GREETINGS = [
  "Hello! Ask me about the weather, have me write an email, or let me research something.",
  "Good day! I can look up the weather, send an email for you, or research a topic.",
  "Hi there! Weather, email or research: what shall it be?",
];

interface Turn {
  readonly question: string;
  /** Results of each round of tool calls since the question. */
  readonly rounds: readonly (readonly ToolMessage[])[];
}

function turnOf(messages: readonly BaseMessage[]): Turn {
  const start = messages.findLastIndex((message) => HumanMessage.isInstance(message));
  const rounds: ToolMessage[][] = [];
  for (const message of messages.slice(start + 1)) {
    if (!ToolMessage.isInstance(message)) rounds.push([]);
    else rounds.at(-1)?.push(message);
  }
  return { question: messages[start]?.text ?? "", rounds };
}

/** The agent whom the human talks to. */
export function chatScript(messages: readonly BaseMessage[], seed: number): Reply {
  const { question, rounds } = turnOf(messages);
  const [, city] = /weather in (\w+)/i.exec(question) ?? [];
  if (city !== undefined) return weather(city, rounds);
  const [, name] = /email (\w+)/i.exec(question) ?? [];
  if (name !== undefined && rounds.length === 0) return email(name);
  const [, count] = /count to (\d+)/i.exec(question) ?? [];
  if (count !== undefined) return counting(Number(count));
  if (name !== undefined) return afterEmail(rounds);
  const [, topic] = /research (\w+)/i.exec(question) ?? [];
  if (topic !== undefined) return research(topic, rounds);
  if (/\bfail\b/i.test(question)) throw new Error("The model is out of order, as you asked.");
  return GREETINGS[seed % GREETINGS.length] ?? "Hello!";
}

function counting(count: number): Reply {
  return `${Array.from({ length: count }, (_, index) => index + 1).join(" ")} – done.`;
}

function weather(city: string, rounds: Turn["rounds"]): Reply {
  const result = rounds[0]?.[0];
  if (result === undefined) return [{ name: "get_weather", args: { city } }];
  return `The weather: ${result.text}. Take sunglasses with you.`;
}

function email(name: string): Reply {
  const args = { to: `${name.toLowerCase()}@example.com`, subject: "Lunch", body: "Lunch on Friday at noon?" };
  return [{ name: "send_email", args }];
}

function afterEmail(rounds: Turn["rounds"]): Reply {
  const result = rounds[0]?.[0];
  if (result === undefined) return "I did not send it.";
  return result.status === "error" ? `I did not send it: ${result.text}` : `Done. ${result.text}`;
}

function research(topic: string, rounds: Turn["rounds"]): Reply {
  const todos = (...statuses: string[]): Record<string, unknown> => ({
    todos: ["Ask two researchers", "Write the report"].map((content, index) => ({ content, status: statuses[index] })),
  });
  if (rounds.length === 0) return [{ name: "write_todos", args: todos("in_progress", "pending") }];
  if (rounds.length === 1) {
    return ["past", "future"].map((side) => ({
      name: "task",
      args: { subagent_type: "researcher", description: `The ${side} of ${topic}` },
    }));
  }
  if (rounds.length === 2) {
    const notes = (rounds[1] ?? []).map(({ text }) => `- ${text}`).sort();
    return [
      { name: "write_file", args: { path: "report.md", content: [`# ${topic}`, ...notes].join("\n") } },
      { name: "write_todos", args: todos("completed", "completed") },
    ];
  }
  return `The report on ${topic} is in report.md.`;
}

/** A researcher: one look into the library, then its findings. */
export function researcherScript(messages: readonly BaseMessage[]): Reply {
  const { question, rounds } = turnOf(messages);
  if (rounds.length === 0) return [{ name: "look_up", args: { query: question } }];
  return `${question}: ${rounds[0]?.[0]?.text ?? "nothing"} agree that there is much of it.`;
}
