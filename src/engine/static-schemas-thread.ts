import path from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { StaticSchemasAnswer, StaticSchemasJob } from "./static-schemas-worker.js";

/** How a job of the thread ended. */
export type ThreadAnswer = StaticSchemasAnswer | { readonly stopped: "late" | "closed" };

/** One worker thread at most, started for the first job and ended when none waits: it holds hundreds of megabytes. */
export interface StaticSchemasThread {
  /** Jobs run one after the other; each may take `timeoutMs` from its start. */
  run(job: StaticSchemasJob): Promise<ThreadAnswer>;
  close(): Promise<void>;
}

const MEMORY_LIMIT_MB = 2048;

export function createStaticSchemasThread(timeoutMs: number): StaticSchemasThread {
  let worker: Promise<Worker> | null = null;
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let closed = false;
  let interrupt: (() => void) | null = null;

  const end = async (): Promise<void> => {
    const ending = worker;
    worker = null;
    await (await ending?.catch(() => null))?.terminate();
  };

  const runNow = async (job: StaticSchemasJob): Promise<ThreadAnswer> => {
    if (closed) return { stopped: "closed" };
    worker ??= startWorker();
    const thread = await worker;
    const answer = await new Promise<ThreadAnswer>((resolve) => {
      const timer = setTimeout(() => settle({ stopped: "late" }), timeoutMs);
      const onMessage = (given: StaticSchemasAnswer): void => settle(given);
      const onError = (error: unknown): void =>
        settle({ error: error instanceof Error ? error.message : String(error) });
      const onExit = (): void => settle({ error: "the analysis ended without an answer" });
      const settle = (given: ThreadAnswer): void => {
        clearTimeout(timer);
        interrupt = null;
        thread.off("message", onMessage).off("error", onError).off("exit", onExit);
        // An error that follows the answer (out of memory while it ends) has nobody to tell.
        thread.on("error", () => undefined);
        resolve(given);
      };
      interrupt = () => settle({ stopped: "closed" });
      thread.on("message", onMessage).on("error", onError).on("exit", onExit);
      thread.postMessage(job);
    });
    // A thread that was late still works on the old job; one that failed is gone.
    if (!("types" in answer)) await end();
    return answer;
  };

  return {
    run(job) {
      waiting += 1;
      const answer = last
        .then(() => runNow(job))
        .finally(async () => {
          waiting -= 1;
          if (waiting === 0) await end();
        });
      last = answer.catch(() => undefined);
      return answer;
    },
    async close() {
      closed = true;
      interrupt?.();
      await last;
      await end();
    },
  };
}

async function startWorker(): Promise<Worker> {
  const options = { execArgv: [], resourceLimits: { maxOldGenerationSizeMb: MEMORY_LIMIT_MB } };
  const here = fileURLToPath(import.meta.url);
  const extension = path.extname(here);
  const file = path.join(path.dirname(here), `static-schemas-worker${extension}`);
  if (extension !== ".ts") return new Worker(file, options);
  // Run from source, as tests do: a thread has nobody to translate its imports.
  const { build } = await import("esbuild");
  const built = await build({
    entryPoints: [file],
    bundle: true,
    write: false,
    platform: "node",
    format: "cjs",
    packages: "external",
    logLevel: "silent",
  });
  return new Worker(built.outputFiles[0]?.text ?? "", { ...options, eval: true });
}
