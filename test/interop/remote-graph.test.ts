/**
 * `RemoteGraph` of @langchain/langgraph 1.7.3 against a served graph, beside test/wire/remote-graph.test.ts: what a graph
 * does that has a remote one among its nodes, and what its options become on the wire.
 */
import { Annotation, Command, END, MemorySaver, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { RemoteGraph } from "@langchain/langgraph/remote";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { human } from "./support/messages.js";
import { serveProject } from "./support/served-project.js";

let server: Awaited<ReturnType<typeof serveProject>>;
beforeAll(async () => void (server = await serveProject()));
afterAll(() => server.close());

const remote = (graphId: string) => new RemoteGraph({ graphId, url: server.url });
const newThread = async () => {
  const { thread_id } = await server.client.threads.create();
  return { configurable: { thread_id } };
};
const all = async <T>(stream: AsyncIterable<T>): Promise<T[]> => {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
};

interface Messages {
  readonly messages: readonly { readonly content: string }[];
}
const contents = ({ messages }: Messages): readonly string[] => messages.map(({ content }) => content);

it("is a node of a local graph, which keeps its own state", async () => {
  const local = new StateGraph(MessagesAnnotation)
    .addNode("remote", async ({ messages }) => {
      const answer = (await remote("chat").invoke({ messages })) as Messages;
      return { messages: answer.messages.slice(messages.length) as never };
    })
    .addEdge(START, "remote")
    .addEdge("remote", END)
    .compile({ checkpointer: new MemorySaver() });
  const config = { configurable: { thread_id: crypto.randomUUID() } };
  await local.invoke({ messages: [human("one")] as never }, config);
  const result = await local.invoke({ messages: [human("two")] as never }, config);
  expect(result.messages.map(({ text }) => text)).toEqual(["one", "You said one", "two", "You said two"]);
});

it("is itself a node: streams of the local graph hold the remote one's", async () => {
  const local = new StateGraph(Annotation.Root({ messages: MessagesAnnotation.spec.messages }))
    .addNode("chat", remote("chat") as never)
    .addEdge(START, "chat")
    .compile();
  const chunks = await all(
    await local.stream({ messages: [human("hi")] as never }, { streamMode: "updates", subgraphs: true }),
  );
  const paths = chunks.map(([path]) => path.map((part) => part.replace(/:.*/, "")).join("|"));
  expect(new Set(paths)).toEqual(new Set(["", "chat"]));
});

it("streams tokens of messages, several modes at once, and a subgraph's events", async () => {
  const tokens = await all(
    await remote("chat").stream({ messages: [human("a few words")] }, { streamMode: ["messages", "custom"] }),
  );
  const said = (tokens as [string, [{ readonly content: string }, object]][])
    .filter(([mode]) => mode === "messages")
    .map(([, [chunk]]) => chunk.content)
    .join("");
  expect(said).toBe("You said a few words");
  expect(tokens).toContainEqual(["custom", { progress: "answered a few words" }]);
  const nested = await all(
    await remote("deep").stream({ messages: [human("report")] }, { streamMode: ["updates"], subgraphs: true }),
  );
  const namespaces = (nested as [string[], string, object][]).map(([path]) => path.join("|").replaceAll(/:[^|]*/g, ""));
  expect(namespaces).toContain("tools");
});

it("stops at an interrupt, reads it, and resumes with a command", async () => {
  const config = await newThread();
  const graph = remote("chat");
  await graph.invoke({ messages: [human("delete it")] }, config).catch(() => null);
  const asked = await graph.getState(config);
  expect(asked.next).toEqual(["tools"]);
  expect(asked.tasks[0]?.interrupts[0]?.value).toMatchObject({ action_requests: [{ name: "delete_file" }] });
  const result = (await graph.invoke(new Command({ resume: { type: "approve" } }), config)) as Messages;
  expect(contents(result).slice(2)).toEqual(["approve", "The tool says: approve"]);
});

it("changes the state, also at an older checkpoint, and goes on from there", async () => {
  const config = await newThread();
  const graph = remote("deep");
  await graph.invoke({ messages: [human("report")] }, config);
  const history = await all(graph.getStateHistory(config, { limit: 10 }));
  expect(history.map(({ next }) => next.join())).toEqual(["", "write", "tools", "plan", "__start__"]);
  const beforeWrite = history.find(({ next }) => next[0] === "write")!;
  const fork = await graph.updateState(beforeWrite.config, { files: { "mine.md": "by hand" } }, "tools");
  const forked = await graph.getState(fork);
  expect(forked.values).toMatchObject({ files: { "mine.md": "by hand" } });
  const result = await graph.invoke(null, fork);
  expect(Object.keys((result as { files: object }).files)).toEqual(["mine.md", "report.md"]);
});

it("hands on tags, metadata, recursion limit and configurable", async () => {
  const config = await newThread();
  await remote("chat")
    .withConfig({ tags: ["bound"], metadata: { bound: true } })
    .invoke({ messages: [human("hi")] }, { ...config, metadata: { from: "remote" }, recursionLimit: 7 });
  const [run] = await server.client.runs.list(config.configurable.thread_id);
  expect(run).toMatchObject({
    kwargs: { config: { recursion_limit: 7, configurable: { thread_id: config.configurable.thread_id } } },
  });
});

it("throws what the graph threw", async () => {
  const failing = remote("chat").invoke({ messages: [human("crash")] });
  await expect(failing).rejects.toThrow(/The model is out of order/);
});

it("draws the remote graph", async () => {
  const drawing = await remote("deep").getGraphAsync();
  expect(Object.keys(drawing.nodes)).toEqual(["__start__", "plan", "tools", "write", "__end__"]);
  expect(drawing.drawMermaid()).toContain("tools");
});

describe("streamEvents, version 3: over the event protocol", () => {
  it("gives each event once, messages in tokens, values and the output", async () => {
    const run = await remote("chat").streamEvents({ messages: [human("a few words")] }, { version: "v3" });
    const [events, said, output] = await Promise.all([
      all(run),
      all(run.messages).then((messages) => Promise.all(messages.map(({ text }) => text))),
      run.output,
    ]);
    // Several connections bring them: each number once, and none missing.
    const seqs = events.map(({ seq }) => seq).toSorted((a, b) => a - b);
    expect(seqs).toEqual(seqs.map((_, i) => i + 1));
    expect(events.filter(({ method }) => method === "messages").length).toBeGreaterThan(4);
    expect(said).toEqual(["You said a few words"]);
    expect((output as { messages: readonly { text: string }[] }).messages.at(-1)?.text).toBe("You said a few words");
    expect(run.interrupted).toBe(false);
  });

  it("stops at an interrupt and goes on by its answer", async () => {
    const config = await newThread();
    const asked = await remote("chat").streamEvents({ messages: [human("delete it")] }, { ...config, version: "v3" });
    await all(asked);
    expect(asked.interrupted).toBe(true);
    expect(asked.interrupts).toMatchObject([{ payload: { action_requests: [{ name: "delete_file" }] } }]);
    // As input of a waiting thread.
    await all(await remote("chat").streamEvents({ type: "approve" }, { ...config, version: "v3" }));
    const { values } = await server.client.threads.getState<Messages>(config.configurable.thread_id);
    expect(contents(values).slice(2)).toEqual(["approve", "The tool says: approve"]);
  });

  it("goes on by a Command", async () => {
    const config = await newThread();
    await all(await remote("chat").streamEvents({ messages: [human("delete it")] }, { ...config, version: "v3" }));
    const command = new Command({ resume: { type: "approve" } });
    await all(await remote("chat").streamEvents(command, { ...config, version: "v3" }));
    const { values } = await server.client.threads.getState<Messages>(config.configurable.thread_id);
    expect(contents(values).slice(2)).toEqual(["approve", "The tool says: approve"]);
  });

  it("ends with the graph's error", async () => {
    const run = await remote("chat").streamEvents({ messages: [human("crash")] }, { version: "v3" });
    // Connections of their own bring ends and content: which comes last is not said.
    const failed = { namespace: [], data: { event: "failed", error: "The model is out of order" } };
    const ends = (await all(run)).filter(
      ({ method, params }) => method === "lifecycle" && params.namespace.length === 0,
    );
    expect(ends.at(-1)?.params).toMatchObject(failed);
  });
});
