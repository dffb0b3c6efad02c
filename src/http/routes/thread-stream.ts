import type { CursorRead, EventCursor } from "../../core/event-log.js";
import { asJsonText } from "../../core/json.js";
import type { RunEvent } from "../../core/run-event.js";
import type { ThreadRunsEvent } from "../../core/thread-runs.js";
import { decodeThreadStream, encodeThreadStreamEvent, threadStreamQuery } from "../../wire/thread-stream.js";
import { eventStream } from "../event-stream.js";
import type { Route } from "../route.js";

export const threadStreamRoutes: readonly Route[] = [
  {
    method: "get",
    path: "/threads/{thread_id}/stream",
    group: "threads",
    summary: "Follow all runs of a thread",
    query: threadStreamQuery,
    answer: { status: 200, description: "Events of its runs, one run after the other", content: "event-stream" },
    errors: [404],
    async handle(exchange, deps) {
      const threadId = exchange.uuid("thread_id");
      const { modes, after } = decodeThreadStream(exchange.query, exchange.header("last-event-id"));
      const { caller } = exchange;
      await deps.services.threads.get(caller, threadId);
      const left = new AbortController();
      const events = await deps.services.threadRuns.follow(caller, threadId, {
        after,
        showsEvents: modes.has("run_modes"),
        showsState: modes.has("state_update"),
        signal: deps.closing === undefined ? left.signal : AbortSignal.any([left.signal, deps.closing]),
      });
      const frames = new FrameCursor(events, left, (event) => encodeThreadStreamEvent(event, modes));
      return eventStream(exchange, deps, frames, { withIds: false, encode: ({ data }) => data, subject: { threadId } });
    },
  },
];

/** Frames that are encoded already, for the stream body that reads cursors. */
class FrameCursor implements EventCursor {
  readonly #events: AsyncGenerator<readonly ThreadRunsEvent[]>;
  readonly #left: AbortController;
  readonly #encode: (event: ThreadRunsEvent) => string | null;

  constructor(
    events: AsyncGenerator<readonly ThreadRunsEvent[]>,
    left: AbortController,
    encode: (event: ThreadRunsEvent) => string | null,
  ) {
    this.#events = events;
    this.#left = left;
    this.#encode = encode;
  }

  async next(): Promise<CursorRead> {
    for (;;) {
      const { done, value } = await this.#read();
      if (done === true) return { kind: "end" };
      const frames = value.flatMap((event) => this.#encode(event) ?? []);
      const [first] = frames;
      if (first === undefined) continue;
      return { kind: "events", events: frames.map(asFrame) as [RunEvent, ...RunEvent[]] };
    }
  }

  close(): void {
    this.#left.abort();
  }

  async #read(): Promise<IteratorResult<readonly ThreadRunsEvent[], unknown>> {
    try {
      return await this.#events.next();
    } catch (error) {
      if (this.#left.signal.aborted) return { done: true, value: undefined };
      throw error;
    }
  }
}

function asFrame(frame: string): RunEvent {
  return { seq: 0, event: "", data: asJsonText(frame), kind: "control" };
}
