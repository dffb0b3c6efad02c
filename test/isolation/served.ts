import { Annotation, START, StateGraph } from "@langchain/langgraph";
import { createApp, type HeddleServer } from "../../src/app.js";
import type { Protocol, ProtocolRoute } from "../../src/protocols/protocol.js";
import { PROTOCOLS } from "../../src/protocols/registry.js";
import * as fixtures from "../fixtures/graphs/index.js";
import { createStorage, type StorageName } from "../support/server.js";
import { letters } from "../unit/embeddings/letter-model.js";
import type { Profile } from "./profiles.js";

/** Runs until it is stopped. */
const stuck = new StateGraph(Annotation.Root({ text: Annotation<string> }))
  .addNode("wait", async (_, { signal }) => {
    await new Promise((_resolve, reject) => {
      signal?.addEventListener("abort", () => reject(new Error("aborted")));
      signal?.throwIfAborted();
    });
    return {};
  })
  .addEdge(START, "wait")
  .compile();

/** A request: what a route's case is made of. */
export interface Probe {
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly text: string;
}

/** Somebody who asks; nobody's headers are empty. */
export interface User {
  readonly name: string;
  readonly labels: readonly string[];
  readonly tenant: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The whole answer, also of a stream that ends. */
  ask(method: string, probe: Probe): Promise<Answer>;
  /** The body of an answer that must be a success. */
  json<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T>;
  /** A stream that need not end. */
  open(method: string, probe: Probe): Promise<OpenAnswer>;
}

/** An answer that is being read. */
export interface OpenAnswer {
  readonly status: number;
  /** What has come, without the comments that keep it alive. */
  readonly text: () => string;
  readonly isOver: () => boolean;
  close(): void;
}

export interface Served {
  readonly server: HeddleServer;
  readonly profile: Profile;
  /** All there are, under their default paths. */
  readonly protocols: readonly ServedProtocol[];
  user(name: string): Promise<User>;
  readonly anonymous: User;
  denied(): Promise<User>;
  close(): Promise<void>;
}

/** A protocol as it was opened. */
export interface ServedProtocol {
  readonly name: string;
  readonly path: string;
  readonly routes: readonly ProtocolRoute[];
}

/** Two pauses that no test waits for. */
export const NEVER_SECONDS = 86_400;

export async function serve(storage: StorageName, profile: Profile): Promise<Served> {
  const { uri, drop } = await createStorage(storage);
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const protocols: ServedProtocol[] = [];
  const server = await createApp({
    graphs: { ...fixtures, stuck },
    storage: uri,
    env: {},
    logger: silent,
    auth: profile.auth(),
    store: { index: { dims: 26, embed: async (texts) => texts.map(letters), fields: ["text"] } },
    protocols: Object.values(PROTOCOLS).map((factory) => told(factory(), protocols)),
    worker: { concurrency: 50, drainMs: 0, pollMs: 200 },
  });
  const users = new Map<string, Promise<User>>();
  const made = async (name: string) => userOf(server, placeOf(profile, name), await profile.headersOf(server, name));
  return {
    server,
    profile,
    protocols,
    user(name) {
      const known = users.get(name) ?? made(name);
      users.set(name, known);
      return known;
    },
    anonymous: userOf(server, { name: "nobody", labels: [], tenant: "nobody" }, {}),
    denied: async () => userOf(server, placeOf(profile, "denied"), await profile.deniedHeaders(server)),
    async close() {
      await server.close();
      await drop();
    },
  };
}

const placeOf = ({ labelsOf, tenantOf }: Profile, name: string) => ({
  name,
  labels: labelsOf(name),
  tenant: tenantOf(name),
});

/** The same protocol; what it opens is put into `opened`. */
function told(protocol: Protocol, opened: ServedProtocol[]): Protocol {
  const { name, path } = protocol;
  return {
    ...protocol,
    async open(context) {
      const open = await protocol.open(context);
      opened.push({ name, path, routes: open.routes });
      return open;
    },
  };
}

function userOf(
  server: HeddleServer,
  { name, labels, tenant }: Pick<User, "name" | "labels" | "tenant">,
  headers: Readonly<Record<string, string>>,
): User {
  const send = async (method: string, { path, body, headers: more }: Probe, signal?: AbortSignal): Promise<Response> =>
    server.app.request(path, {
      method,
      headers: { ...headers, ...more },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  const ask: User["ask"] = async (method, probe) => {
    const response = await send(method, probe);
    return { status: response.status, headers: [...response.headers], text: await response.text() };
  };
  return {
    name,
    labels,
    tenant,
    headers,
    ask,
    async json<T>(method: string, path: string, body?: unknown) {
      const { status, text } = await ask(method, { path, body });
      if (status >= 300) throw new Error(`${name}: ${method} ${path} ${status} ${text}`);
      return (text === "" ? null : JSON.parse(text)) as T;
    },
    async open(method, probe) {
      const stop = new AbortController();
      const response = await send(method, probe, stop.signal);
      let text = "";
      let isOver = false;
      const reading = (async () => {
        const decoder = new TextDecoder();
        for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
      })();
      reading.catch(() => {}).finally(() => (isOver = true));
      return {
        status: response.status,
        text: () => text.replaceAll(/^:.*\n\n?/gm, ""),
        isOver: () => isOver,
        close: () => stop.abort(),
      };
    },
  };
}
