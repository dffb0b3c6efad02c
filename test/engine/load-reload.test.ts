import { rename, rm, utimes, writeFile } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import type { GraphUse } from "../../src/engine/graph-source.js";
import { loadGraphs, type LoadedGraphs, type ReloadResult } from "../../src/engine/loading/load-graphs.js";
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

interface Watched {
  readonly project: GraphProject;
  readonly loaded: LoadedGraphs;
  /** Do something, and wait for the reload that follows. */
  after(change: () => Promise<unknown>): Promise<ReloadResult>;
  answer(graphId?: string): Promise<unknown>;
  readonly reloads: ReloadResult[];
}

async function watched(
  files: Readonly<Record<string, string>>,
  graphs: Readonly<Record<string, string>> = AGENT,
): Promise<Watched> {
  const project = await graphProject(files);
  const reloads: ReloadResult[] = [];
  let notify: ((result: ReloadResult) => void) | undefined;
  const loaded = await loadGraphs({
    graphs: Object.fromEntries(Object.entries(graphs).map(([id, path]) => [id, { path }])),
    cwd: project.dir,
    watch: true,
    onReload: (result) => {
      reloads.push(result);
      notify?.(result);
    },
  });
  open.push({ project, loaded });
  return {
    project,
    loaded,
    reloads,
    after: async (change) => {
      const next = new Promise<ReloadResult>((resolve) => (notify = resolve));
      await change();
      return next;
    },
    answer: async (graphId = "agent") => {
      const graph = await loaded.source.resolve(graphId, {}, use);
      return ((await graph.invoke({ value: "" })) as { value: unknown }).value;
    },
  };
}

const agent = graphSourceText("word", 'import { word } from "./lib/word.js";');

test("a change of a transitive source reloads; a run that has its graph keeps it", async () => {
  const { project, loaded, after, answer } = await watched({
    "src/agent.ts": agent,
    "src/lib/word.ts": 'export const word = "one";',
  });
  const old = await loaded.source.resolve("agent", {}, use);
  const result = await after(() => project.write("src/lib/word.ts", 'export const word = "two";'));
  expect(result).toMatchObject({ reloaded: ["agent"], failures: [] });
  expect(await answer()).toBe("two");
  expect(await old.invoke({ value: "" })).toEqual({ value: "one" });
});

test("JavaScript, JSON, tsconfig and a file that an editor replaces", async () => {
  const { project, after, answer } = await watched(
    {
      "tsconfig.json": '{ "compilerOptions": { "paths": { "@word": ["./one.js"] } } }',
      "one.js": 'export const word = "one";',
      "two.js": 'export const word = "two";',
      "data.json": '{ "mark": "!" }',
      "agent.mjs": graphSourceText(
        "word + data.mark",
        'import { word } from "@word";\nimport data from "./data.json" with { type: "json" };',
      ).replaceAll("<string>", "()"),
    },
    { agent: "./agent.mjs:graph" },
  );
  expect(await answer()).toBe("one!");
  await after(() => project.write("data.json", '{ "mark": "?" }'));
  expect(await answer()).toBe("one?");
  await after(() => project.write("tsconfig.json", '{ "compilerOptions": { "paths": { "@word": ["./two.js"] } } }'));
  expect(await answer()).toBe("two?");
  await writeFile(project.file("two.tmp"), 'export const word = "three";');
  await after(() => rename(project.file("two.tmp"), project.file("two.js")));
  expect(await answer()).toBe("three?");
});

test("a failed rebuild keeps what was served, says why once, and the mend is noticed", async () => {
  const { project, after, answer, reloads } = await watched(
    {
      "src/agent.ts": agent,
      "src/lib/word.ts": 'export const word = "one";',
      "src/other.ts": graphSourceText('"other"'),
    },
    { agent: "./src/agent.ts:graph", other: "./src/other.ts:graph" },
  );
  const broken = await after(() => project.write("src/lib/word.ts", "export const word = ;"));
  expect(broken.failures.map(({ graphId, error }) => [graphId, error.message])).toEqual([
    ["agent", expect.stringContaining("src/lib/word.ts:1:21: Unexpected") as unknown],
  ]);
  expect(await answer()).toBe("one");
  expect(await answer("other")).toBe("other");

  const other = await after(() => project.write("src/other.ts", graphSourceText('"still works"')));
  expect(other.reloaded).toEqual(["other"]);
  expect(await answer("other")).toBe("still works");
  expect(await answer()).toBe("one");

  const thrown = await after(() =>
    project.write("src/lib/word.ts", 'export const word = "";\nthrow new Error("at start");'),
  );
  expect(thrown.failures[0]?.error.message).toContain("src/lib/word.ts:2:7: running it failed: Error: at start");
  expect(await answer()).toBe("one");

  const gone = await after(() => rm(project.file("src/lib"), { recursive: true }));
  expect(gone.failures[0]?.error.message).toContain('Could not resolve "./lib/word.js"');

  const mended = await after(() => project.write("src/lib/word.ts", 'export const word = "mended";'));
  expect(mended.failures).toEqual([]);
  expect(await answer()).toBe("mended");
  expect(reloads.every(({ reloaded, failures }) => reloaded.length + failures.length > 0)).toBe(true);
});

test("a graph that failed at the start is served once it is mended, and a missing file once it is there", async () => {
  const { project, loaded, after, answer } = await watched(
    { "src/agent.ts": "export const graph = 1;" },
    { agent: "./src/agent.ts:graph", later: "./new/later.ts:graph" },
  );
  expect(loaded.failures.map(({ graphId }) => graphId)).toEqual(["agent", "later"]);
  expect(loaded.source.has("agent")).toBe(false);
  await after(() => project.write("src/agent.ts", graphSourceText('"now"')));
  expect(await answer()).toBe("now");
  expect(loaded.source.has("later")).toBe(false);
  const result = await after(() => project.write("new/later.ts", graphSourceText('"later"')));
  expect(result.reloaded).toContain("later");
  expect(await answer("later")).toBe("later");
});

test("a file that is touched and not changed does not reload", async () => {
  const { project, after, reloads } = await watched({ "src/agent.ts": graphSourceText('"one"') });
  const before = reloads.length;
  await utimes(project.file("src/agent.ts"), new Date(), new Date());
  await after(() => project.write("src/agent.ts", graphSourceText('"two"')));
  expect(reloads.length).toBe(before + 1);
});

test("closing stops the watch", async () => {
  const { project, loaded, reloads } = await watched({ "src/agent.ts": graphSourceText('"one"') });
  await loaded.source.close();
  await project.write("src/agent.ts", graphSourceText('"two"'));
  await loaded.source.close();
  expect(reloads).toEqual([]);
});
