/** `useStream` of @langchain/langgraph-sdk 1.15.0 over run streams: what no front end of the other files asks for. */
import { Client, type Message } from "@langchain/langgraph-sdk";
import { useStream, type UseStreamOptions } from "@langchain/langgraph-sdk/react";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { human, texts } from "./support/messages.js";
import { renderHook } from "./support/page.js";
import { runStatuses } from "./support/run-status.js";
import { serveProject } from "./support/served-project.js";

interface State extends Record<string, unknown> {
  readonly messages: Message[];
}

let server: Awaited<ReturnType<typeof serveProject>>;
let client: Client;
const pages: { unmount(): Promise<void> }[] = [];
beforeAll(async () => {
  server = await serveProject();
  client = new Client({ apiUrl: server.url });
});
afterEach(async () => {
  for (const page of pages.splice(0)) await page.unmount();
});
afterAll(() => server.close());

interface Subagent {
  readonly status: string;
  readonly result: string | null;
  readonly messages: Message[];
}

async function openPage(
  assistantId: string,
  options: Partial<UseStreamOptions<State>> &
    Partial<Record<"subagentToolNames" | "filterSubagentMessages", unknown>> = {},
  withSubagents: boolean = false,
) {
  const frames: string[][] = [];
  const seen: { threadId?: string } = {};
  const page = await renderHook(() => {
    const stream = useStream<State>({
      apiUrl: server.url,
      assistantId,
      onThreadId: (threadId: string) => void (seen.threadId = threadId),
      ...options,
    });
    const shown = [...texts(stream.messages)];
    frames.push(shown);
    // A page that shows subagents reads them while it renders; the hook's type has them for deep agents only.
    const subagents = withSubagents ? (Reflect.get(stream, "subagents") as ReadonlyMap<string, Subagent>) : new Map();
    return Object.assign(stream, { shown, subagentsShown: [...subagents.values()] as readonly Subagent[] });
  });
  pages.push(page);
  const idle = () => page.until(({ isLoading, shown }) => !isLoading && shown.length > 0, "the run's end");
  return { page, idle, frames, seen };
}

it("grows an answer token by token, without a token twice or out of place", async () => {
  const { page, idle, frames } = await openPage("chat");
  const text = "a sentence of a few words";
  await page.current.submit({ messages: [human(text)] });
  await idle();
  const answers = [...new Set(frames.map((frame) => frame[1] ?? ""))].filter((answer) => answer.startsWith("ai: "));
  expect(answers.at(-1)).toBe(`ai: You said ${text}`);
  expect(answers.length).toBeGreaterThan(3);
  // Each is the beginning of the next.
  expect(answers.every((answer, i) => i === 0 || answer.startsWith(answers[i - 1]!.trimEnd()))).toBe(true);
});

it("calls back for each mode that somebody listens to", async () => {
  const heard = new Map<string, unknown[]>();
  const listen = (name: string) => (data: unknown) => void heard.set(name, [...(heard.get(name) ?? []), data]);
  const { page, idle } = await openPage("chat", {
    onUpdateEvent: listen("updates"),
    onCustomEvent: listen("custom"),
    onMetadataEvent: listen("metadata"),
    onLangChainEvent: listen("events"),
    onDebugEvent: listen("debug"),
    onCheckpointEvent: listen("checkpoints"),
    onTaskEvent: listen("tasks"),
    onCreated: listen("created"),
    onFinish: listen("finished"),
  });
  await page.current.submit({ messages: [human("hi")] });
  await idle();
  const [created] = heard.get("created") as [{ run_id: string; thread_id: string }];
  expect(heard.get("metadata")).toEqual([expect.objectContaining({ run_id: created.run_id })]);
  expect(heard.get("updates")).toEqual([
    { model: { messages: [expect.objectContaining({ content: "You said hi" })] } },
  ]);
  expect(heard.get("custom")).toEqual([{ progress: "answered hi" }]);
  const events = (heard.get("events") as { event: string }[]).map(({ event }) => event);
  expect(events.filter((event) => event === "on_chat_model_stream").length).toBeGreaterThan(2);
  expect((heard.get("debug") as { type: string }[]).map(({ type }) => type)).toEqual(
    expect.arrayContaining(["checkpoint", "task", "task_result"]),
  );
  expect(heard.get("checkpoints")?.at(-1)).toMatchObject({
    next: [],
    config: { configurable: { thread_id: created.thread_id } },
  });
  expect(heard.get("tasks")).toEqual([
    expect.objectContaining({ name: "model", triggers: expect.any(Array) as unknown }),
    expect.objectContaining({ name: "model", result: expect.anything() as unknown }),
  ]);
  expect(heard.get("finished")).toHaveLength(1);
});

it("keeps a subagent's messages apart from the root's", async () => {
  const options = { subagentToolNames: ["task"], filterSubagentMessages: true };
  const { page, idle } = await openPage("deep", options, true);
  await page.current.submit({ messages: [human("write a report")] }, { streamSubgraphs: true });
  const done = await idle();
  expect(done.shown).toEqual([
    "human: write a report",
    "ai: task()",
    "tool: Looms weave cloth",
    "ai: Done, see report.md",
  ]);
  const [subagent] = done.subagentsShown;
  expect(subagent).toMatchObject({ status: "complete", result: "Looms weave cloth" });
  expect(texts(subagent?.messages ?? [])).toContain("ai: Looms weave cloth");
});

it("interrupts its own run by the next message", async () => {
  const { page, idle, seen } = await openPage("chat", { fetchStateHistory: true });
  void page.current.submit({ messages: [human("slow")] }, { onDisconnect: "continue" });
  await page.until(({ shown }) => shown.at(-1)?.startsWith("ai: tick") === true, "the first token");
  await page.current.submit({ messages: [human("hi")] }, { multitaskStrategy: "interrupt" });
  const done = await page.until(
    ({ shown, isLoading }) => !isLoading && shown.at(-1) === "ai: You said hi",
    "an answer",
  );
  expect(done.error).toBeUndefined();
  await idle();
  const runs = await client.runs.list(seen.threadId!);
  expect(runs.map(({ status }) => status)).toEqual(["success", "interrupted"]);
});

it("joins a run that somebody else started", async () => {
  const { thread_id } = await client.threads.create();
  const { run_id } = await client.runs.create(thread_id, "chat", {
    input: { messages: [human("joined from elsewhere")] },
    streamMode: ["messages-tuple", "values"],
    streamResumable: true,
  });
  const { page, idle } = await openPage("chat", { threadId: thread_id });
  await page.current.joinStream(run_id);
  expect((await idle()).shown).toEqual(["human: joined from elsewhere", "ai: You said joined from elsewhere"]);
  expect(await runStatuses(client, thread_id, "success")).toEqual(["success"]);
});

it("makes a thread of its own id, with metadata", async () => {
  const { page, idle, seen } = await openPage("chat");
  const threadId = crypto.randomUUID();
  await page.current.submit({ messages: [human("hi")] }, { threadId, metadata: { from: "a page" } });
  await idle();
  expect(seen.threadId).toBe(threadId);
  expect((await client.threads.get(threadId)).metadata).toMatchObject({ from: "a page", graph_id: "chat" });
  page.current.switchThread(null);
  await page.until(({ shown }) => shown.length === 0, "an empty thread");
});
