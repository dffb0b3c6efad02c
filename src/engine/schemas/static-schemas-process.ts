import { type ChildProcess, fork, spawn } from "node:child_process";
import path from "node:path";
import type { StaticSchemasAnswer, StaticSchemasJob } from "./static-schemas-worker.js";

/** How a job ended. */
export type JobAnswer = StaticSchemasAnswer | { readonly stopped: "late" | "closed" };

/** One worker process at most, started for the first job and ended when none waits. */
export interface StaticSchemasProcess {
  /** Jobs run one after the other; each may take `timeoutMs` from its start. */
  run(job: StaticSchemasJob): Promise<JobAnswer>;
  close(): Promise<void>;
}

/*
 * A process and not a thread: after a thread has ended, what TypeScript took stays with the server (125 MB resident
 * before, 400 MB ever after; Node 24.9, glibc), and what it does beyond its heap limit would end the server.
 */
const NODE_FLAGS = ["--max-old-space-size=2048"];

export function createStaticSchemasProcess(timeoutMs: number): StaticSchemasProcess {
  let worker: Promise<ChildProcess> | null = null;
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let closed = false;
  let interrupt: (() => void) | null = null;

  const end = async (): Promise<void> => {
    const ending = worker;
    worker = null;
    const child = await ending?.catch(() => null);
    child?.kill("SIGKILL");
  };

  const runNow = async (job: StaticSchemasJob): Promise<JobAnswer> => {
    if (closed) return { stopped: "closed" };
    worker ??= startWorker();
    const child = await worker;
    const answer = await new Promise<JobAnswer>((resolve) => {
      const timer = setTimeout(() => settle({ stopped: "late" }), timeoutMs);
      const onMessage = (given: unknown): void => settle(given as StaticSchemasAnswer);
      const onError = (error: Error): void => settle({ error: error.message });
      const onExit = (): void => settle({ error: "the analysis ended without an answer" });
      const settle = (given: JobAnswer): void => {
        clearTimeout(timer);
        interrupt = null;
        child.off("message", onMessage).off("error", onError).off("exit", onExit);
        // An error that follows the answer has nobody to tell.
        child.on("error", () => undefined);
        resolve(given);
      };
      interrupt = () => settle({ stopped: "closed" });
      child.on("message", onMessage).on("error", onError).on("exit", onExit);
      if (child.connected) child.send(job);
    });
    // A process that was late still works on the old job; one that failed is gone.
    if (!("types" in answer)) await end();
    return answer;
  };

  const runInTurn = async (before: Promise<unknown>, job: StaticSchemasJob): Promise<JobAnswer> => {
    await before;
    try {
      return await runNow(job);
    } finally {
      waiting -= 1;
      if (waiting === 0) await end();
    }
  };

  return {
    run(job) {
      waiting += 1;
      const answer = runInTurn(last, job);
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

async function startWorker(): Promise<ChildProcess> {
  const file = path.join(import.meta.dirname, "static-schemas-worker.js");
  if (!import.meta.filename.endsWith(".ts"))
    return fork(file, { execArgv: NODE_FLAGS, stdio: ["ignore", "ignore", "ignore", "ipc"] });
  // Run from source, as tests do: the process has nobody to translate its imports.
  const { build } = await import("esbuild");
  const built = await build({
    entryPoints: [file.replace(/\.js$/, ".ts")],
    bundle: true,
    write: false,
    platform: "node",
    format: "cjs",
    packages: "external",
    logLevel: "silent",
  });
  const code = built.outputFiles[0]?.text ?? "";
  return spawn(process.execPath, [...NODE_FLAGS, "-e", code], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
}
