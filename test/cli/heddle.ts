import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The built program; `npm test` builds it first. */
const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const MODULES = fileURLToPath(new URL("../../node_modules", import.meta.url));

/** A graph that answers with `answer`, as a file of a user's project. */
export function graphFile(answer: string): string {
  return `import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
const State = Annotation.Root({ answer: Annotation<string> });
export const graph = new StateGraph(State)
  .addNode("speak", () => ({ answer: ${JSON.stringify(answer)} }))
  .addEdge(START, "speak")
  .addEdge("speak", END)
  .compile();
`;
}

export interface Project {
  readonly dir: string;
  write(name: string, content: string): void;
  remove(): void;
}

/** A user's project in a folder of its own, with the packages that Heddle's own tests have. */
export function createProject(manifest: object, files: Readonly<Record<string, string>> = {}): Project {
  const dir = mkdtempSync(join(tmpdir(), "heddle-cli-"));
  symlinkSync(MODULES, join(dir, "node_modules"));
  const project = {
    dir,
    write: (name: string, content: string) => writeFileSync(join(dir, name), content),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
  project.write("package.json", '{"type": "module"}');
  project.write("langgraph.json", JSON.stringify(manifest, null, 2));
  for (const [name, content] of Object.entries(files)) project.write(name, content);
  return project;
}

/** The environment of a child: nothing of this process's settings. */
function environment(extra: Readonly<Record<string, string>>): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", ...extra };
}

export function heddle(
  args: readonly string[],
  options: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly nodeArgs?: readonly string[];
  } = {},
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(process.execPath, [...(options.nodeArgs ?? []), MAIN, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: environment(options.env ?? {}),
    encoding: "utf8",
    timeout: 20_000,
  });
}

type LogEntry = Readonly<Record<string, unknown>> & { readonly msg: string };

/** A running `heddle serve` or `heddle dev`, whose log is read as it comes. */
export interface RunningHeddle {
  readonly child: ChildProcess;
  /** The next log entry, not seen by an earlier call, whose message matches. Fails when the process ends first. */
  entry(message: RegExp): Promise<LogEntry>;
  stderr(): string;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export function startHeddle(
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): RunningHeddle {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: options.cwd,
    env: environment({ LOG_JSON: "true", ...options.env }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit") as Promise<[number | null]>;
  const lines: string[] = [];
  let rest = "";
  let errors = "";
  let ended = false;
  let wake = Promise.withResolvers<void>();
  const changed = () => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };
  child.stdout.on("data", (data: Buffer) => {
    const parts = (rest + data.toString()).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    changed();
  });
  child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
  child.on("close", () => {
    ended = true;
    changed();
  });
  return {
    child,
    async entry(message) {
      for (;;) {
        while (lines.length > 0) {
          const line = lines.shift() ?? "";
          const parsed = line.startsWith("{") ? (JSON.parse(line) as LogEntry) : { msg: line };
          if (message.test(parsed.msg)) return parsed;
        }
        if (ended) throw new Error(`heddle ended before it logged ${message}. Standard error:\n${errors}`);
        await wake.promise;
      }
    },
    stderr: () => errors,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const [code] = await exited;
      return code;
    },
  };
}

/** Run a graph of a server and give its final state. */
export async function runGraph(url: unknown, graphId: string): Promise<unknown> {
  const response = await fetch(`${String(url)}/runs/wait`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ assistant_id: graphId, input: { answer: "" } }),
  });
  return response.json();
}
