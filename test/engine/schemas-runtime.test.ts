import {
  Annotation,
  entrypoint,
  MessagesAnnotation,
  MessagesValue,
  START,
  StateGraph,
  StateSchema,
} from "@langchain/langgraph";
import { withLangGraph } from "@langchain/langgraph/zod";
import { createAgent, fakeModel } from "langchain";
import { expect, test } from "vitest";
import { z } from "zod";
import { z as z3 } from "zod/v3";
import type { GraphSchemas } from "../../src/core/engine.js";
import { createGraphRegistry } from "../../src/engine/loading/graph-registry.js";

async function schemasOf(graph: object): Promise<GraphSchemas> {
  const source = await createGraphRegistry({ graphs: { it: graph } });
  const resolved = await source.resolve("it", {}, { accessContext: "assistants.read", executionRuntime: null });
  const schemas = await source.schemas.schemas({ graphId: "it", graph: resolved });
  await source.close();
  return schemas;
}

test("StateSchema: its own JSON Schemas, with their extra keys, and the context's", async () => {
  const State = new StateSchema({ messages: MessagesValue, count: z.number().default(3) });
  const graph = new StateGraph(State, { context: z.object({ tenant: z.string() }) })
    .addNode("n", () => ({}))
    .addEdge(START, "n");
  const schemas = await schemasOf(graph);
  expect(schemas.note).toBeUndefined();
  expect(schemas.graphId).toBe("it");
  for (const schema of [schemas.stateSchema, schemas.inputSchema, schemas.outputSchema]) {
    expect(schema).toMatchObject({
      type: "object",
      properties: { messages: { langgraph_type: "messages" }, count: { type: "number", default: 3 } },
    });
  }
  expect(schemas.contextSchema).toMatchObject({ properties: { tenant: { type: "string" } } });
  expect(schemas.configSchema).toBe(schemas.contextSchema);
});

test("zod 4 with LangGraph's registry: state is the update type", async () => {
  const list = withLangGraph(z.array(z.string()), {
    reducer: { schema: z.string(), fn: (all: string[], one: string) => [...all, one] },
    default: () => [],
    jsonSchemaExtra: { langgraph_type: "prompt" },
  });
  const State = z.object({ list, name: z.string() });
  const graph = new StateGraph(State, { output: z.object({ name: z.string() }) })
    .addNode("n", () => ({}))
    .addEdge(START, "n");
  const { stateSchema, inputSchema, outputSchema, note } = await schemasOf(graph);
  const update = { properties: { list: { type: "string", langgraph_type: "prompt" }, name: { type: "string" } } };
  expect(stateSchema).toMatchObject(update);
  expect(inputSchema).toMatchObject(update);
  expect(stateSchema).not.toHaveProperty("required");
  expect(outputSchema).toMatchObject({ properties: { name: { type: "string" } }, required: ["name"] });
  expect(note).toBeUndefined();
});

test("zod 3", async () => {
  // LangGraph's types take zod 3 only without `exactOptionalPropertyTypes`.
  const schema: unknown = z3.object({ a: z3.string(), b: z3.number().optional() });
  const graph = (Reflect.construct(StateGraph, [schema]) as StateGraph<{ a: typeof Annotation<string> }>)
    .addNode("n", () => ({}))
    .addEdge(START, "n");
  const { inputSchema, outputSchema } = await schemasOf(graph);
  expect(inputSchema).toMatchObject({ properties: { a: { type: "string" }, b: { type: "number" } } });
  expect(outputSchema).toMatchObject({ required: ["a"] });
});

test("zod with types that JSON Schema cannot say: only those become anything", async () => {
  const graph = new StateGraph(z.object({ when: z.date(), odd: z.custom<object>(), name: z.string() }))
    .addNode("n", () => ({}))
    .addEdge(START, "n");
  const { stateSchema, inputSchema, note } = await schemasOf(graph);
  expect(stateSchema).toMatchObject({
    properties: { when: {}, odd: {}, name: { type: "string" } },
    required: ["when", "odd", "name"],
  });
  expect(inputSchema).toMatchObject({ properties: { when: {}, odd: {}, name: { type: "string" } } });
  expect(inputSchema).not.toHaveProperty("required");
  expect(note).toBeUndefined();
});

test("an agent", async () => {
  const { inputSchema, note } = await schemasOf(createAgent({ model: fakeModel(), tools: [] }));
  expect(inputSchema).toMatchObject({ properties: { messages: { langgraph_type: "messages" } } });
  expect(note).toBeUndefined();
});

test("Annotation given as an object: names of channels, messages found, and a note", async () => {
  const State = Annotation.Root({ ...MessagesAnnotation.spec, topic: Annotation<string> });
  const Output = Annotation.Root({ topic: Annotation<string> });
  const graph = new StateGraph({ stateSchema: State, output: Output }).addNode("n", () => ({})).addEdge(START, "n");
  const schemas = await schemasOf(graph);
  const messages = { type: "array", items: { type: "object" }, langgraph_type: "messages" };
  expect(schemas.stateSchema).toEqual({ type: "object", properties: { messages, topic: {} } });
  expect(schemas.inputSchema).toEqual(schemas.stateSchema);
  expect(schemas.outputSchema).toEqual({ type: "object", properties: { topic: {} } });
  expect(schemas.note).toContain("given as an object");
});

test("a functional-API entrypoint takes anything", async () => {
  const schemas = await schemasOf(entrypoint("e", async (text: string) => text));
  expect(schemas).toMatchObject({
    inputSchema: {},
    outputSchema: {},
    stateSchema: {},
    note: expect.stringContaining("allow anything") as unknown,
  });
});

test("subgraphs: direct, nested, one, all", async () => {
  const leaf = new StateGraph(z.object({ leaf: z.string() }))
    .addNode("n", () => ({}))
    .addEdge(START, "n")
    .compile();
  const middle = new StateGraph(z.object({ leaf: z.string(), middle: z.number() }))
    .addNode("inner", leaf)
    .addEdge(START, "inner")
    .compile();
  const root = new StateGraph(z.object({ middle: z.number() }))
    .addNode("outer", middle)
    .addNode("plain", () => ({}))
    .addEdge(START, "outer")
    .addEdge("outer", "plain")
    .compile();
  const source = await createGraphRegistry({ graphs: { it: root } });
  const graph = await source.resolve("it", {}, { accessContext: "assistants.read", executionRuntime: null });
  const names = async (namespace: string | undefined, recurse: boolean): Promise<unknown> => {
    const found = await source.schemas.subgraphs({
      graphId: "it",
      graph,
      recurse,
      ...(namespace !== undefined && { namespace }),
    });
    return Object.fromEntries(
      Object.entries(found).map(([name, { stateSchema }]) => [name, Object.keys(stateSchema?.["properties"] ?? {})]),
    );
  };
  expect(await names(undefined, false)).toEqual({ outer: ["leaf", "middle"] });
  expect(await names(undefined, true)).toEqual({ outer: ["leaf", "middle"], "outer|inner": ["leaf"] });
  expect(await names("outer", false)).toEqual({ outer: ["leaf", "middle"] });
  expect(await names("outer|inner", false)).toEqual({ "outer|inner": ["leaf"] });
  expect(await names("nothing", true)).toEqual({});
  await source.close();
});
