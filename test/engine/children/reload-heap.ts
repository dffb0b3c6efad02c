/** Reloads a graph 200 times and prints the heap after a collection, early and late. */
import { loadGraphs } from "../../../src/engine/loading/load-graphs.js";
import { graphProject, graphSourceText } from "../graph-project.js";

const RELOADS = 200;
const WARM_UP = 40;

process.setSourceMapsEnabled(true);
const heldMb = 2;
/** Holds `heldMb` per version in its module scope, so that a version that stays shows. */
const source = (version: number): string =>
  graphSourceText(
    `big.length && ${String(version)}`,
    `const big = new Array(${String((heldMb * 1024 * 1024) / 8)}).fill(${String(version)}.5);`,
  );

const project = await graphProject({ "src/agent.ts": source(0) });
let reloaded: (() => void) | undefined;
const { source: graphs } = await loadGraphs({
  graphs: { agent: { path: "./src/agent.ts:graph" } },
  cwd: project.dir,
  watch: true,
  onReload: () => reloaded?.(),
});

async function heapMb(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc?.();
  }
  return process.memoryUsage().heapUsed / 1024 / 1024;
}

const nextReload = (): Promise<void> => new Promise((resolve) => (reloaded = resolve));

let value: unknown;
let early = 0;
const startedAt = performance.now();
for (let version = 1; version <= RELOADS; version += 1) {
  const next = nextReload();
  await project.write("src/agent.ts", source(version));
  await next;
  const graph = await graphs.resolve("agent", {}, { accessContext: "threads.read", executionRuntime: null });
  ({ value } = (await graph.invoke({ value: "" })) as { value: unknown });
  if (version === WARM_UP) early = await heapMb();
}
const msPerReload = (performance.now() - startedAt) / RELOADS;
const late = await heapMb();
await graphs.close();
await project.remove();
process.stdout.write(
  JSON.stringify({ value, early, late, growthKbPerReload: ((late - early) * 1024) / (RELOADS - WARM_UP), msPerReload }),
);
process.exit(0);
