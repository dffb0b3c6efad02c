import { Annotation, END, interrupt, type LangGraphRunnableConfig, START, StateGraph } from "@langchain/langgraph";
import type { HeddleServer } from "../../src/app.js";

export const secret = (of: string): string => `hush-${of}-hush`;
export const SECRETS = [
  "input",
  "state",
  "event",
  "item",
  "context",
  "config",
  "interrupt",
  "answer",
  "error",
  "assistant",
].map(secret);

const State = Annotation.Root({
  note: Annotation<string>(),
  reply: Annotation<string>(),
  answer: Annotation<string>(),
});

/** Writes secrets wherever a graph can. */
export const diary = new StateGraph(State)
  .addNode("write", async (state, config: LangGraphRunnableConfig) => {
    await config.store?.put(["people", "ann"], "diary", { kind: "note", text: secret("item") });
    config.writer?.({ token: secret("event") });
    if (state.note === "fail") throw new Error(secret("error"));
    return { reply: secret("state") };
  })
  .addNode("ask", async () => ({ answer: String(interrupt(secret("interrupt"))) }))
  .addEdge(START, "write")
  .addEdge("write", "ask")
  .addEdge("ask", END);

export async function call(server: HeddleServer, method: string, path: string, body?: object): Promise<string> {
  const init = { method, headers: { "content-type": "application/json" }, ...(body && { body: JSON.stringify(body) }) };
  const response = await server.fetch(new Request(`http://localhost${path}`, init));
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text;
}

const MODES = ["values", "updates", "custom", "debug", "checkpoints", "tasks"];

/** Runs that fail, wait for an answer, get one; a copy of their thread. @returns what a client reads back */
export async function use(server: HeddleServer): Promise<{ readonly threadId: string; readonly read: string }> {
  const created = await call(server, "POST", "/assistants", {
    graph_id: "diary",
    context: { about: secret("assistant") },
  });
  const { assistant_id: assistantId } = JSON.parse(created) as { assistant_id: string };
  const { thread_id: threadId } = JSON.parse(await call(server, "POST", "/threads", {})) as { thread_id: string };
  const stream = (body: object) =>
    call(server, "POST", `/threads/${threadId}/runs/stream`, {
      assistant_id: assistantId,
      stream_mode: MODES,
      stream_resumable: true,
      ...body,
    });
  const streams = [
    await stream({ input: { note: "fail" }, context: { token: secret("context") } }),
    await stream({ input: { note: secret("input") }, config: { configurable: { password: secret("config") } } }),
    await stream({ command: { resume: secret("answer") } }),
  ];
  const copied = JSON.parse(await call(server, "POST", `/threads/${threadId}/copy`)) as { thread_id: string };
  const read = await Promise.all([
    call(server, "GET", `/threads/${threadId}`),
    call(server, "GET", `/threads/${threadId}/state`),
    call(server, "POST", `/threads/${threadId}/history`, { limit: 100 }),
    call(server, "GET", `/threads/${threadId}/runs`),
    call(server, "POST", "/threads/search", {}),
    call(server, "POST", `/threads/${copied.thread_id}/history`, { limit: 100 }),
    call(server, "GET", `/assistants/${assistantId}`),
    call(server, "POST", "/store/items/search", { namespace_prefix: ["people"] }),
  ]);
  return { threadId, read: [...streams, ...read].join("\n") };
}

export const secretsIn = (text: string): readonly string[] => SECRETS.filter((each) => text.includes(each));
