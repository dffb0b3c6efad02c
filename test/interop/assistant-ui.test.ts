/** `@assistant-ui/react-langgraph` 0.14.12, the published package: its runtime, its stream and its hooks. */
import type { RemoteThreadListAdapter } from "@assistant-ui/core";
import { AssistantRuntimeProvider } from "@assistant-ui/core/react";
import {
  type LangChainMessage,
  unstable_createLangGraphStream as createLangGraphStream,
  useLangGraphInterruptState,
  useLangGraphRuntime,
  useLangGraphSendCommand,
  useLangGraphState,
  useLangGraphUIMessages,
  type UseLangGraphRuntimeOptions,
} from "@assistant-ui/react-langgraph";
import { Client, type StreamMode, type Thread } from "@langchain/langgraph-sdk";
import { createElement } from "react";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { renderHook } from "./support/page.js";
import { runStatuses } from "./support/run-status.js";
import { serveProject } from "./support/served-project.js";

interface State {
  readonly messages: LangChainMessage[];
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

/** A page as assistant-ui's LangGraph template makes it. */
async function openPage(
  options: { readonly streamMode?: StreamMode[]; readonly threads?: RemoteThreadListAdapter } = {},
) {
  const stream = createLangGraphStream({
    client,
    assistantId: "chat",
    ...(options.streamMode && { streamMode: options.streamMode }),
  });
  const seen: { inside?: ReturnType<typeof useInside>; threadId?: string; errors: unknown[]; others: string[] } = {
    errors: [],
    others: [],
  };
  function useInside() {
    return {
      interrupt: useLangGraphInterruptState(),
      sendCommand: useLangGraphSendCommand(),
      state: useLangGraphState(),
      ui: useLangGraphUIMessages(),
    };
  }
  function Inside(): null {
    seen.inside = useInside();
    return null;
  }
  const runtimeOptions: UseLangGraphRuntimeOptions = {
    stream,
    ...(options.threads && { unstable_threadListAdapter: options.threads }),
    unstable_allowCancellation: true,
    create: async () => {
      const { thread_id } = await client.threads.create();
      seen.threadId = thread_id;
      return { externalId: thread_id };
    },
    load: async (threadId) => {
      const { values, tasks } = await client.threads.getState<State>(threadId);
      return { messages: values.messages, interrupts: tasks[0]?.interrupts ?? [] };
    },
    getCheckpointId: async (threadId, parents) => {
      const history = await client.threads.getHistory<State>(threadId);
      const ids = (messages: readonly LangChainMessage[] | undefined) => (messages ?? []).map(({ id }) => id).join();
      return history.find(({ values }) => ids(values.messages) === ids(parents))?.checkpoint.checkpoint_id ?? null;
    },
    eventHandlers: {
      onError: (error) => void seen.errors.push(error),
      // Without it each is a warning on the console.
      onCustomEvent: (name) => void seen.others.push(name),
    },
  };
  const page = await renderHook(
    () => useLangGraphRuntime(runtimeOptions),
    (runtime) => createElement(AssistantRuntimeProvider, { runtime, children: createElement(Inside) }),
  );
  pages.push(page);
  const shown = (): readonly string[] =>
    page.current.thread
      .getState()
      .messages.map(({ role, content }) =>
        [
          `${role}:`,
          ...content.map((part) =>
            part.type === "text" ? part.text : part.type === "tool-call" ? `${part.toolName}()` : part.type,
          ),
        ].join(" "),
      );
  const idle = async () => {
    await page.until(() => !page.current.thread.getState().isRunning && shown().length > 0, "the run's end");
    return shown();
  };
  const say = async (text: string) => {
    const before = shown().length;
    page.current.thread.append(text);
    await page.until(() => shown().length > before + 1, "an answer");
    return idle();
  };
  return { page, seen, say, idle, shown };
}

it.each([
  ["messages, updates and custom events, its default", {}, false],
  ["tuples and values", { streamMode: ["messages-tuple", "values", "updates", "custom"] as StreamMode[] }, true],
])("chats in %s", async (_, options, withState) => {
  const { say, seen } = await openPage(options);
  expect(await say("hi")).toEqual(["user: hi", "assistant: You said hi"]);
  expect(await say("again")).toEqual([
    "user: hi",
    "assistant: You said hi",
    "user: again",
    "assistant: You said again",
  ]);
  expect(seen.errors).toEqual([]);
  const { values } = await client.threads.getState<State>(seen.threadId!);
  expect(values.messages.map(({ content }) => content)).toEqual(["hi", "You said hi", "again", "You said again"]);
  expect(seen.inside?.state).toEqual(withState ? values : undefined);
});

it("shows an interrupt and resumes it by a command", async () => {
  const { say, idle, page, seen } = await openPage();
  expect(await say("delete it")).toEqual(["user: delete it", "assistant: delete_file()"]);
  await page.until(() => seen.inside?.interrupt !== undefined, "the interrupt");
  expect(seen.inside?.interrupt?.value).toMatchObject({ action_requests: [{ name: "delete_file" }] });
  // The type says string; what is sent is the graph's own.
  await seen.inside?.sendCommand({ resume: { type: "approve" } as unknown as string });
  expect((await idle()).at(-1)).toContain("The tool says: approve");
  await page.until(() => seen.inside?.interrupt === undefined, "no interrupt");
});

it("lists the server's threads and opens one, interrupt included", async () => {
  const metadata = { list: crypto.randomUUID() };
  const { thread_id } = await client.threads.create({ metadata });
  await client.runs.wait(thread_id, "chat", { input: { messages: [{ type: "human", content: "delete it" }] } });
  const itemOf = (thread: Thread) => ({
    remoteId: thread.thread_id,
    externalId: thread.thread_id,
    status: "regular" as const,
  });
  const none = async (): Promise<void> => {};
  const { page, seen, shown } = await openPage({
    threads: {
      list: async () => ({ threads: (await client.threads.search({ metadata })).map(itemOf) }),
      fetch: async (id) => itemOf(await client.threads.get(id)),
      initialize: async () => itemOf(await client.threads.create()),
      delete: (id) => client.threads.delete(id),
      rename: async (id, title) => void (await client.threads.update(id, { metadata: { title } })),
      archive: none,
      unarchive: none,
      generateTitle: () => Promise.reject(new Error("not asked for")),
    },
  });
  await page.until(() => page.current.threads.getState().threadIds.length === 1, "the list");
  await page.current.threads.switchToThread(page.current.threads.getState().threadIds[0]!);
  await page.until(() => shown().length === 2 && seen.inside?.interrupt !== undefined, "the thread");
  expect(shown()).toEqual(["user: delete it", "assistant: delete_file()"]);
  expect(seen.inside?.interrupt?.value).toMatchObject({ action_requests: [{ name: "delete_file" }] });
});

it("collects the components of the graph", async () => {
  const { say, page, seen } = await openPage();
  await say("weather in Oslo");
  await page.until(() => seen.inside?.ui.length === 1, "a component");
  expect(seen.inside?.ui).toMatchObject([{ type: "ui", name: "weather", props: { city: "Oslo" } }]);
});

it("edits and reloads from the checkpoint that it looked up", async () => {
  const { say, page, idle, seen, shown } = await openPage({ streamMode: ["messages-tuple", "values"] });
  await say("one");
  await say("two");
  const messages = page.current.thread.getState().messages;
  page.current.thread.append({ parentId: messages[1]!.id, role: "user", content: [{ type: "text", text: "three" }] });
  const edited = ["user: one", "assistant: You said one", "user: three", "assistant: You said three"];
  await page.until(() => shown().at(-1) === edited[3], "an edit");
  expect(await idle()).toEqual(edited);
  const { values } = await client.threads.getState<State>(seen.threadId!);
  expect(values.messages.map(({ content }) => content)).toEqual(["one", "You said one", "three", "You said three"]);
  const answer = page.current.thread.getState().messages[3]!.id;
  page.current.thread.startRun({ parentId: page.current.thread.getState().messages[2]!.id });
  await page.until(() => {
    const last = page.current.thread.getState().messages[3];
    return last !== undefined && last.id !== answer;
  }, "another answer");
  expect(await idle()).toEqual(edited);
});

it("cancels: the run ends with the connection", async () => {
  const { page, seen, shown, idle } = await openPage();
  page.current.thread.append("slow");
  await page.until(() => shown().at(-1)?.startsWith("assistant: tick") === true, "the first token");
  page.current.thread.cancelRun();
  await idle();
  expect(await runStatuses(client, seen.threadId!, "interrupted")).toEqual(["interrupted"]);
});

it("hears of an error", async () => {
  const { page, seen } = await openPage();
  page.current.thread.append("crash");
  await page.until(() => seen.errors.length > 0, "an error");
  expect(seen.errors).toEqual([{ error: "Error", message: "The model is out of order" }]);
});
