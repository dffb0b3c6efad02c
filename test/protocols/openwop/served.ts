import { Client } from "@langchain/langgraph-sdk";
import { createApp, type HeddleServer } from "../../../src/app.js";
import { apiKey } from "../../../src/auth/api-key.js";
import type { AppOptions } from "../../../src/config/options.js";
import { listen } from "../../../src/node/listen.js";
import { openwop } from "../../../src/protocols/openwop/index.js";
import { graph as reviewed } from "../../../graphs/approval.js";
import { graph as parallel } from "../../../graphs/parallel.js";
import { conformanceGraphs } from "./conformance-graphs.js";
import * as own from "./graphs.js";
import { framesOf, type Frame } from "../../support/requests.js";
import { createStorage, type StorageName } from "../../support/server.js";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- answers of many shapes, checked by the tests
export type Json = any;

export interface Answer {
  readonly status: number;
  readonly body: Json;
  readonly text: string;
  readonly headers: Headers;
}

/** Requests of one API key. */
export interface User {
  readonly secret: string;
  send(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Create a run. @returns its id */
  start(workflow: string, body?: Json, headers?: Readonly<Record<string, string>>): Promise<string>;
  snapshot(runId: string): Promise<Json>;
  /** Its whole log, as it is now. */
  log(runId: string): Promise<readonly Json[]>;
  /** Until it has one of these statuses. @returns its snapshot */
  reaches(runId: string, ...statuses: readonly string[]): Promise<Json>;
  /** The frames of a stream, until it ends. */
  stream(runId: string, query?: string, headers?: Readonly<Record<string, string>>): Promise<readonly Frame[]>;
  open(runId: string, query?: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** The LangGraph API as the same key. */
  readonly client: Client;
}

export interface Served {
  /** Of the server, without the mount. */
  readonly url: string;
  /** The storage's. */
  readonly uri: string;
  readonly server: HeddleServer;
  readonly ann: User;
  user(identity: string): Promise<User>;
  as(secret: string): User;
  /** Without any credentials. */
  readonly nobody: User;
  close(): Promise<void>;
}

/** Receivers on this machine may be told. */
const LOCAL_WEBHOOKS = { url: { requireHttps: false, disableLoopback: false } };

const MOUNT = "/openwop";

/** Workflows by their ids. */
const WORKFLOWS = {
  ...conformanceGraphs,
  reviewed,
  parallel,
  ...own,
};

/** A server with OpenWOP at its default path and API keys, on a free port. */
export async function serve(
  storage: StorageName | { readonly uri: string },
  options: Partial<AppOptions> = {},
): Promise<Served> {
  const place = typeof storage === "string" ? await createStorage(storage) : { ...storage, drop: async () => {} };
  const server = await createApp({
    graphs: WORKFLOWS,
    storage: place.uri,
    auth: apiKey({ cacheMs: 0 }),
    protocols: [openwop()],
    webhooks: LOCAL_WEBHOOKS,
    logLevel: "error",
    env: {},
    ...options,
  });
  const listening = await listen(server, { port: 0, host: "127.0.0.1" });
  const as = (secret: string): User => userAt(listening.url, secret);
  const user = async (identity: string): Promise<User> => {
    const { secret } = await server.apiKeys.create({ identity, permissions: ["*"] });
    return as(secret);
  };
  return {
    url: listening.url,
    uri: place.uri,
    server,
    as,
    user,
    ann: await user("ann"),
    nobody: userAt(listening.url, null),
    async close() {
      await listening.close();
      await server.close();
      await place.drop();
    },
  };
}

/** @param secret `null`: without credentials */
export function userAt(url: string, secret: string | null): User {
  const authorization: Record<string, string> = secret === null ? {} : { authorization: `Bearer ${secret}` };
  const send: User["send"] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}${MOUNT}${path}`, {
      method,
      headers: { ...authorization, "content-type": "application/json", ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    let parsed: Json;
    try {
      parsed = JSON.parse(text);
    } catch {
      parsed = undefined;
    }
    return { status: response.status, body: parsed, text, headers: response.headers };
  };
  const snapshot = async (runId: string): Promise<Json> => {
    const { status, body, text } = await send("GET", `/v1/runs/${runId}`);
    if (status !== 200) throw new Error(`snapshot: ${status} ${text}`);
    return body;
  };
  const open: User["open"] = (runId, query = "", headers = {}) =>
    fetch(`${url}${MOUNT}/v1/runs/${runId}/events${query}`, {
      headers: { accept: "text/event-stream", ...authorization, ...headers },
    });
  return {
    secret: secret ?? "",
    send,
    async start(workflow, body = {}, headers = {}) {
      const answer = await send("POST", "/v1/runs", { workflowId: workflow, ...body }, headers);
      if (answer.status !== 201) throw new Error(`start: ${answer.status} ${answer.text}`);
      return answer.body.runId as string;
    },
    snapshot,
    async log(runId) {
      const { body } = await send("GET", `/v1/runs/${runId}/events`, undefined, { accept: "application/json" });
      return body.events as Json[];
    },
    async reaches(runId, ...statuses) {
      for (let look = 0; look < 1_500; look += 1) {
        const seen = await snapshot(runId);
        if (statuses.includes(seen.status)) return seen;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      throw new Error(`waited too long for ${statuses.join(" or ")}: ${JSON.stringify(await snapshot(runId))}`);
    },
    open,
    async stream(runId, query, headers) {
      return framesOf(await (await open(runId, query, headers)).text());
    },
    client: new Client({
      apiUrl: url,
      callerOptions: { maxRetries: 0 },
      defaultHeaders: authorization,
      apiKey: null as unknown as string,
    }),
  };
}

export const typesOf = (events: readonly Json[]): string[] => events.map(({ type }) => type);

/** What replays are compared by. */
export const courseOf = (events: readonly Json[]): Json[] =>
  events.map(({ type, nodeId, payload }) => ({ type, nodeId, payload }));

/** Until it is so, at most fifteen seconds. */
export async function until(probe: () => Promise<boolean>, what: string): Promise<void> {
  for (let look = 0; look < 1_500; look += 1) {
    if (await probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited too long for: ${what}`);
}
