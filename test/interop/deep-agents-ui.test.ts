/** What langchain-ai/deep-agents-ui calls (src/app/hooks/{useChat,useThreads}.ts of its main branch), through its hook. */
import { type IncomingMessage, request } from "node:http";
import { Client, type Message } from "@langchain/langgraph-sdk";
import { useStream } from "@langchain/langgraph-sdk/react";
import { useState } from "react";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { human, texts } from "./support/messages.js";
import { renderHook } from "./support/page.js";
import { runStatuses } from "./support/run-status.js";
import { serveProject } from "./support/served-project.js";

interface State extends Record<string, unknown> {
  readonly messages: Message[];
  readonly todos?: readonly { readonly id: string; readonly content: string; readonly status: string }[];
  readonly files?: Readonly<Record<string, string>>;
}

let server: Awaited<ReturnType<typeof serveProject>>;
let client: Client;
const pages: { unmount(): Promise<void> }[] = [];
beforeAll(async () => {
  server = await serveProject();
  // Another origin than the page's: the browser asks first whether these headers may be sent.
  client = new Client({
    apiUrl: server.url,
    defaultHeaders: { "Content-Type": "application/json", "X-Api-Key": "key", "x-auth-scheme": "langsmith" },
  });
});
afterEach(async () => {
  for (const page of pages.splice(0)) await page.unmount();
});
afterAll(() => server.close());

async function openPage(assistantId: string, opened: string | null = null) {
  const created: string[] = [];
  const page = await renderHook(() => {
    const [threadId, setThreadId] = useState(opened);
    const stream = useStream<State>({
      assistantId,
      client,
      reconnectOnMount: true,
      threadId,
      onThreadId: setThreadId,
      fetchStateHistory: true,
      onCreated: ({ run_id }) => created.push(run_id),
      // What the page shows is read from the stream, or nothing of it is asked for.
      onFinish: () => {},
    });
    return Object.assign(stream, { threadId, shown: texts(stream.messages) });
  });
  pages.push(page);
  const idle = () =>
    page.until(({ isLoading, isThreadLoading, shown }) => !isLoading && !isThreadLoading && shown.length > 0, "an end");
  const send = (text: string) =>
    page.current.submit(
      { messages: [human(text)] },
      { optimisticValues: (prev: State) => ({ messages: prev.messages ?? [] }), config: { recursion_limit: 100 } },
    );
  return { page, idle, send, created };
}

it("asks with x-auth-scheme, which CORS allows", async () => {
  const preflight = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = {
      origin: "https://ui.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,x-api-key,x-auth-scheme",
    };
    request(`${server.url}/threads/search`, { method: "OPTIONS", headers }, resolve).on("error", reject).end();
  });
  preflight.resume();
  expect([preflight.statusCode, preflight.headers]).toMatchObject([
    204,
    {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": expect.stringContaining("POST") as string,
      "access-control-allow-headers": "content-type,x-api-key,x-auth-scheme",
    },
  ]);
  expect(await client.assistants.search({ graphId: "deep", limit: 100 })).toHaveLength(1);
});

it("finds its assistant by graph and by id", async () => {
  const found = await client.assistants.search({ graphId: "deep", limit: 100 });
  const system = found.find(({ metadata }) => metadata?.["created_by"] === "system");
  expect(system?.graph_id).toBe("deep");
  expect(await client.assistants.get(system!.assistant_id)).toMatchObject({ graph_id: "deep", name: "deep" });
});

it("shows todos, files and the subagent's call, lists the thread by time and status", async () => {
  const [assistant] = await client.assistants.search({ graphId: "deep" });
  const { page, idle, send } = await openPage(assistant!.assistant_id);
  await send("write a report");
  const done = await idle();
  expect(done.error).toBeUndefined();
  expect(done.shown).toEqual([
    "human: write a report",
    "ai: task()",
    "tool: Looms weave cloth",
    "ai: Done, see report.md",
  ]);
  expect(done.values.todos).toEqual([{ id: "1", content: "research", status: "completed" }]);
  expect(done.values.files).toEqual({ "report.md": "Looms weave cloth" });
  const search = { limit: 20, offset: 0, sortBy: "updated_at", sortOrder: "desc" } as const;
  for (const metadata of [{ graph_id: "deep" }, { assistant_id: assistant!.assistant_id }]) {
    const [latest] = await client.threads.search<State>({ ...search, status: "idle", metadata });
    expect(latest).toMatchObject({ thread_id: page.current.threadId, values: { files: done.values.files } });
    expect(await client.threads.search({ ...search, status: "interrupted", metadata })).toEqual([]);
  }
});

it("writes files and todos of a person into the state, and the next run sees them", async () => {
  const { page, idle, send } = await openPage("deep");
  await send("write a report");
  await idle();
  const threadId = page.current.threadId!;
  await client.threads.updateState(threadId, { values: { files: { "mine.md": "by hand" } } });
  await client.threads.updateState(threadId, { values: { todos: [] } });
  const { values } = await client.threads.getState<State>(threadId);
  expect(values).toMatchObject({ files: { "report.md": "Looms weave cloth", "mine.md": "by hand" }, todos: [] });
  await send("once more");
  const done = await idle();
  expect(Object.keys(done.values.files ?? {})).toEqual(["report.md", "mine.md"]);
  expect(done.values.messages).toHaveLength(8);
});

it("steps before a node, goes on, and ends what is left by a command with an empty update", async () => {
  const { page, idle } = await openPage("deep");
  await page.current.submit({ messages: [human("step by step")] }, { interruptBefore: ["tools"] });
  const paused = await idle();
  expect(paused.shown).toEqual(["human: step by step", "ai: task()"]);
  expect(paused.interrupts).toEqual([{ when: "breakpoint" }]);
  await page.current.submit(undefined, { interruptAfter: ["tools"], config: { recursion_limit: 100 } });
  expect((await idle()).shown.at(-1)).toBe("tool: Looms weave cloth");
  await page.current.submit(null, { command: { goto: "__end__", update: null } });
  expect((await idle()).error).toBeUndefined();
  const state = await client.threads.getState<State>(page.current.threadId!);
  expect(state.next).toEqual([]);
});

it("reloads in the middle of a run and shows the rest, with each token once", async () => {
  const { page, send, created } = await openPage("chat");
  void send("slow");
  const ticks = (shown: readonly string[]): number => shown.at(-1)?.match(/tick/g)?.length ?? 0;
  await page.until(({ shown }) => ticks(shown) > 5, "some tokens");
  const threadId = page.current.threadId!;
  await page.unmount();
  const { page: reloaded, idle } = await openPage("chat", threadId);
  const seen: number[] = [];
  await reloaded.until(({ shown }) => {
    const count = ticks(shown);
    if (count !== seen.at(-1)) seen.push(count);
    return count === 400;
  }, "the rest");
  const done = await idle();
  expect(done.error).toBeUndefined();
  expect(done.shown).toEqual(["human: slow", `ai: ${"tick ".repeat(400).trim()}`]);
  // It was followed, not merely read at the end.
  expect(seen.length).toBeGreaterThan(20);
  const runs = await client.runs.list(threadId);
  expect(runs.map(({ run_id, status }) => [run_id, status])).toEqual([[created[0], "success"]]);
});

it("stops what it reconnected to", async () => {
  const { page, send } = await openPage("chat");
  void send("slow");
  await page.until(({ shown }) => shown.at(-1)?.startsWith("ai: tick") === true, "the first token");
  const threadId = page.current.threadId!;
  await page.unmount();
  const { page: reloaded, idle } = await openPage("chat", threadId);
  await reloaded.until(({ shown, isLoading }) => isLoading && shown.at(-1)?.startsWith("ai: tick") === true, "tokens");
  await reloaded.current.stop();
  await idle();
  expect(await runStatuses(client, threadId, "interrupted")).toEqual(["interrupted"]);
});
