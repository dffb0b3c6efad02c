import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { GraphSchemas } from "../../src/core/engine.js";
import { createStaticAnalysis, type StaticAnswer } from "../../src/engine/schemas/static-schemas.js";
import { loadGraphs, type LoadGraphsOptions } from "../../src/engine/loading/load-graphs.js";
import { type GraphProject, graphProject } from "./graph-project.js";

const BASE_MESSAGE = "BaseMessage<MessageStructure<MessageToolSet>,MessageType>";
const message = { $ref: `#/definitions/${BASE_MESSAGE}` };

let project: GraphProject;

const files = {
  "tsconfig.json":
    '{ "compilerOptions": { "module": "esnext", "moduleResolution": "bundler", "target": "es2022", "paths": { "@model/*": ["./types/*"] } } }',
  "package.json": '{ "type": "module" }',
  "types/tree.ts": `
    export enum Colour { Red = "red", Green = "green" }
    export interface Tree {
      /** Shown to people. */
      label: string;
      children: Tree[];
      parent?: Tree | undefined;
      colour: Colour;
      when: Date;
      render(): string;
    }
    export class Point { private secret = 1; constructor(readonly x: number, public y?: number) { void this.secret; } }
    export type Branded = string & { readonly __brand: "id" };`,
  "src/agent.ts": `
    import type { AIMessage, BaseMessage } from "@langchain/core/messages";
    import { Annotation, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
    import type { Branded, Point, Tree } from "@model/tree";
    const State = Annotation.Root({
      ...MessagesAnnotation.spec,
      text: Annotation<string>,
      maybe: Annotation<number | null | undefined>,
      flag: Annotation<boolean>,
      literal: Annotation<"a" | "b">,
      mixed: Annotation<"a" | 1 | true | string[]>,
      tree: Annotation<Tree>,
      point: Annotation<Point>,
      id: Annotation<Branded>,
      record: Annotation<Record<string, number>>,
      partial: Annotation<Partial<{ one: string; two: number }>>,
      pair: Annotation<[string, boolean]>,
      added: Annotation<string[], string>({ reducer: (all, one) => [...all, one], default: () => [] }),
      last: Annotation<AIMessage>,
      log: Annotation<readonly BaseMessage[]>,
      callback: Annotation<() => void>,
      anything: Annotation<any>,
    });
    const Output = Annotation.Root({ text: Annotation<string> });
    const Context = Annotation.Root({ tenant: Annotation<string> });
    const child = new StateGraph(Annotation.Root({ text: Annotation<string>, deep: Annotation<bigint> }))
      .addNode("d", () => ({})).addEdge(START, "d").compile();
    const main = new StateGraph({ stateSchema: State, output: Output }, Context)
      .addNode("child", child).addEdge(START, "child");
    export const graph = main.compile();
    export const factory = async (_config: unknown) => main;
    export default main;`,
  "src/flow.ts": `
    import { entrypoint } from "@langchain/langgraph";
    export const flow = entrypoint("flow", async (input: { question: string }) => ({ length: input.question.length }));`,
  "src/plain.js": `
    import { Annotation, START, StateGraph } from "@langchain/langgraph";
    /** @type {() => import("@langchain/langgraph").LastValue<string>} */
    const text = Annotation;
    export const graph = new StateGraph(Annotation.Root({ text })).addNode("n", () => ({})).addEdge(START, "n").compile();`,
};

beforeAll(async () => {
  project = await graphProject(files);
});
afterAll(() => project.remove());

type Options = Partial<LoadGraphsOptions>;

async function withGraphs<T>(
  graphs: Readonly<Record<string, string>>,
  read: (of: (graphId: string) => Promise<GraphSchemas>, loaded: Awaited<ReturnType<typeof loadGraphs>>) => Promise<T>,
  options: Options = {},
): Promise<T> {
  const specs = Object.fromEntries(Object.entries(graphs).map(([id, spec]) => [id, { path: spec }]));
  const loaded = await loadGraphs({ graphs: specs, cwd: project.dir, watch: false, ...options });
  expect(loaded.failures.map(({ error }) => error.message)).toEqual([]);
  try {
    return await read(async (graphId) => {
      const graph = await loaded.source.resolve(
        graphId,
        {},
        { accessContext: "assistants.read", executionRuntime: null },
      );
      return loaded.source.schemas.schemas({ graphId, graph });
    }, loaded);
  } finally {
    await loaded.source.close();
  }
}

test("Annotation graphs: every kind of type, while the event loop turns", { timeout: 60_000 }, async () => {
  let turns = 0;
  let turning = true;
  const turn = (): void => {
    turns += 1;
    if (turning) setTimeout(turn, 1);
  };
  turn();
  const [schemas, subgraphs] = await withGraphs({ agent: "./src/agent.ts:graph" }, async (of, { source }) => {
    const graph = await source.resolve("agent", {}, { accessContext: "assistants.read", executionRuntime: null });
    return [await of("agent"), await source.schemas.subgraphs({ graphId: "agent", graph, recurse: true })] as const;
  });
  turning = false;
  // Seconds of checker: a loop that it blocked would have turned a handful of times.
  expect(turns).toBeGreaterThan(100);

  expect(schemas.note).toBeUndefined();
  expect(schemas.stateSchema).toMatchObject({ $schema: "http://json-schema.org/draft-07/schema#", type: "object" });
  expect(schemas.stateSchema).not.toHaveProperty("required");
  expect(schemas.stateSchema?.["properties"]).toEqual({
    messages: { anyOf: [{ type: "array", items: message }, message], langgraph_type: "messages" },
    text: { type: "string" },
    maybe: { anyOf: [{ type: "null" }, { type: "number" }] },
    flag: { type: "boolean" },
    literal: { type: "string", enum: ["a", "b"] },
    mixed: {
      anyOf: [
        { type: "array", items: { type: "string" } },
        { enum: expect.arrayContaining(["a", 1, true]) as unknown },
      ],
    },
    tree: { $ref: "#/definitions/Tree" },
    point: { $ref: "#/definitions/Point" },
    id: { type: "string" },
    record: { type: "object", additionalProperties: { type: "number" } },
    partial: { type: "object", properties: { one: { type: "string" }, two: { type: "number" } } },
    pair: { type: "array", items: [{ type: "string" }, { type: "boolean" }] },
    added: { type: "string" },
    last: message,
    log: { type: "array", items: message, langgraph_type: "messages" },
    anything: {},
  });
  expect(schemas.stateSchema?.["definitions"]).toMatchObject({
    Tree: {
      type: "object",
      properties: {
        label: { type: "string", description: "Shown to people." },
        children: { type: "array", items: { $ref: "#/definitions/Tree" } },
        parent: { $ref: "#/definitions/Tree" },
        colour: { type: "string", enum: ["red", "green"] },
        when: { type: "string", format: "date-time" },
      },
      required: ["label", "children", "colour", "when"],
    },
    Point: { type: "object", properties: { x: { type: "number" }, y: { type: "number" } }, required: ["x"] },
    [BASE_MESSAGE]: { oneOf: expect.arrayContaining([]) as unknown },
  });
  expect(schemas.inputSchema).toEqual(schemas.stateSchema);
  expect(schemas.outputSchema).toMatchObject({ properties: { text: { type: "string" } }, required: ["text"] });
  expect(schemas.configSchema).toMatchObject({ properties: { tenant: { type: "string" } } });
  expect(schemas.contextSchema).toEqual(schemas.configSchema);
  expect(subgraphs["child"]).toMatchObject({
    graphId: "agent",
    stateSchema: { properties: { text: { type: "string" }, deep: { type: "integer" } } },
  });
});

test("factories, builders, entrypoints and JavaScript", { timeout: 60_000 }, async () => {
  const graphs = {
    factory: "./src/agent.ts:factory",
    builder: "./src/agent.ts",
    flow: "./src/flow.ts:flow",
    plain: "./src/plain.js:graph",
  };
  await withGraphs(graphs, async (of) => {
    const [factory, builder, flow, plain] = await Promise.all(["factory", "builder", "flow", "plain"].map(of));
    for (const schemas of [factory, builder]) {
      expect(schemas?.note).toBeUndefined();
      expect(schemas?.stateSchema).toMatchObject({ properties: { literal: { enum: ["a", "b"] } } });
    }
    expect(flow?.inputSchema).toMatchObject({ properties: { question: { type: "string" } }, required: ["question"] });
    expect(flow?.outputSchema).toMatchObject({ properties: { length: { type: "number" } } });
    expect(plain?.stateSchema).toMatchObject({ properties: { text: { type: "string" } } });
  });
});

test("answers are kept on disk until a file that decided them changes", { timeout: 60_000 }, async () => {
  const folder = project.file("node_modules/.cache/heddle/schemas");
  const source = (type: string): string => `
    import { Annotation, START, StateGraph } from "@langchain/langgraph";
    import type { Kind } from "./kind.js";
    export const graph = new StateGraph(Annotation.Root({ kind: Annotation<${type}> })).addNode("n", () => ({})).addEdge(START, "n").compile();`;
  await project.write("src/cached.ts", source("Kind"));
  await project.write("src/kind.ts", "export type Kind = 'first';");
  const kind = (): Promise<unknown> =>
    withGraphs({ cached: "./src/cached.ts:graph" }, async (of) => (await of("cached")).stateSchema?.["properties"]);
  expect(await kind()).toEqual({ kind: { type: "string", const: "first" } });

  // What is on disk is what counts: mark it.
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name);
    await writeFile(file, (await readFile(file, "utf8")).replaceAll('"const":"first"', '"const":"from disk"'));
  }
  expect(await kind()).toEqual({ kind: { type: "string", const: "from disk" } });

  // Only a type: no bundle contains this file.
  await project.write("src/kind.ts", "export type Kind = 'second';");
  expect(await kind()).toEqual({ kind: { type: "string", const: "second" } });
});

test("the time limit ends the thread, and says so; so do a stop and a missing TypeScript", async () => {
  await project.write("src/slow.ts", `${files["src/agent.ts"]}\n// slow`);
  const late = await withGraphs({ slow: "./src/slow.ts:graph" }, (of) => of("slow"), { schemaTimeoutMs: 5 });
  expect(late.note).toBe("These schemas allow anything: reading the types took longer than 5 ms.");
  expect(late.stateSchema).toMatchObject({
    type: "object",
    properties: { text: {}, messages: { langgraph_type: "messages" } },
  });

  const target = { file: project.file("src/slow.ts"), exportName: "graph", cwd: project.dir, version: 0 };
  const stopped = createStaticAnalysis({ timeoutMs: 60_000 });
  const answers: Promise<StaticAnswer>[] = [
    stopped.analyze(target),
    stopped.analyze({ ...target, exportName: "factory" }),
  ];
  await stopped.close();
  expect(await Promise.all(answers)).toEqual([
    { note: "The server is stopping." },
    { note: "The server is stopping." },
  ]);

  const without = createStaticAnalysis({ timeoutMs: 1_000, find: () => Promise.resolve(null) });
  expect(await without.analyze(target)).toEqual({
    note: expect.stringContaining("npm install -D typescript@6") as unknown,
  });
  await without.close();
});

test("what TypeScript cannot read is a note, and tried once per version", { timeout: 60_000 }, async () => {
  await project.write("src/number.ts", "export const graph = 1;");
  let looked = 0;
  const { findTypeScript } = await import("../../src/engine/loading/find-typescript.js");
  const statics = createStaticAnalysis({
    timeoutMs: 30_000,
    find: (file) => {
      looked += 1;
      return findTypeScript(file);
    },
  });
  const target = { file: project.file("src/number.ts"), exportName: "graph", cwd: project.dir, version: 1 };
  const failed = {
    note: 'These schemas allow anything: reading the types failed: The type of "graph" is not a graph\'s.',
  };
  expect(await statics.analyze(target)).toEqual(failed);
  expect(await statics.analyze(target)).toEqual(failed);
  expect(looked).toBe(1);
  expect(await statics.analyze({ ...target, version: 2, exportName: "nothing" })).toEqual({
    note: expect.stringContaining('TypeScript finds no export named "nothing"') as unknown,
  });
  await statics.close();
});
