import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDatabase } from "../support/postgres.js";
import { type PlainOptions, type ServedProcess, startProcess } from "../support/served-process.js";

/** Short enough for a test, long enough for two busy cores. */
export const LEASE_MS = 3_000;

/** Several server processes on one database of their own, with the file that their graphs write. */
export interface Cluster {
  readonly uri: string;
  readonly auditFile: string;
  /** All that were started, in order; killed ones stay listed. */
  readonly processes: readonly ServedProcess[];
  alive(): readonly ServedProcess[];
  start(options?: PlainOptions): Promise<ServedProcess>;
  close(): Promise<void>;
}

/** @param params.uri a database that the caller made and drops; default a fresh one on the tests' Postgres */
export async function openCluster(
  params: { readonly uri?: string; readonly options?: PlainOptions } = {},
): Promise<Cluster> {
  const database = params.uri === undefined ? await createDatabase() : null;
  const uri = params.uri ?? database?.uri ?? "";
  const dir = mkdtempSync(join(tmpdir(), "heddle-cluster-"));
  const auditFile = join(dir, "audit.jsonl");
  const processes: ServedProcess[] = [];
  return {
    uri,
    auditFile,
    processes,
    alive: () => processes.filter((process) => process.isAlive()),
    async start(options = {}) {
      const { worker, ...rest } = { ...params.options, ...options };
      const process = await startProcess({
        graphs: "project",
        auditFile,
        options: { storage: uri, worker: { leaseMs: LEASE_MS, drainMs: 2_000, ...worker }, ...rest },
      });
      processes.push(process);
      return process;
    },
    async close() {
      await Promise.all(processes.map((process) => process.kill("SIGKILL")));
      await database?.drop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Poll every 10 ms until `probe` gives something. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  withinMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  while (Date.now() < deadline) {
    const found = await probe();
    if (found !== null && found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited ${withinMs} ms in vain for: ${what}`);
}

export interface StreamEvent {
  readonly id?: string;
  readonly event: string;
  readonly data: unknown;
}

/**
 * Follow a run as a browser does: join, and when the connection breaks join another process, strictly after the last
 * event that was seen.
 * @param urls asked in turn; read anew for each try
 * @returns everything that was seen, in order, to the run's `end` or `error`
 */
export async function follow(
  servers: () => readonly ServedProcess[],
  threadId: string,
  runId: string,
): Promise<readonly StreamEvent[]> {
  const events: StreamEvent[] = [];
  for (let tries = 0; tries < 300; tries += 1) {
    const alive = servers();
    const server = alive[tries % Math.max(alive.length, 1)];
    try {
      if (server !== undefined) {
        await followOnce(server, threadId, runId, events);
        if (hasEnded(events)) return events;
      }
    } catch {
      // Its process died, or cannot reach the database: the next one.
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`the stream of ${runId} did not end; seen: ${events.map((event) => event.event).join(" ")}`);
}

/** Join after the last of `seen`, and add what comes, until the run or the connection ends. */
async function followOnce(server: ServedProcess, threadId: string, runId: string, seen: StreamEvent[]): Promise<void> {
  const last = seen.findLast((event) => event.id !== undefined)?.id;
  const stream = server.client.runs.joinStream(threadId, runId, {
    lastEventId: last ?? "-1",
  }) as AsyncIterable<StreamEvent>;
  for await (const event of stream) {
    seen.push(event);
    if (hasEnded(seen)) return;
  }
}

function hasEnded(seen: readonly StreamEvent[]): boolean {
  const last = seen.at(-1)?.event;
  return last === "end" || last === "error";
}

/** Sequence numbers that are missing or doubled in what a resuming reader saw. */
export function holes(events: readonly StreamEvent[]): readonly string[] {
  const ids = events.flatMap((event) => (event.id === undefined ? [] : [Number(event.id)]));
  return ids.flatMap((id, index) => (id === index ? [] : [`${id} at ${index}`])).slice(0, 5);
}

/** Writes that were acknowledged, and how many of them are not there any more. */
export interface Writes {
  readonly acknowledged: number;
  readonly refused: number;
  readonly lost: number;
}

/**
 * Make threads, one after the other, at each server in turn.
 * @returns ends it, and asks a server for what it has acknowledged
 */
export function keepWriting(servers: () => readonly ServedProcess[]): (at: ServedProcess) => Promise<Writes> {
  let writing = true;
  let acknowledged = 0;
  let refused = 0;
  const writer = (async () => {
    for (let tries = 0; writing; tries += 1) {
      const alive = servers();
      try {
        await alive[tries % alive.length]?.client.threads.create({ metadata: { kind: "acknowledged" } });
        if (alive.length > 0) acknowledged += 1;
      } catch {
        refused += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  return async (at) => {
    writing = false;
    await writer;
    const stored = await at.client.threads.count({ metadata: { kind: "acknowledged" } });
    // One that was refused may be there all the same.
    return { acknowledged, refused, lost: Math.max(0, acknowledged - stored) };
  };
}

/** One line of figures on standard output: CI's log says what was lost, and how fast it went. */
export function reportFault(what: string, figures: Readonly<Record<string, number | string>>): void {
  const parts = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`fault: ${what}: ${parts.join(", ")}\n`);
}
