import type { JsonValue } from "../../src/core/json.js";

/** An answer, read whole. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- answers of many shapes, checked by the tests
  readonly json: any;
}

/** Requests as any client sends them: `await call("POST", "/threads", {})`. A string body goes out as it is. */
export function requester(url: string) {
  return async (
    method: string,
    path: string,
    body?: JsonValue | string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> => {
    const response = await fetch(url + path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: response.status, headers: response.headers, text, json };
  };
}

export type Call = ReturnType<typeof requester>;

/** One frame of an event stream. */
export interface Frame {
  readonly event: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- payloads of many shapes, checked by the tests
  readonly data: any;
  readonly id: string | undefined;
}

/** The frames of an event stream; comments are left out. */
export function framesOf(text: string): Frame[] {
  return text
    .split("\n\n")
    .map(
      (block) => new Map(block.split("\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)])),
    )
    .filter((fields) => fields.has("event"))
    .map((fields) => ({
      event: fields.get("event") ?? "",
      data: JSON.parse(fields.get("data") ?? "null"),
      id: fields.get("id"),
    }));
}

/** Event names with task ids made equal: `values|sub:*`. */
export function namesOf(frames: readonly Frame[]): string[] {
  return frames.map(({ event }) => event.replaceAll(/:[0-9a-f-]{36}/g, ":*"));
}
