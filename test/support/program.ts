import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";

const root = path.resolve(import.meta.dirname, "../..");

/** A TypeScript program of `test/support/programs` in a process of its own, which talks in lines of JSON. */
export interface Program {
  readonly pid: number;
  /** The next line it prints. Rejects when it has ended. */
  read(): Promise<unknown>;
  /** One line to its standard input. */
  write(message: unknown): void;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL, unless it has ended. */
  close(): Promise<void>;
}

/** @param name file in `test/support/programs`, without extension @param args its `process.argv` from 2 on */
export async function startProgram(name: string, args: readonly string[]): Promise<Program> {
  // Two folders deep, as the sources are: they look for the package.json from where they are.
  const folder = path.join(root, "node_modules/.heddle-tests");
  await mkdir(folder, { recursive: true });
  const outfile = path.join(folder, `${name}-${randomUUID()}.mjs`);
  await build({
    entryPoints: [path.join(import.meta.dirname, "programs", `${name}.ts`)],
    outfile,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    logLevel: "error",
  });
  const child = spawn(process.execPath, [outfile, ...args], { cwd: root, stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit").then(() => rm(outfile, { force: true }));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid as number,
    async read() {
      const { done, value } = await lines.next();
      if (done === true) throw new Error(`${name} has ended`);
      return JSON.parse(value) as unknown;
    },
    write: (message) => void child.stdin.write(`${JSON.stringify(message)}\n`),
    signal: (signal) => void child.kill(signal),
    async close() {
      if (!hasEnded(child)) child.kill("SIGKILL");
      await ended;
    },
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
