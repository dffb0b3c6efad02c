import { EventEmitter, once } from "node:events";
import type { CommandResponse, ErrorResponse, Event } from "@langchain/protocol";

/** An event as it came over the wire. */
export type WireEvent = Event;
export type WireResponse = CommandResponse | ErrorResponse;

export interface Filter {
  readonly channels: readonly string[];
  readonly namespaces?: readonly (readonly string[])[];
  readonly depth?: number;
}

export const ALL: Filter = {
  channels: ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"],
};

let commandId = 0;

/** One command over HTTP. */
export async function command(
  url: string,
  threadId: string,
  method: string,
  params: unknown = {},
): Promise<WireResponse> {
  const response = await fetch(`${url}/threads/${threadId}/commands`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: (commandId += 1), method, params }),
  });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as WireResponse;
}

/** The result of a command that succeeds. */
export async function succeed<T = Record<string, never>>(
  url: string,
  threadId: string,
  method: string,
  params: unknown = {},
): Promise<T> {
  const response = await command(url, threadId, method, params);
  if (response.type === "error") throw new Error(`${method}: ${response.error} ${response.message}`);
  return response.result as T;
}

/** Events as they arrive, and a way to wait for some. */
// oxlint-disable-next-line unicorn/prefer-event-target -- `once` of node:events takes a signal
export class Events extends EventEmitter {
  readonly all: WireEvent[] = [];
  /** Ids of SSE frames, in order; `undefined` for one without. */
  readonly ids: (string | undefined)[] = [];
  ended = false;

  add(event: WireEvent, id?: string): void {
    this.all.push(event);
    this.ids.push(id);
    this.emit("more");
  }

  end(): void {
    this.ended = true;
    this.emit("more");
  }

  /** Resolves when some event, or all of them together, are as wanted. */
  async until(wanted: (event: WireEvent, all: readonly WireEvent[]) => boolean, what = "an event"): Promise<WireEvent> {
    const deadline = AbortSignal.timeout(20_000);
    for (let from = 0; ;) {
      for (; from < this.all.length; from += 1) {
        const event = this.all[from] as WireEvent;
        if (wanted(event, this.all.slice(0, from + 1))) return event;
      }
      if (this.ended) throw new Error(`the stream ended before ${what}`);
      try {
        await once(this, "more", { signal: deadline });
      } catch {
        throw new Error(
          `waited too long for ${what}; last of ${this.all.length}: ${JSON.stringify(this.all.slice(-3))}`,
        );
      }
    }
  }

  /** The n-th end of a run at the root. */
  terminal(count = 1): Promise<WireEvent> {
    return this.until((event, all) => isTerminal(event) && all.filter(isTerminal).length >= count, `end ${count}`);
  }
}

export function isTerminal(event: WireEvent): boolean {
  return (
    event.method === "lifecycle" &&
    event.params.namespace.length === 0 &&
    ["completed", "failed", "interrupted"].includes(event.params.data.event)
  );
}

export interface OpenStream {
  readonly events: Events;
  readonly response: Response;
  close(): void;
}

/** Follow a thread by server-sent events; resolves when the head of the answer is there. */
export async function openSse(
  url: string,
  threadId: string,
  body: Filter & { readonly since?: number },
  headers: Readonly<Record<string, string>> = {},
): Promise<OpenStream> {
  const stop = new AbortController();
  const response = await fetch(`${url}/threads/${threadId}/stream/events`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal: stop.signal,
  });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  const events = new Events();
  void readSse(response, events);
  return { events, response, close: () => stop.abort() };
}

async function readSse(response: Response, events: Events): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      const frames = text.split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        const data = /^data: (.*)$/m.exec(frame)?.[1];
        if (data !== undefined) events.add(JSON.parse(data) as WireEvent, /^id: (.*)$/m.exec(frame)?.[1]);
      }
    }
  } catch {
    // Cut off, by the test or by the server.
  }
  events.end();
}

/** A WebSocket of a thread. */
export interface OpenSocket extends OpenStream {
  readonly socket: WebSocket;
  /** Resolves with the close code. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** Response frames in the order in which they came, among events: how many events came before each. */
  readonly responses: readonly { readonly frame: WireResponse; readonly afterEvents: number }[];
  command(method: string, params?: unknown): Promise<WireResponse>;
  succeed<T>(method: string, params?: unknown): Promise<T>;
  sendText(text: string): void;
  /** The next response whose id is `null`. */
  nextAnonymous(): Promise<WireResponse>;
}

export async function openSocket(url: string, threadId: string): Promise<OpenSocket> {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/threads/${threadId}/stream/events`);
  const events = new Events();
  // oxlint-disable-next-line unicorn/prefer-event-target -- `once` of node:events hands over what was emitted
  const answers = new EventEmitter();
  const responses: { frame: WireResponse; afterEvents: number }[] = [];
  socket.addEventListener("message", ({ data }) => {
    const frame = JSON.parse(String(data)) as WireResponse | WireEvent;
    if (frame.type === "event") {
      events.add(frame);
      return;
    }
    responses.push({ frame, afterEvents: events.all.length });
    answers.emit(String(frame.id), frame);
  });
  const { promise: closed, resolve } = Promise.withResolvers<{ code: number; reason: string }>();
  socket.addEventListener("close", ({ code, reason }) => {
    events.end();
    resolve({ code, reason });
  });
  await new Promise<void>((opened, failed) => {
    socket.addEventListener("open", () => opened(), { once: true });
    socket.addEventListener("error", () => failed(new Error("the socket could not be opened")), { once: true });
  });
  const answer = async (id: string): Promise<WireResponse> => {
    const gone = closed.then(({ code, reason }) => {
      throw new Error(`closed: ${code} ${reason}`);
    });
    const [frame] = (await Promise.race([once(answers, id), gone])) as [WireResponse];
    return frame;
  };
  const send = (method: string, params: unknown = {}): Promise<WireResponse> => {
    const id = (commandId += 1);
    const answered = answer(String(id));
    socket.send(JSON.stringify({ id, method, params }));
    return answered;
  };
  return {
    events,
    response: new Response(),
    socket,
    closed,
    responses,
    close: () => socket.close(),
    command: send,
    async succeed<T>(method: string, params?: unknown) {
      const response = await send(method, params);
      if (response.type === "error") throw new Error(`${method}: ${response.error} ${response.message}`);
      return response.result as T;
    },
    sendText: (text) => socket.send(text),
    nextAnonymous: () => answer("null"),
  };
}
