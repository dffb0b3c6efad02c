import { afterEach, expect, test } from "vitest";
import type { GraphUse } from "../../src/engine/graph-source.js";
import { loadGraphs, type LoadedGraphs } from "../../src/engine/loading/load-graphs.js";
import { type GraphProject, graphProject, graphSourceText } from "./graph-project.js";

const AGENT = { agent: "./src/agent.ts:graph" };
const use: GraphUse = { accessContext: "threads.create_run", executionRuntime: null };
const open: { project: GraphProject; loaded: LoadedGraphs }[] = [];

afterEach(async () => {
  for (const { project, loaded } of open.splice(0)) {
    await loaded.source.close();
    await project.remove();
  }
});

async function load(
  files: Readonly<Record<string, string>>,
  graphs: Readonly<Record<string, string>> = AGENT,
): Promise<LoadedGraphs & { project: GraphProject }> {
  const project = await graphProject(files);
  const specs = Object.fromEntries(Object.entries(graphs).map(([id, spec]) => [id, { path: spec }]));
  const loaded = await loadGraphs({ graphs: specs, cwd: project.dir, watch: false });
  open.push({ project, loaded });
  return { ...loaded, project };
}

/** The value that the graph of these files answers with. */
async function answer(files: Readonly<Record<string, string>>, spec = "./src/agent.ts:graph"): Promise<unknown> {
  const { source, failures } = await load(files, { agent: spec });
  expect(failures.map(({ error }) => error.message)).toEqual([]);
  const graph = await source.resolve("agent", {}, use);
  const { value } = (await graph.invoke({ value: "" })) as { value: unknown };
  return value;
}

test("TypeScript with relative .js specifiers, enums and top-level await", async () => {
  const files = {
    "src/agent.ts": graphSourceText(
      "Colour[late] + name",
      'import { Colour, name } from "./colour.js";\nconst late = await Promise.resolve(Colour.Green);',
    ),
    "src/colour.ts": 'export enum Colour { Red, Green }\nexport const name: string = "!";',
  };
  expect(await answer(files)).toBe("Green!");
});

test("tsconfig paths, also inherited with comments", async () => {
  const files = {
    "tsconfig.json": '{ // mine\n "extends": "./base", "compilerOptions": { /* none */ } }',
    "base.json": '{ "compilerOptions": { "paths": { "@lib/*": ["./lib/*"], "~config": ["./lib/config.ts"] } } }',
    "lib/word.ts": 'export const word = "aliased";',
    "lib/config.ts": 'export default "config";',
    "src/agent.ts": graphSourceText(
      "word + config",
      'import { word } from "@lib/word";\nimport config from "~config";',
    ),
  };
  expect(await answer(files)).toBe("aliasedconfig");
});

test("experimental decorators with emitted metadata", async () => {
  const files = {
    "tsconfig.json": '{ "compilerOptions": { "experimentalDecorators": true, "emitDecoratorMetadata": true } }',
    "src/service.ts": `
      const types: unknown[] = [];
      (Reflect as any).metadata ??= (key: string, value: unknown) => () => { types.push([key, value]); };
      export class Engine { power = 7; }
      function inject(target: Function) { (target as any).injected = types.filter(([key]: any) => key === "design:paramtypes").map(([, value]: any) => value); }
      @inject
      export class Car { constructor(readonly engine: Engine, readonly name: string) {} }
      export const injected = (Car as any).injected[0].map((type: Function) => type.name).join();`,
    "src/agent.ts": graphSourceText("injected", 'import { injected } from "./service.js";'),
  };
  expect(await answer(files)).toBe("Engine,String");
});

test("experimental decorators without metadata, and standard ones", async () => {
  const legacy = {
    "tsconfig.json": '{ "compilerOptions": { "experimentalDecorators": true } }',
    "src/agent.ts": graphSourceText(
      "marked",
      "let marked = '';\nfunction mark(target: object, key: string) { marked = key; }\nclass A { @mark method() {} }\nvoid A;",
    ),
  };
  expect(await answer(legacy)).toBe("method");
  const standard = {
    "src/agent.ts": graphSourceText(
      "marked",
      "let marked = '';\nfunction mark(_: unknown, context: ClassMethodDecoratorContext) { marked = context.kind; }\nclass A { @mark method() {} }\nvoid A;",
    ),
  };
  expect(await answer(standard)).toBe("method");
});

test("JSON with and without an attribute", async () => {
  const files = {
    "src/data.json": '{ "word": "data" }',
    "src/agent.ts": graphSourceText(
      "a.word + b.word",
      'import a from "./data.json";\nimport b from "./data.json" with { type: "json" };',
    ),
  };
  expect(await answer(files)).toBe("datadata");
});

test("CommonJS packages: default, named (also those Node's lexer misses), require and require.resolve", async () => {
  const files = {
    "node_modules/old/package.json": '{ "name": "old", "main": "./index.js" }',
    "node_modules/old/index.js":
      "const all = { hidden: 'h' };\nmodule.exports = Object.assign(function () { return 'called'; }, all);\nmodule.exports.plain = 'p';",
    "src/agent.ts": graphSourceText(
      '[old(), hidden, plain, require("old").plain, required.hidden, require.resolve("old").endsWith("index.js")].join()',
      'import old, { hidden, plain } from "old";\nimport required = require("old");',
    ),
  };
  expect(await answer(files)).toBe("called,h,p,p,h,true");
});

test("a graph written as CommonJS", async () => {
  const files = {
    "src/part.cjs": "exports.where = __filename; exports.folder = __dirname;",
    "src/agent.cjs": `const { Annotation, START, StateGraph } = require("@langchain/langgraph");
      const { where, folder } = require("./part.cjs");
      const State = Annotation.Root({ value: Annotation() });
      exports.graph = new StateGraph(State).addNode("n", () => ({ value: where.slice(folder.length) })).addEdge(START, "n").compile();`,
  };
  expect(await answer(files, "./src/agent.cjs:graph")).toBe("/part.cjs");
});

test("each file has its own location", async () => {
  const before = `import * as deep from "./deep/where.js";
    import path from "node:path";
    import { fileURLToPath } from "node:url";
    const __dirname = path.dirname(fileURLToPath(import.meta.url));
    const here = path.relative(__dirname, deep.filename) + deep.legacy + " " + __filename.slice(__dirname.length) + " " + (import.meta.dirname === __dirname);`;
  const files = {
    "src/deep/where.ts":
      "export const filename = import.meta.filename;\nexport const legacy = __dirname.slice(-5) + new URL('./x', import.meta.url).pathname.slice(-7);",
    "src/agent.ts": graphSourceText("here", before),
  };
  expect(await answer(files)).toBe("deep/where.ts/deep/deep/x /agent.ts true");
});

test("import.meta.resolve, dynamic import of a package, a local file and a computed specifier", async () => {
  const files = {
    "src/later.ts": 'export const word = "later";',
    "src/plain.mjs": 'export const word = "plain";',
    "src/agent.ts": graphSourceText(
      '[(await import("./later.js")).word, typeof (await import("zod")).z, (await import(import.meta.resolve("./plain.mjs"))).word, typeof (await import(computed)).join].join()',
      'const computed = ["node", "path"].join(":");',
    ),
  };
  expect(await answer(files)).toBe("later,object,plain,function");
});

test("workspace packages that export TypeScript are bundled, with their own dependencies", async () => {
  const files = {
    "packages/shared/package.json": '{ "name": "@acme/shared", "exports": "./src/index.ts" }',
    "packages/shared/src/index.ts": 'import inner from "inner";\nexport const shared: string = `shared ${inner}`;',
    "packages/shared/node_modules/inner/package.json": '{ "name": "inner", "type": "module", "exports": "./index.js" }',
    "packages/shared/node_modules/inner/index.js": 'export default "inner";',
    "node_modules/@acme/source/package.json": '{ "name": "@acme/source", "main": "./index.ts" }',
    "node_modules/@acme/source/index.ts": 'export const source: string = "source";',
    "apps/agent/agent.ts": graphSourceText(
      "shared + source",
      'import { shared } from "@acme/shared";\nimport { source } from "@acme/source";',
    ),
  };
  const project = await graphProject(files);
  const { symlink } = await import("node:fs/promises");
  await symlink(project.file("packages/shared"), project.file("node_modules/@acme/shared"), "dir");
  const loaded = await loadGraphs({
    graphs: { agent: { path: "./apps/agent/agent.ts:graph" } },
    cwd: project.dir,
    watch: false,
  });
  open.push({ project, loaded });
  expect(loaded.failures.map(({ error }) => error.message)).toEqual([]);
  const graph = await loaded.source.resolve("agent", {}, use);
  expect(await graph.invoke({ value: "" })).toEqual({ value: "shared innersource" });
});

test("one LangGraph with the server: instanceof, getConfig and interrupt work", async () => {
  const { Command, StateGraph } = await import("@langchain/langgraph");
  const { source } = await load({
    "src/agent.ts": `
      import { Annotation, getConfig, interrupt, MemorySaver, START, StateGraph } from "@langchain/langgraph";
      const State = Annotation.Root({ value: Annotation<string> });
      const ask = () => {
        const answer = interrupt("really?");
        return { value: answer + getConfig().configurable!["who"] };
      };
      export const graph = new StateGraph(State).addNode("ask", ask).addEdge(START, "ask").compile({ checkpointer: new MemorySaver() });`,
  });
  const graph = await source.resolve("agent", {}, use);
  expect((graph as unknown as { builder: unknown }).builder).toBeInstanceOf(StateGraph);
  const config = { configurable: { thread_id: "1", who: "me" } };
  await graph.invoke({ value: "" }, config);
  expect(await graph.invoke(new Command({ resume: "yes " }), config)).toEqual({ value: "yes me" });
});

test("two graphs of one project share the modules that both import; names survive bundling", async () => {
  const graph = (name: string): string => `
    import { Annotation, START, StateGraph } from "@langchain/langgraph";
    import { next } from "./counter.js";
    const State = Annotation.Root({ value: Annotation<string> });
    function callModel() { return { value: callModel.name + next() + "${name}" }; }
    export default new StateGraph(State).addNode("n", callModel).addEdge(START, "n");`;
  const { source, failures } = await load(
    {
      "src/counter.ts": "let count = 0;\nexport const next = () => (count += 1);",
      "src/a.ts": graph("a"),
      "src/b.ts": graph("b"),
    },
    { a: "./src/a.ts", b: "src/b.ts:default" },
  );
  expect(failures).toEqual([]);
  const [a, b] = [await source.resolve("a", {}, use), await source.resolve("b", {}, use)];
  expect(await a.invoke({ value: "" })).toEqual({ value: "callModel1a" });
  expect(await b.invoke({ value: "" })).toEqual({ value: "callModel2b" });
  expect(source.resolve("a", {}, use)).toBe(a);
});

test("JSX, and JavaScript as an ES module with a guarded optional package", async () => {
  const files = {
    "tsconfig.json": '{ "compilerOptions": { "jsx": "react", "jsxFactory": "h" } }',
    "src/view.tsx":
      "const h = (name: string, _: unknown, ...children: string[]) => `<${name}>${children.join('')}`;\nexport const view = <b>bold</b>;",
    "src/agent.mjs": `#!/usr/bin/env node
      import { Annotation, START, StateGraph } from "@langchain/langgraph";
      import { view } from "./view.tsx";
      let optional = "absent";
      try { require("not-installed-at-all"); } catch { optional = __filename.slice(-9); }
      const other = await import("neither-this").catch(() => "caught");
      const State = Annotation.Root({ value: Annotation() });
      export const graph = new StateGraph(State).addNode("n", () => ({ value: view + optional + other })).addEdge(START, "n").compile();`,
  };
  expect(await answer(files, "./src/agent.mjs:graph")).toBe("<b>boldagent.mjscaught");
});
