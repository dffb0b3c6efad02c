/** Prints the stack of an error that a node throws, with source maps on, as the CLI has them. */
import { loadGraphs } from "../../../src/engine/loading/load-graphs.js";
import { graphProject } from "../graph-project.js";

process.setSourceMapsEnabled(true);
const project = await graphProject({
  "src/agent.ts": `import { Annotation, START, StateGraph } from "@langchain/langgraph";
import { fail } from "./deep/fail.js";
interface Unused { a: string }
const State = Annotation.Root({ value: Annotation<string> });
export const graph = new StateGraph(State)
  .addNode("n", () => fail())
  .addEdge(START, "n");
`,
  "src/deep/fail.ts": `interface Gone {
  a: string;
}
export const here = __dirname;
export function fail(): never {
  const unused: Gone = { a: "x" };
  throw new Error("from a node " + unused.a);
}
`,
});
const { source, failures } = await loadGraphs({
  graphs: { agent: { path: "./src/agent.ts:graph" } },
  cwd: project.dir,
  watch: false,
});
const graph = await source.resolve("agent", {}, { accessContext: "threads.read", executionRuntime: null });
const stack = await graph.invoke({ value: "" }).then(
  () => "no error",
  (error: unknown) => (error as Error).stack ?? "",
);
await source.close();
await project.remove();
process.stdout.write(JSON.stringify({ failures: failures.length, stack: stack.replaceAll(project.dir, "<project>") }));
process.exit(0);
