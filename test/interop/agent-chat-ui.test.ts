/**
 * What langchain-ai/agent-chat-ui calls, in the order of its pages (src/providers/{Stream,Thread}.tsx and
 * src/components/thread of its main branch), through the hook it uses.
 */
import { Client, type Message } from "@langchain/langgraph-sdk";
import { useStream } from "@langchain/langgraph-sdk/react";
import { isRemoveUIMessage, isUIMessage, uiMessageReducer, type UIMessage } from "@langchain/langgraph-sdk/react-ui";
import { useState } from "react";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { human, texts } from "./support/messages.js";
import { renderHook } from "./support/page.js";
import { runStatuses } from "./support/run-status.js";
import { serveProject } from "./support/served-project.js";

interface State extends Record<string, unknown> {
  readonly messages: Message[];
  readonly ui?: UIMessage[];
}

let server: Awaited<ReturnType<typeof serveProject>>;
const pages: { unmount(): Promise<void> }[] = [];
beforeAll(async () => void (server = await serveProject()));
afterEach(async () => {
  for (const page of pages.splice(0)) await page.unmount();
});
afterAll(() => server.close());

async function openPage(options: { readonly threadId?: string; readonly onUi?: (event: unknown) => void } = {}) {
  const page = await renderHook(() => {
    const [threadId, setThreadId] = useState<string | null>(options.threadId ?? null);
    const stream = useStream<State, { CustomEventType: unknown }>({
      apiUrl: server.url,
      assistantId: "chat",
      threadId,
      fetchStateHistory: true,
      onThreadId: setThreadId,
      onCustomEvent: (event, { mutate }) => {
        options.onUi?.(event);
        if (!isUIMessage(event) && !isRemoveUIMessage(event)) return;
        mutate((previous) => ({ ...previous, ui: uiMessageReducer(previous.ui ?? [], event) }));
      },
    });
    // What a page reads while it renders decides what it asks for.
    return Object.assign(stream, { threadId, shown: texts(stream.messages) });
  });
  pages.push(page);
  const idle = async () => {
    await page.until((stream) => !stream.isLoading && !stream.isThreadLoading, "the run's end");
    return page.current;
  };
  /** Whatever is sent: these three go along. */
  const submit = async (input: object | undefined, more: object = {}) => {
    await page.current.submit(input, {
      streamMode: ["values"],
      streamSubgraphs: true,
      streamResumable: true,
      ...more,
    });
    return idle();
  };
  const say = (text: string) => {
    const message = human(text);
    return submit(
      { messages: [message] },
      { optimisticValues: (prev: State) => ({ ...prev, messages: [...(prev.messages ?? []), message] }) },
    );
  };
  return { page, idle, submit, say };
}

it("asks GET /info whether anybody is there, with a key", async () => {
  const response = await fetch(`${server.url}/info`, { headers: { "X-Api-Key": "none" } });
  expect(response.ok).toBe(true);
});

it("chats, and finds its threads again by graph and by assistant", async () => {
  const { page, say } = await openPage();
  await say("hi");
  const stream = await say("again");
  expect(stream.error).toBeUndefined();
  expect(texts(stream.messages)).toEqual(["human: hi", "ai: You said hi", "human: again", "ai: You said again"]);
  const client = new Client({ apiUrl: server.url });
  const [assistant] = await client.assistants.search({ graphId: "chat" });
  for (const metadata of [{ graph_id: "chat" }, { assistant_id: assistant?.assistant_id }]) {
    const threads = await client.threads.search<State>({ metadata, limit: 100 });
    const thread = threads.find(({ thread_id }) => thread_id === page.current.threadId);
    // The list shows the first message.
    expect(texts(thread?.values.messages ?? [])[0]).toBe("human: hi");
  }
});

it("shows components by custom events before the state has them", async () => {
  const events: unknown[] = [];
  const { say } = await openPage({ onUi: (event) => events.push(event) });
  const stream = await say("weather in Oslo");
  const sent = events.find((event) => isUIMessage(event));
  expect(sent).toMatchObject({ type: "ui", name: "weather", props: { city: "Oslo", degrees: 21 } });
  expect(events).toContainEqual({ progress: "answered weather in Oslo" });
  expect(stream.values.ui).toEqual([sent]);
});

it("regenerates and edits from a checkpoint, and switches branches", async () => {
  const { page, say, submit, idle } = await openPage();
  await say("one");
  const answered = await say("two");
  const [, , , answer] = answered.messages;
  const meta = answered.getMessagesMetadata(answer!);
  const checkpoint = meta?.firstSeenState?.parent_checkpoint;
  expect(checkpoint).toBeTruthy();
  const regenerated = await submit(undefined, { checkpoint });
  expect(texts(regenerated.messages)).toEqual(["human: one", "ai: You said one", "human: two", "ai: You said two"]);
  const second = regenerated.messages[3]!;
  expect(second.id).not.toBe(answer!.id);
  const branches = regenerated.getMessagesMetadata(second);
  expect(branches?.branchOptions).toHaveLength(2);
  expect(branches?.branch).toBe(branches?.branchOptions?.[1]);
  regenerated.setBranch(branches!.branchOptions![0]!);
  const switched = await page.until((stream) => stream.messages[3]?.id === answer!.id, "the first branch");
  // A message that is sent from here belongs to this branch.
  const question = switched.getMessagesMetadata(switched.messages[2]!)?.firstSeenState?.parent_checkpoint;
  const edited = await submit({ messages: [human("three")] }, { checkpoint: question });
  expect(texts(edited.messages)).toEqual(["human: one", "ai: You said one", "human: three", "ai: You said three"]);
  const options = edited.getMessagesMetadata(edited.messages[2]!)?.branchOptions;
  expect(options).toHaveLength(2);
  expect((await idle()).history).toHaveLength(6);
});

it.each([
  ["approves", { type: "approve" }, "approve"],
  ["edits", { type: "edit", args: { name: "b.txt" } }, 'edit {"name":"b.txt"}'],
  ["rejects", { type: "reject" }, "reject"],
])("%s a tool call by a command", async (_, decision, told) => {
  const { say, submit } = await openPage();
  const asked = await say("delete it");
  expect(asked.interrupt?.value).toMatchObject({
    action_requests: [{ name: "delete_file", args: { name: "a.txt" } }],
    review_configs: [{ allowed_decisions: ["approve", "edit", "reject"] }],
  });
  const done = await submit({}, { command: { resume: decision } });
  expect(done.interrupt).toBeUndefined();
  expect(texts(done.messages)).toEqual([
    "human: delete it",
    "ai: delete_file()",
    `tool: ${told}`,
    `ai: The tool says: ${told}`,
  ]);
});

it("takes a command to the end", async () => {
  const { say, submit } = await openPage();
  const asked = await say("delete it");
  const left = await submit({}, { command: { goto: "__end__" } });
  expect(left.error).toBeUndefined();
  // LangGraph.js 1.7.3 asks again, with or without a server: the waiting task is still there.
  expect(left.interrupt?.value).toEqual(asked.interrupt?.value);
  expect(texts(left.messages)).toEqual(["human: delete it", "ai: delete_file()"]);
});

it("opens a thread from its address, interrupt included", async () => {
  const { page, say } = await openPage();
  await say("delete it");
  const { page: other } = await openPage({ threadId: page.current.threadId! });
  const opened = await other.until((stream) => stream.messages.length === 2, "the thread");
  expect(opened.interrupt?.value).toMatchObject({ action_requests: [{ name: "delete_file" }] });
});

it("shows what went wrong, and goes on afterwards", async () => {
  const { say } = await openPage();
  const failed = await say("crash");
  expect(String(failed.error)).toContain("The model is out of order");
  const next = await say("hi");
  expect(next.error).toBeUndefined();
  expect(texts(next.messages).at(-1)).toBe("ai: You said hi");
});

it("stops a run while it speaks", async () => {
  const { page, idle } = await openPage();
  void page.current.submit({ messages: [human("slow")] }, { streamMode: ["values"], streamSubgraphs: true });
  await page.until(({ shown }) => shown.at(-1)?.startsWith("ai: tick") === true, "the first token");
  await page.current.stop();
  const stopped = await idle();
  expect(stopped.error).toBeUndefined();
  const client = new Client({ apiUrl: server.url });
  expect(await runStatuses(client, page.current.threadId!, "interrupted")).toEqual(["interrupted"]);
});
