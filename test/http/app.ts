import { afterEach } from "vitest";
import type { HeddleServer } from "../../src/app.js";
import { createApp } from "../../src/app.js";
import type { AppOptions } from "../../src/config/options.js";
import * as graphs from "../fixtures/graphs/index.js";

export interface LogLine {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface HttpApp extends HeddleServer {
  readonly log: readonly LogLine[];
  /** A request without a socket; `body` as JSON unless it is text. */
  request(method: string, path: string, body?: unknown, init?: RequestInit): Promise<Response>;
  /** The same, answered with JSON. */
  json(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown; headers: Headers }>;
  newThread(): Promise<string>;
}

const opened: HeddleServer[] = [];

/** An app on memory with the fixture graphs, closed after the test. */
export async function openHttpApp(options: Partial<AppOptions> = {}): Promise<HttpApp> {
  const log: LogLine[] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void log.push({ level, fields: { ...fields }, message });
  const server = await createApp({
    graphs: { ...graphs },
    storage: "memory:",
    env: {},
    logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    ...options,
  });
  opened.push(server);
  const request: HttpApp["request"] = async (method, path, body, init = {}) => {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    return server.app.request(path, { method, ...(text === undefined ? {} : { body: text }), ...init });
  };
  const json: HttpApp["json"] = async (method, path, body) => {
    const response = await request(method, path, body);
    return { status: response.status, body: (await response.json()) as unknown, headers: response.headers };
  };
  return {
    ...server,
    log,
    request,
    json,
    newThread: async () => ((await json("POST", "/threads", {})).body as { thread_id: string }).thread_id,
  };
}

afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
});

/** Frames of an SSE text. */
export function framesOf(text: string): { event: string; data: unknown; id: string | undefined }[] {
  return text
    .split("\n\n")
    .filter((frame) => frame.startsWith("event: "))
    .map((frame) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(frame)?.[1];
      return { event: field("event") ?? "", data: JSON.parse(field("data") ?? "null") as unknown, id: field("id") };
    });
}
