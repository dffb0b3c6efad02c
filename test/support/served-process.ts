import { Client } from "@langchain/langgraph-sdk";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { AppOptions } from "../../src/config/options.js";

// Not by URL: a test of a page has the page's.
const CHILD = join(import.meta.dirname, "served-app.mjs");

/** A server in a process of its own, to be killed. */
export interface ServedProcess {
  readonly url: string;
  readonly pid: number;
  readonly client: Client;
  /** False once it has ended, whoever ended it. */
  isAlive(): boolean;
  /** Send a signal to this very process, without waiting. */
  signal(signal: NodeJS.Signals): void;
  /** Send a signal and wait for its end. @returns its exit code, `null` after SIGKILL */
  kill(signal: NodeJS.Signals): Promise<number | null>;
  /** Resolves when it has ended by itself. */
  exited(): Promise<void>;
}

/** Options that can be handed to another process. */
export type PlainOptions = Omit<AppOptions, "graphs" | "checkpointer" | "logger" | "http"> & {
  readonly checkpointer?: string;
};

/**
 * Start a server on a free port of 127.0.0.1 from the built package.
 * @param params.graphs `project`: test/fixtures/project, whose `audited` graph writes to `auditFile`; `fixtures`:
 *   test/fixtures/graphs
 */
export async function startProcess(params: {
  readonly graphs: "project" | "fixtures";
  readonly options: PlainOptions;
  readonly auditFile?: string;
}): Promise<ServedProcess> {
  const { graphs, options, auditFile } = params;
  const child = spawn(process.execPath, [CHILD, JSON.stringify({ graphs, options })], {
    env: {
      PATH: process.env["PATH"],
      NODE_NO_WARNINGS: "1",
      ...(auditFile !== undefined && { AUDIT_FILE: auditFile }),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await listening(child);
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const ended = once(child, "exit");
  return {
    url,
    pid: child.pid as number,
    client: new Client({ apiUrl: url, callerOptions: { maxRetries: 0 } }),
    isAlive: () => !hasEnded(),
    signal: (signal) => void child.kill(signal),
    async kill(signal) {
      if (!hasEnded()) {
        child.kill(signal);
        // A stopped process takes no other signal than this one.
        if (signal !== "SIGKILL") child.kill("SIGCONT");
        await ended;
      }
      return child.exitCode;
    },
    async exited() {
      await ended;
    },
  };
}

/** Resolves with the URL of the log line that says where a child listens. */
export async function listening(child: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    const url = /"url":"(http:[^"]+)"/.exec(text)?.[1];
    if (url !== undefined) {
      child.stdout?.resume();
      return url;
    }
  }
  throw new Error(`the server ended before it listened: ${text}`);
}
