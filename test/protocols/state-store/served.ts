import { randomUUID } from "node:crypto";
import { request as rawRequest } from "node:http";
import { EventSource } from "eventsource";
import { createApp, type HeddleServer } from "../../../src/app.js";
import type { AppOptions } from "../../../src/config/options.js";
import { listen } from "../../../src/node/listen.js";
import { stateStore } from "../../../src/protocols/state-store/index.js";
import type { RecordHints } from "../../../src/services/record-hints.js";
import * as graphs from "../../fixtures/graphs/index.js";
import { createStorage, type StorageName } from "../../support/server.js";

export const PROTOCOL_STORAGES: readonly StorageName[] = [
  "memory",
  "sqlite",
  "postgres",
  ...(process.env["MONGODB_TEST_URI"] === undefined ? [] : (["mongodb"] as const)),
];

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

export interface Change {
  readonly oldValue: unknown;
  readonly newValue: unknown;
  readonly version: number;
}

export interface Served {
  readonly server: HeddleServer;
  /** Of the State Store, with its path. */
  readonly url: string;
  /** Of the LangGraph API. */
  readonly apiUrl: string;
  readonly hints: () => RecordHints;
  send(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  set(workflow: string, key: string, value: unknown, more?: object): Promise<number>;
  get(workflow: string, key: string): Promise<unknown>;
  follow(workflow: string, key: string, options?: { readonly lastEventId?: number }): Promise<Following>;
  close(): Promise<void>;
}

/** A server with the State Store at its default path, on a free port. */
export async function serve(
  storage: StorageName | { readonly uri: string },
  options: Partial<AppOptions> = {},
): Promise<Served> {
  const place = typeof storage === "string" ? await createStorage(storage) : { ...storage, drop: async () => {} };
  const protocol = stateStore();
  let hints: RecordHints | null = null;
  const observed: typeof protocol = {
    ...protocol,
    open(context) {
      ({ hints } = context);
      return protocol.open(context);
    },
  };
  const server = await createApp({
    graphs: { ...graphs },
    storage: place.uri,
    env: {},
    logLevel: "error",
    protocols: [observed],
    ...options,
  });
  const listening = await listen(server, { port: 0, host: "127.0.0.1" });
  const url = `${listening.url}/state-store`;
  const send: Served["send"] = async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      redirect: "manual",
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text), headers: response.headers };
  };
  return {
    server,
    url,
    apiUrl: listening.url,
    hints: () => hints as RecordHints,
    send,
    async set(workflow, key, value, more = {}) {
      const { status, body } = await send("POST", pathOf(workflow, key), { value, ...more });
      if (status !== 200) throw new Error(`set answered ${status}: ${JSON.stringify(body)}`);
      return (body as { version: number }).version;
    },
    get: async (workflow, key) => (await send("GET", pathOf(workflow, key))).body,
    follow: (workflow, key, { lastEventId } = {}) =>
      follow(
        `${url}${pathOf(workflow, key)}/stream`,
        lastEventId === undefined ? {} : { "last-event-id": `${lastEventId}` },
      ),
    async close() {
      await listening.close();
      await server.close();
      await place.drop();
    },
  };
}

export const pathOf = (workflow: string, key: string): string =>
  `/v1/state/${encodeURIComponent(workflow)}/${encodeURIComponent(key)}`;

export const workflow = (): string => `workflow-${randomUUID()}`;

/** A stream of changes, by hand: also what `EventSource` would not show. */
export interface Following {
  readonly response: Response;
  /** Waits until there are so many. */
  changes(count: number): Promise<readonly Change[]>;
  /** As it came over the wire. */
  text(): string;
  readonly isOver: () => boolean;
  close(): void;
}

export async function follow(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Following> {
  const controller = new AbortController();
  const response = await fetch(url, { headers, signal: controller.signal });
  let text = "";
  let isOver = false;
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
  };
  void read()
    .catch(() => {})
    .finally(() => (isOver = true));
  const seen = (): readonly Change[] =>
    text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6)) as Change] : []));
  return {
    response,
    async changes(count) {
      await soon(
        () => seen().length >= count,
        () => `${count} changes; there are ${JSON.stringify(seen()).slice(0, 500)}`,
      );
      return seen();
    },
    text: () => text,
    isOver: () => isOver,
    close: () => controller.abort(),
  };
}

/** Poll for at most fifteen seconds. */
export async function soon(probe: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await probe())) {
    if (performance.now() > deadline) throw new Error(`waited too long for ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** npm's `eventsource`, whose messages are kept; resolves when it is open. */
export async function openEventSource(
  url: string,
): Promise<{ readonly source: EventSource; readonly messages: MessageEvent[] }> {
  const source = new EventSource(url);
  const messages: MessageEvent[] = [];
  source.addEventListener("message", (event) => messages.push(event));
  await new Promise<void>((resolve, reject) => {
    source.addEventListener("open", () => resolve());
    source.addEventListener("error", (event) => reject(new Error(`EventSource: ${event.code ?? "failed"}`)));
  });
  return { source, messages };
}

/** A request whose path goes out as it is: `fetch` would resolve `.` and `..`. */
export function sendRaw(
  url: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: unknown }> {
  const { hostname, port, pathname } = new URL(url);
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const asked = rawRequest({ hostname, port, method, path: pathname + path, headers }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body: text === "" ? null : JSON.parse(text) }));
    });
    asked.on("error", reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** The envelope of a refusal, in both readings of the documentation. */
export const refused = (status: number, code: string, more: object = {}) => {
  const message = ANY_TEXT;
  return { status, body: { error: { code, message, ...more }, code, message } };
};
const ANY_TEXT: unknown = { asymmetricMatch: (value: unknown) => typeof value === "string" && value !== "" };
