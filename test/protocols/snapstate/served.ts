import { createHash, randomUUID } from "node:crypto";
import { Client } from "@langchain/langgraph-sdk";
import { createApp, type HeddleServer } from "../../../src/app.js";
import { apiKey } from "../../../src/auth/api-key.js";
import type { AppOptions } from "../../../src/config/options.js";
import { listen } from "../../../src/node/listen.js";
import { snapstate } from "../../../src/protocols/snapstate/index.js";
import * as graphs from "../../fixtures/graphs/index.js";
import { createStorage, type StorageName } from "../../support/server.js";

/** Storages of this protocol's suites; MongoDB where there is one. */
export const PROTOCOL_STORAGES: readonly StorageName[] = [
  "memory",
  "sqlite",
  "postgres",
  ...(process.env["MONGODB_TEST_URI"] === undefined ? [] : (["mongodb"] as const)),
];

/** How many of something a test makes: FerretDB answers one command at a time, and looks through all there is. */
export const asMany = (storage: StorageName, count: number, onMongo: number): number =>
  storage === "mongodb" ? onMongo : count;

export type Json = Record<string, unknown>;

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
  /** Save, with defaults for what is left out. */
  save(body: Json, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** The LangGraph API as the same key. */
  readonly client: Client;
}

export interface Served {
  /** Of the server, without the mount. */
  readonly url: string;
  /** The storage's. */
  readonly uri: string;
  readonly server: HeddleServer;
  /** A key of an account; a second one of the same name is another key of it. */
  user(identity: string): Promise<User>;
  as(secret: string): User;
  /** Without any credentials. */
  readonly nobody: User;
  close(): Promise<void>;
}

/** Receivers on this machine may be told. */
const LOCAL_WEBHOOKS = { url: { requireHttps: false, disableLoopback: false } };

const MOUNT = "/snapstate";

/** A server with SnapState at its default path and API keys, on a free port. */
export async function serve(
  storage: StorageName | { readonly uri: string },
  options: Partial<AppOptions> = {},
): Promise<Served> {
  const place = typeof storage === "string" ? await createStorage(storage) : { ...storage, drop: async () => {} };
  const server = await createApp({
    graphs: { ...graphs },
    storage: place.uri,
    auth: apiKey({ cacheMs: 0 }),
    protocols: [snapstate()],
    webhooks: LOCAL_WEBHOOKS,
    logLevel: "error",
    env: {},
    ...options,
  });
  const listening = await listen(server, { port: 0, host: "127.0.0.1" });
  const as = (secret: string): User => userOf(listening.url, secret);
  return {
    url: listening.url,
    uri: place.uri,
    server,
    as,
    nobody: userOf(listening.url, null),
    async user(identity) {
      const { secret } = await server.apiKeys.create({ identity, permissions: ["*"] });
      return as(secret);
    },
    async close() {
      await listening.close();
      await server.close();
      await place.drop();
    },
  };
}

function userOf(url: string, secret: string | null): User {
  const authorization: Record<string, string> = secret === null ? {} : { authorization: `Bearer ${secret}` };
  const send: User["send"] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}${MOUNT}${path}`, {
      method,
      headers: { ...authorization, "content-type": "application/json", ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = (text === "" ? {} : JSON.parse(text)) as Json;
    return { status: response.status, body: json, text, headers: response.headers };
  };
  return {
    secret: secret ?? "",
    send,
    save: (body, headers) => send("POST", "/checkpoints", { step: 1, state: {}, ...body }, headers),
    client: new Client({
      apiUrl: url,
      callerOptions: { maxRetries: 0 },
      defaultHeaders: authorization,
      apiKey: null as unknown as string,
    }),
  };
}

/** A workflow's name that no other test has. */
export const fresh = (name = "wf"): string => `${name}-${randomUUID().slice(0, 8)}`;

export const errorOf = ({ status, body }: Answer): readonly [number, unknown] => [
  status,
  (body["error"] as Json | undefined)?.["code"],
];

/** What an etag must be. */
export const etagFor = (state: unknown): string =>
  `"${createHash("sha256").update(JSON.stringify(state)).digest("hex").slice(0, 16)}"`;

/** Look until it is so, at most twenty seconds. */
export async function until(probe: () => Promise<boolean>, what: string): Promise<void> {
  for (let look = 0; look < 1_000; look += 1) {
    if (await probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited too long for: ${what}`);
}
