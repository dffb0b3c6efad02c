import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createApp } from "../../src/app.js";
import type { Logger } from "../../src/core/logger.js";
import { listen } from "../../src/node/listen.js";
import { PROTOCOLS } from "../../src/protocols/registry.js";
import * as graphs from "../fixtures/graphs/index.js";
import { requester } from "../support/requests.js";
import { createStorage, type StorageName } from "../support/server.js";

/** JSON Schema, as `/openapi.json` has it. */
export type Schema = Readonly<Record<string, unknown>>;

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly query: readonly { readonly name: string; readonly schema: Schema }[];
  readonly body: Schema | null;
}

/** A server with something in it, to be sent what it has not seen yet. */
export interface Target {
  readonly url: string;
  readonly operations: readonly Operation[];
  readonly schemas: Readonly<Record<string, Schema>>;
  /** Ids of things that there are, by the names of path parameters and fields. */
  readonly ids: Readonly<Record<string, readonly string[]>>;
  /** What the server logged as its own fault. */
  readonly faults: readonly unknown[];
  /** The server still answers as on the first day. */
  isWell(): Promise<boolean>;
  close(): Promise<void>;
}

const SECONDS_PER_RUN = 5;

/**
 * Seeds are printed; `FUZZ_SEED` repeats a run, and `FUZZ_FACTOR` makes it longer.
 */
export function fuzzing(name: string, cases: number): { readonly seed: number; readonly numRuns: number } {
  const given = process.env["FUZZ_SEED"];
  const seed = given === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(given);
  const numRuns = Math.ceil(cases * Number(process.env["FUZZ_FACTOR"] ?? 1));
  console.warn(`fuzz: ${name}: ${numRuns} cases, FUZZ_SEED=${seed}`);
  return { seed, numRuns };
}

/** Memory that is in use after everything that can be collected has been. */
export function usedHeapBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}

export async function openTarget(storage: StorageName): Promise<Target> {
  const { uri, drop } = await createStorage(storage);
  const faults: unknown[] = [];
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (fields, message) => void faults.push([message, fields]),
  };
  const server = await createApp({
    graphs: { ...graphs },
    storage: uri,
    env: {},
    logger,
    // What fuzzing starts must end.
    worker: { runTimeoutMs: SECONDS_PER_RUN * 1000, drainMs: 0 },
    limits: { maxBodyBytes: 1024 * 1024 },
    protocols: Object.values(PROTOCOLS).map((factory) => factory()),
  });
  const listener = await listen(server, { port: 0, maxMessageBytes: 1024 * 1024 });
  const { url } = listener;
  const call = requester(url);
  const { thread_id: threadId } = (await call("POST", "/threads", { metadata: { fuzz: true } })).json as {
    thread_id: string;
  };
  const run = await call("POST", `/threads/${threadId}/runs`, {
    assistant_id: "counter",
    input: { n: 1 },
    stream_resumable: true,
  });
  const { run_id: runId, assistant_id: assistantId } = run.json as { run_id: string; assistant_id: string };
  await call("GET", `/threads/${threadId}/runs/${runId}/join`);
  await call("PUT", "/store/items", { namespace: ["fuzz"], key: "k", value: { n: 1 } });
  const others = await fillProtocols(call);
  const state = (await call("GET", `/threads/${threadId}/state`)).json as { checkpoint: { checkpoint_id: string } };
  const document = (await call("GET", "/openapi.json")).json as OpenApi;
  return {
    url,
    operations: operationsOf(document),
    schemas: document.components.schemas,
    ids: {
      thread_id: [threadId],
      ...others,
      run_id: [runId, ...others.run_id],
      assistant_id: [assistantId, "counter", "echo", "ask"],
      graph_id: ["counter"],
      checkpoint_id: [state.checkpoint.checkpoint_id, ...others.checkpoint_id],
      file: ["swagger-ui.css"],
      namespace: ["fuzz"],
    },
    faults,
    async isWell() {
      const [ok, thread] = [await call("GET", "/ok?check_db=1"), await call("GET", `/threads/${threadId}`)];
      // Somebody may have deleted it, which is his right.
      return ok.status === 200 && (thread.status === 200 || thread.status === 404);
    },
    async close() {
      await listener.close({ graceMs: 0 });
      await server.close();
      await drop();
    },
  };
}

/** Something to find in each protocol. */
async function fillProtocols(call: ReturnType<typeof requester>) {
  const made = async (path: string, body: Parameters<typeof call>[2], id: string): Promise<string> => {
    const { status, json, text } = await call("POST", path, body);
    const value: unknown = (json as Record<string, unknown> | null)?.[id];
    if (status >= 300 || typeof value !== "string") throw new Error(`POST ${path} ${status} ${text}`);
    return value;
  };
  await call("POST", "/state-store/v1/state/fuzz/k", { value: 1 });
  const inputs = { workflowId: "ask", inputs: { question: "?" } };
  const webhook = { url: "https://hooks.example.com/", events: ["run.completed"] };
  return {
    run_id: [await made("/openwop/v1/runs", inputs, "runId")],
    workflow_id: ["fuzz", "counter"],
    key: ["k"],
    task_id: ["fuzz"],
    agent_id: ["fuzz"],
    state_id: [await made("/agentex/states", { task_id: "fuzz", agent_id: "fuzz", state: {} }, "id")],
    node_id: ["ask"],
    subscription_id: [await made("/openwop/v1/webhooks", webhook, "subscriptionId")],
    checkpoint_id: [await made("/snapstate/checkpoints", { workflow_id: "fuzz", step: 1, state: {} }, "checkpoint_id")],
  };
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface OpenApiOperation {
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

export function operationsOf({ paths }: OpenApi): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters, requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      query: parameters.filter((parameter) => parameter.in === "query"),
      body: requestBody?.content["application/json"]?.schema ?? null,
    })),
  );
}
