import path from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { findTypeScript } from "./find-typescript.js";
import type { GraphTypes } from "./graph-types.js";
import { createStaticSchemasCache, type StaticSchemasCache } from "./static-schemas-cache.js";
import type { StaticSchemasAnswer, StaticSchemasJob } from "./static-schemas-worker.js";
import { tsconfigFiles } from "./tsconfig-files.js";

/** The types of a graph, or a sentence that says why there are none. */
export type StaticAnswer = { readonly types: GraphTypes } | { readonly note: string };

export interface StaticTarget {
  /** Absolute. */
  readonly file: string;
  readonly exportName: string;
  /** Folder of `langgraph.json`. */
  readonly cwd: string;
  /** Counts reloads: what failed is tried again for another version only. */
  readonly version: number;
}

/** Reads graphs' types in a thread of its own, one at a time, at most so long. */
export interface StaticAnalysis {
  analyze(target: StaticTarget): Promise<StaticAnswer>;
  /** Stops the thread. */
  close(): Promise<void>;
}

const NO_TYPESCRIPT =
  "These schemas allow anything: reading the types of this graph needs TypeScript 5.9 or 6 (npm install -D typescript@6). Or define the state with zod or StateSchema.";
const MEMORY_LIMIT_MB = 2048;

/** @param options.timeoutMs time limit of one analysis, its start included */
export function createStaticAnalysis(options: {
  readonly timeoutMs: number;
  /** Where TypeScript is looked for. */
  readonly find?: typeof findTypeScript;
}): StaticAnalysis {
  const { timeoutMs, find = findTypeScript } = options;
  const caches = new Map<string, StaticSchemasCache>();
  const running = new Map<string, Promise<StaticAnswer>>();
  const failed = new Map<string, { readonly version: number; readonly answer: StaticAnswer }>();
  let last: Promise<unknown> = Promise.resolve();
  let stop: (() => Promise<void>) | null = null;
  let closed = false;

  const analyzeNow = async (job: StaticSchemasJob): Promise<StaticAnswer> => {
    if (closed) return { note: "The server is stopping." };
    const worker = await startWorker(job);
    const answer = new Promise<StaticAnswer>((resolve) => {
      const timer = setTimeout(() => {
        resolve({ note: `These schemas allow anything: reading the types took longer than ${String(timeoutMs)} ms.` });
      }, timeoutMs);
      const settle = (given: StaticAnswer): void => {
        clearTimeout(timer);
        resolve(given);
      };
      stop = async () => {
        settle({ note: "The server is stopping." });
        await worker.terminate();
      };
      worker.once("message", (message: StaticSchemasAnswer) =>
        settle("types" in message ? message : { note: failureNote(message.error) }),
      );
      worker.once("error", (error: unknown) =>
        settle({ note: failureNote(error instanceof Error ? error.message : String(error)) }),
      );
      worker.once("exit", () => settle({ note: failureNote("the analysis ended without an answer") }));
    });
    try {
      return await answer;
    } finally {
      stop = null;
      await worker.terminate();
    }
  };

  const analyze = async (target: StaticTarget): Promise<StaticAnswer> => {
    const compiler = await find(target.file);
    if (compiler === null) return { note: NO_TYPESCRIPT };
    const configs = await tsconfigFiles(target.file);
    const key = JSON.stringify([target.file, target.exportName, compiler.path, compiler.version, configs]);
    const cache = caches.get(target.cwd) ?? createStaticSchemasCache(target.cwd);
    caches.set(target.cwd, cache);
    const cached = await cache.get(key);
    if (cached !== null) return { types: cached };
    const turn = last.then(() =>
      analyzeNow({ typescriptPath: compiler.path, file: target.file, exportName: target.exportName }),
    );
    last = turn.catch(() => undefined);
    const answer = await turn;
    if ("types" in answer) await cache.set(key, answer.types);
    return answer;
  };

  return {
    analyze(target) {
      const key = `${target.file}:${target.exportName}`;
      const failure = failed.get(key);
      if (failure?.version === target.version) return Promise.resolve(failure.answer);
      const versioned = `${key}:${String(target.version)}`;
      const before = running.get(versioned);
      if (before !== undefined) return before;
      const answer = analyze(target)
        .then((given) => {
          if ("note" in given) failed.set(key, { version: target.version, answer: given });
          return given;
        })
        .finally(() => running.delete(versioned));
      running.set(versioned, answer);
      return answer;
    },
    async close() {
      closed = true;
      await stop?.();
      await last;
    },
  };
}

function failureNote(reason: string): string {
  return `These schemas allow anything: reading the types failed: ${reason}`;
}

async function startWorker(job: StaticSchemasJob): Promise<Worker> {
  const options = { workerData: job, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: MEMORY_LIMIT_MB } };
  const here = fileURLToPath(import.meta.url);
  const extension = path.extname(here);
  const file = path.join(path.dirname(here), `static-schemas-worker${extension}`);
  if (extension !== ".ts") return new Worker(file, options);
  // Run from source (tests): a worker thread has nobody to translate its imports.
  const { build } = await import("esbuild");
  const built = await build({
    entryPoints: [file],
    bundle: true,
    write: false,
    platform: "node",
    format: "cjs",
    packages: "external",
  });
  return new Worker(built.outputFiles[0]?.text ?? "", { ...options, eval: true });
}
