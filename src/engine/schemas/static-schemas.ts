import { findTypeScript } from "../loading/find-typescript.js";
import type { GraphTypes } from "./graph-types.js";
import { createStaticSchemasCache, type StaticSchemasCache } from "./static-schemas-cache.js";
import { createStaticSchemasProcess } from "./static-schemas-process.js";
import { tsconfigFiles } from "../loading/tsconfig-files.js";

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

/** Reads graphs' types in a process of its own, one at a time, at most so long. */
export interface StaticAnalysis {
  analyze(target: StaticTarget): Promise<StaticAnswer>;
  /** Stops the process. */
  close(): Promise<void>;
}

const NO_TYPESCRIPT =
  "These schemas allow anything: reading the types of this graph needs TypeScript 5.9 or 6 (npm install -D typescript@6). Or define the state with zod or StateSchema.";
const STOPPING = "The server is stopping.";

/** @param options.timeoutMs time limit of one analysis */
export function createStaticAnalysis(options: {
  readonly timeoutMs: number;
  /** Where TypeScript is looked for. */
  readonly find?: typeof findTypeScript;
}): StaticAnalysis {
  const { timeoutMs, find = findTypeScript } = options;
  const caches = new Map<string, StaticSchemasCache>();
  const running = new Map<string, Promise<StaticAnswer>>();
  const failed = new Map<string, { readonly version: number; readonly answer: StaticAnswer }>();
  const worker = createStaticSchemasProcess(timeoutMs);

  const analyze = async (target: StaticTarget): Promise<StaticAnswer> => {
    const compiler = await find(target.file);
    if (compiler === null) return { note: NO_TYPESCRIPT };
    const configs = await tsconfigFiles(target.file);
    const key = JSON.stringify([target.file, target.exportName, compiler.path, compiler.version, configs]);
    const cache = caches.get(target.cwd) ?? createStaticSchemasCache(target.cwd);
    caches.set(target.cwd, cache);
    const cached = await cache.get(key);
    if (cached !== null) return { types: cached };
    const given = await worker.run({ typescriptPath: compiler.path, file: target.file, exportName: target.exportName });
    if ("stopped" in given) return { note: given.stopped === "late" ? lateNote(timeoutMs) : STOPPING };
    if ("error" in given) return { note: failureNote(given.error) };
    await cache.set(key, given.types);
    return given;
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
        .catch((error: unknown) => ({ note: failureNote(error instanceof Error ? error.message : String(error)) }))
        .then((given) => {
          if ("note" in given) failed.set(key, { version: target.version, answer: given });
          return given;
        })
        .finally(() => running.delete(versioned));
      running.set(versioned, answer);
      return answer;
    },
    close: () => worker.close(),
  };
}

function failureNote(reason: string): string {
  return `These schemas allow anything: reading the types failed: ${reason}`;
}

function lateNote(timeoutMs: number): string {
  return `These schemas allow anything: reading the types took longer than ${String(timeoutMs)} ms.`;
}
