import type { StorageName } from "../../support/server.js";

/** Storages of the suites of protocols; MongoDB where there is one. */
export const PROTOCOL_STORAGES: readonly StorageName[] = [
  "memory",
  "sqlite",
  "postgres",
  ...(process.env["MONGODB_TEST_URI"] === undefined ? [] : (["mongodb"] as const)),
];

export interface State {
  readonly id: string;
  readonly task_id: string;
  readonly agent_id: string;
  readonly state: Readonly<Record<string, unknown>>;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

/** The client's requests, made by hand. */
export type Agentex = ReturnType<typeof agentexClient>;

export function agentexClient(baseUrl: string, credentials: Readonly<Record<string, string>> = {}) {
  /** @param body as JSON unless it is text */
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = credentials,
  ): Promise<Answer> => {
    const response = await fetch(baseUrl + path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      redirect: "manual",
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      body: text === "" ? null : (JSON.parse(text) as unknown),
      headers: response.headers,
    };
  };
  const done = async <T>(answer: Promise<Answer>): Promise<T> => {
    const { status, body } = await answer;
    if (status !== 200) throw new Error(`answered with ${status}: ${JSON.stringify(body)}`);
    return body as T;
  };
  return {
    send,
    create: (taskId: string, state: object, agentId = "agent") =>
      done<State>(send("POST", "/states", { task_id: taskId, agent_id: agentId, state })),
    retrieve: (id: string) => done<State>(send("GET", `/states/${id}`)),
    update: (id: string, state: object) => done<State>(send("PUT", `/states/${id}`, { state })),
    delete: (id: string) => done<State>(send("DELETE", `/states/${id}`)),
    list: (query: Readonly<Record<string, string>>) =>
      done<readonly State[]>(send("GET", `/states?${new URLSearchParams(query).toString()}`)),
    /** @returns `null` for 204 */
    checkpoints: (operation: string, body: object) => send("POST", `/checkpoints/${operation}`, body),
  };
}
