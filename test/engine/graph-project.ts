import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

/** A user's project on disk, with the packages of this repository at hand. */
export interface GraphProject {
  /** Absolute, without symbolic links. */
  readonly dir: string;
  file(name: string): string;
  write(name: string, text: string): Promise<void>;
  remove(): Promise<void>;
}

const PACKAGES = ["@langchain", "langchain", "zod", "typescript", "@types"];

/**
 * Make a project in a temporary folder. Its `node_modules` is its own, so that a test can add packages; what is real in
 * it leads to this repository's packages.
 * @param files text by path, e.g. `{"src/agent.ts": "…"}`
 */
export async function graphProject(files: Readonly<Record<string, string>>): Promise<GraphProject> {
  const dir = await realpath(await mkdtemp(path.join(tmpdir(), "heddle-graphs-")));
  const file = (name: string): string => path.join(dir, name);
  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(path.dirname(file(name)), { recursive: true });
    await writeFile(file(name), text);
  };
  await mkdir(file("node_modules"));
  for (const name of PACKAGES) {
    await symlink(path.resolve(import.meta.dirname, "../../node_modules", name), file(`node_modules/${name}`), "dir");
  }
  for (const [name, text] of Object.entries(files)) await write(name, text);
  return { dir, file, write, remove: () => rm(dir, { recursive: true, force: true }) };
}

/** Source of a graph whose one node answers `{value: <expression>}`; `before` goes above it. */
export function graphSourceText(expression: string, before = ""): string {
  return `import { Annotation, START, StateGraph } from "@langchain/langgraph";
${before}
const State = Annotation.Root({ value: Annotation<string> });
export const graph = new StateGraph(State)
  .addNode("answer", async () => ({ value: String(${expression}) }))
  .addEdge(START, "answer")
  .compile();
`;
}
