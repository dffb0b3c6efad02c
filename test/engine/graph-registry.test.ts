import { Annotation, entrypoint, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { createAgent, fakeModel } from "langchain";
import { expect, test } from "vitest";
import { createGraphRegistry } from "../../src/engine/loading/graph-registry.js";
import type { GraphUse } from "../../src/engine/graph-source.js";

const use: GraphUse = { accessContext: "threads.create_run", executionRuntime: { context: { tenant: "a" } } };
const State = Annotation.Root({ value: Annotation<string> });
const builder = () => new StateGraph(State).addNode("n", () => ({ value: "done" })).addEdge(START, "n");

test("compiled graphs, builders, promises, agents and entrypoints are the same shared object for every use", async () => {
  const compiled = builder().compile({ description: "from compile" });
  const agent = createAgent({ model: fakeModel(), tools: [] });
  const workflow = entrypoint("workflow", async (text: string) => text.toUpperCase());
  const source = await createGraphRegistry({
    graphs: {
      compiled,
      builder: builder(),
      promise: Promise.resolve(builder()),
      agent,
      workflow,
      described: { graph: compiled, description: "mine" },
    },
  });
  expect(source.graphs()).toEqual([
    { graphId: "compiled", description: "from compile" },
    { graphId: "builder", description: null },
    { graphId: "promise", description: null },
    { graphId: "agent", description: null },
    { graphId: "workflow", description: null },
    { graphId: "described", description: "mine" },
  ]);
  expect(source.resolve("compiled", {}, use)).toBe(compiled);
  expect(source.resolve("agent", {}, use)).toBe(agent.graph);
  expect(source.resolve("workflow", {}, use)).toBe(workflow);
  for (const { graphId } of source.graphs()) {
    const graph = source.resolve(graphId, {}, use);
    expect(graph).not.toBeInstanceOf(Promise);
    expect(source.resolve(graphId, { configurable: { other: 1 } }, use)).toBe(graph);
  }
  const built = await source.resolve("builder", {}, use);
  expect(await built.invoke({ value: "" })).toEqual({ value: "done" });
  expect(await (await source.resolve("workflow", {}, use)).invoke("loud")).toBe("LOUD");
  await source.close();
});

test("factories are called for every use, with config and runtime, and their result is compiled", async () => {
  const calls: unknown[] = [];
  const source = await createGraphRegistry({
    graphs: {
      sync: (config: unknown, runtime: unknown) => {
        calls.push([config, runtime]);
        return builder();
      },
      async: async () => ({ graph: builder().compile() }),
      empty: () => undefined,
      nested: () => () => builder(),
      throws: () => {
        throw new RangeError("no such tenant");
      },
    },
  });
  expect(calls).toEqual([]);
  const first = await source.resolve("sync", {}, use);
  const second = await source.resolve(
    "sync",
    { tags: ["t"], configurable: { user: 1 } },
    { ...use, executionRuntime: null },
  );
  expect(first).not.toBe(second);
  expect(calls).toEqual([
    [{ configurable: {} }, { accessContext: "threads.create_run", executionRuntime: { context: { tenant: "a" } } }],
    [
      { tags: ["t"], configurable: { user: 1 } },
      { accessContext: "threads.create_run", executionRuntime: null },
    ],
  ]);
  expect(await (await source.resolve("async", {}, use)).invoke({ value: "" })).toEqual({ value: "done" });
  await expect(source.resolve("throws", {}, use)).rejects.toThrow(RangeError);
  await expect(source.resolve("empty", {}, use)).rejects.toThrow('Failed to load graph "empty": graph is nullush');
  await expect(source.resolve("nested", {}, use)).rejects.toThrow("its factory returned a function");
});

test("a graph of another copy of LangGraph is recognised by its shape", async () => {
  const foreign = { invoke: () => 1, stream: () => 2, nodes: {}, channels: {}, getGraphAsync: () => 3 };
  const source = await createGraphRegistry({ graphs: { foreign, wrapped: { compile: () => foreign } } });
  expect(source.resolve("foreign", {}, use)).toBe(foreign);
  expect(source.resolve("wrapped", {}, use)).toBe(foreign);
});

test("what is no graph is refused by name", async () => {
  const refuse = async (graph: unknown, message: string): Promise<void> => {
    const made = createGraphRegistry({ graphs: { odd: graph as object } });
    await expect(made).rejects.toMatchObject({ code: "GRAPH_LOAD_FAILED", details: { graphId: "odd" } });
    await expect(made).rejects.toThrow(message);
  };
  await refuse(Promise.resolve(null), 'Failed to load graph "odd": graph is nullush');
  await refuse(
    Promise.reject(new Error("late")),
    'Failed to load graph "odd": the promise of it was rejected: Error: late',
  );
  await refuse([], "an array is not a graph");
  await refuse(new Map(), "an instance of Map is not a graph");
  await refuse(State, "an instance of AnnotationRoot is not a graph");
  await refuse({ graph: null }, "graph is nullush");
  await refuse(
    new StateGraph(MessagesAnnotation).addNode("lost", () => ({})),
    "compile() failed: UnreachableNodeError",
  );
  const endless: { graph?: unknown } = {};
  endless.graph = endless;
  await refuse(endless, "a plain object is not a graph");
});

test("an unknown graph", async () => {
  const source = await createGraphRegistry({ graphs: {} });
  expect(source.has("x")).toBe(false);
  expect(() => source.resolve("x", {}, use)).toThrow(
    expect.objectContaining({ code: "GRAPH_NOT_FOUND", message: 'Graph "x" not found' }),
  );
});
