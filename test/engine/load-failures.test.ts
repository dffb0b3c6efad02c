import { afterEach, expect, test } from "vitest";
import { loadGraphs, type LoadedGraphs } from "../../src/engine/loading/load-graphs.js";
import { type GraphProject, graphProject, graphSourceText } from "./graph-project.js";

const open: { project: GraphProject; loaded: LoadedGraphs }[] = [];

afterEach(async () => {
  for (const { project, loaded } of open.splice(0)) {
    await loaded.source.close();
    await project.remove();
  }
});

const good = graphSourceText("1");

/** The messages of the graphs that fail beside a good one, which must not be harmed. */
async function failuresOf(
  files: Readonly<Record<string, string>>,
  path = "./src/agent.ts:graph",
  importTimeoutMs?: number,
): Promise<readonly { message: string; details: unknown; dir: string }[]> {
  const project = await graphProject({ "src/good.ts": good, ...files });
  const loaded = await loadGraphs({
    graphs: { bad: { path }, good: { path: "./src/good.ts:graph" } },
    cwd: project.dir,
    watch: false,
    ...(importTimeoutMs !== undefined && { importTimeoutMs }),
  });
  open.push({ project, loaded });
  expect(loaded.source.graphs().map(({ graphId }) => graphId)).toEqual(["good"]);
  const graph = await loaded.source.resolve("good", {}, { accessContext: "threads.read", executionRuntime: null });
  expect(await graph.invoke({ value: "" })).toEqual({ value: "1" });
  expect(loaded.failures.every(({ graphId, error }) => graphId === "bad" && error.code === "GRAPH_LOAD_FAILED")).toBe(
    true,
  );
  return loaded.failures.map(({ error }) => ({ message: error.message, details: error.details, dir: project.dir }));
}

const label = 'Failed to load graph "bad" (./src/agent.ts:graph): ';

test("a syntax error in an imported file", async () => {
  const [failure] = await failuresOf({
    "src/agent.ts": 'import { x } from "./lib.js";\nexport const graph = x;',
    "src/lib.ts": "export const y = 1;\nexport const x = {{ 1;",
  });
  expect(failure?.message).toMatch(
    /^Failed to load graph "bad" \(.\/src\/agent.ts:graph\): src\/lib.ts:2:19: Expected identifier/,
  );
  expect(failure?.details).toEqual({
    graphId: "bad",
    path: "./src/agent.ts:graph",
    file: "src/lib.ts",
    line: 2,
    column: 19,
  });
});

test("several build errors in one message", async () => {
  const imports = Array.from({ length: 7 }, (_, index) => `import "./missing-${String(index)}.js";`).join("\n");
  const [failure] = await failuresOf({ "src/agent.ts": `${imports}\nexport const graph = 1;` });
  expect(failure?.message).toContain(`${label}src/agent.ts:1:8: Could not resolve "./missing-0.js"`);
  expect(failure?.message).toContain('\n  src/agent.ts:5:8: Could not resolve "./missing-4.js"\n  … and 2 more');
});

test("a package that is not installed", async () => {
  const [failure] = await failuresOf({ "src/agent.ts": 'import { z } from "not-installed";\nexport const graph = z;' });
  expect(failure?.message).toContain(`${label}src/agent.ts:1:19: Could not resolve "not-installed"`);
});

test("a package that throws when it is imported, and one without the imported name", async () => {
  const packages = {
    "node_modules/bomb/package.json": '{ "name": "bomb", "type": "module", "exports": "./index.js" }',
    "node_modules/bomb/index.js": 'throw new RangeError("no licence");',
    "node_modules/calm/package.json": '{ "name": "calm", "type": "module", "exports": "./index.js" }',
    "node_modules/calm/index.js": "export const a = 1;",
  };
  const [thrown] = await failuresOf({ ...packages, "src/agent.ts": 'import "bomb";\nexport const graph = 1;' });
  expect(thrown?.message).toBe(`${label}importing "bomb" (from src/agent.ts) failed: RangeError: no licence`);
  const [unnamed] = await failuresOf({
    ...packages,
    "src/agent.ts": 'import { b } from "calm";\nexport const graph = b;',
  });
  expect(unnamed?.message).toBe(`${label}importing "calm" (from src/agent.ts) failed: it has no export named "b"`);
});

test("a module that throws while it runs: the place in the source", async () => {
  const [failure] = await failuresOf({
    "src/agent.ts": 'import { check } from "./check.js";\nexport const graph = check({ key: "" });',
    "src/check.ts":
      "interface Options {\n  key: string;\n}\nexport function check({ key }: Options): never {\n  throw new TypeError(`no key: ${key}`);\n}",
  });
  expect(failure?.message).toBe(`${label}src/check.ts:5:9: running it failed: TypeError: no key: `);
});

test("a missing file, a folder, and a missing export", async () => {
  const [missing] = await failuresOf({}, "./src/nowhere.ts:graph");
  expect(missing?.message).toMatch(/\(\.\/src\/nowhere\.ts:graph\): the file \/.*\/src\/nowhere\.ts does not exist$/);
  const [folder] = await failuresOf({}, "./src");
  expect(folder?.message).toMatch(/the file \/.*\/src does not exist$/);
  const [unnamed] = await failuresOf({ "src/agent.ts": "export const grpah = 1;\nexport default 2;" });
  expect(unnamed?.message).toBe(`${label}the file has no export named "graph"; its exports are "default", "grpah"`);
  const [empty] = await failuresOf({ "src/agent.ts": "export {};" }, "./src/agent.ts");
  expect(empty?.message).toContain('the file has no export named "default"; it exports nothing');
});

test("exports that are no graphs", async () => {
  const messages: string[] = [];
  for (const text of [
    "export const graph = null;",
    "export const graph = { nodes: 1 };",
    "export const graph = 'text';",
    "export const graph = Promise.reject(new Error('from the promise'));",
    'import { StateGraph, Annotation } from "@langchain/langgraph";\nexport const graph = new StateGraph(Annotation.Root({ a: Annotation<string> })).addNode("n", () => ({}));',
  ]) {
    messages.push(...(await failuresOf({ "src/agent.ts": text })).map(({ message }) => message.replace(label, "")));
  }
  expect(messages[0]).toBe("graph is nullush");
  expect(messages[1]).toContain("a plain object is not a graph. Export a compiled graph");
  expect(messages[2]).toContain("a value of type string is not a graph");
  expect(messages[3]).toBe("src/agent.ts:1:37: the promise of it was rejected: Error: from the promise");
  expect(messages[4]).toMatch(/compile\(\) failed: UnreachableNodeError: /);
});

test("top-level code that never ends, and a promise that never settles", async () => {
  const [module] = await failuresOf(
    { "src/agent.ts": "await new Promise(() => {});\nexport const graph = 1;" },
    undefined,
    15,
  );
  expect(module?.message).toBe(`${label}running it failed: Error: its top-level code did not finish within 0.015 s`);
  const [promise] = await failuresOf({ "src/agent.ts": "export const graph = new Promise(() => {});" }, undefined, 15);
  expect(promise?.message).toBe(`${label}Error: the promise it exports did not settle within 0.015 s`);
});

test("emitDecoratorMetadata without TypeScript says what to install", async () => {
  const project = await graphProject({
    "tsconfig.json": '{ "compilerOptions": { "experimentalDecorators": true, "emitDecoratorMetadata": true } }',
    "src/agent.ts": "function mark(_: object) {}\n@mark\nclass A {}\nexport const graph = A;",
  });
  const { withDecoratorMetadata } = await import("../../src/engine/loading/decorator-metadata.js");
  const done = await withDecoratorMetadata(project.file("src/agent.ts"), "@mark class A {}", () =>
    Promise.resolve(null),
  );
  await project.remove();
  expect(done).toEqual({ error: expect.stringContaining("npm install -D typescript@6") as unknown });
});
