import type { Clock, Timer } from "../core/clock.js";
import type { CursorRead, EventCursor } from "../core/event-log.js";
import type { RunEvent } from "../core/run-event.js";
import { HEARTBEAT, SseFrames, errorFrame } from "./sse-frames.js";

export { positionFromLastEventId } from "./sse-frames.js";

/**
 * Headers of a run stream (docs/wire/langgraph-api.md §2.1.1). `connection: keep-alive` is Node's own on HTTP/1.1 and
 * forbidden on HTTP/2, so it is not among them.
 */
export const SSE_HEADERS: Readonly<Record<string, string>> = Object.freeze({
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
});

/** A chunk ends after the frame that reaches this many characters. */
const MAX_CHUNK_CHARS = 64 * 1024;

export interface SseOptions {
  readonly clock: Clock;
  /** Write `id:` lines. */
  readonly withIds: boolean;
  /** Which events this client gets; the others are skipped. Default: all. */
  readonly filter?: (event: RunEvent) => boolean;
  /** A comment after this long without any frame, and one at the start when nothing waits. Default 5,000. */
  readonly heartbeatMs?: number;
  /** An event as a frame, in place of the one of run streams. */
  readonly encode?: (event: RunEvent) => string;
  /**
   * What lost token frames mean to this client. `"continue"` (default): a comment says so, and the stream goes on, because
   * state frames that follow hold the whole text. `"error"`: for a client that gets no state frames: as for lost state
   * frames, an `error` event `EventsGone`, and the stream ends.
   */
  readonly tokenGap?: "continue" | "error";
  /** A client that has taken nothing for so long counts as gone. Default: it is waited for. */
  readonly stalledMs?: number;
  /** Ends the stream without a further frame: the server is closing. */
  readonly signal?: AbortSignal;
  /** Fails the stream, as a lost connection does, so that the client comes again. */
  readonly cut?: AbortSignal;
  /** The client left before the stream was over. Called at most once. */
  readonly onCancel?: () => void;
  /** The cursor failed; the stream is torn down, so that the client reconnects. For the log. */
  readonly onError?: (error: unknown) => void;
}

/**
 * A run's events as a response body. Pulled by the socket: while it is full nothing is read from the log; when it has
 * room, all waiting events go out in one chunk. Owns the cursor and closes it.
 */
export function sseStream(cursor: EventCursor, options: SseOptions): ReadableStream<Uint8Array> {
  return new ReadableStream(new SseSource(cursor, options), { highWaterMark: 0 });
}

type Events = Extract<CursorRead, { kind: "events" }>;
type Gap = Extract<CursorRead, { kind: "gap" }>;
type Controller = ReadableStreamDefaultController<Uint8Array>;

class SseSource implements UnderlyingDefaultSource<Uint8Array> {
  readonly #cursor: EventCursor;
  readonly #options: SseOptions;
  readonly #heartbeatMs: number;
  readonly #frame: (event: RunEvent) => string;
  #batch: readonly RunEvent[] = [];
  #batchIndex = 0;
  /** One read of the cursor is under way; a heartbeat does not end it, and its result waits here for the next pull. */
  #reading = false;
  #arrived: CursorRead | null = null;
  #failure: { readonly error: unknown } | null = null;
  /** Ends the wait of the pull that is under way. */
  #wake: (() => void) | null = null;
  #heartbeat: Timer | null = null;
  #lastSentAt = 0;
  #opened = false;
  #sent = false;
  #over = false;
  #onAbort: (() => void) | null = null;
  #controller: Controller | null = null;

  constructor(cursor: EventCursor, options: SseOptions) {
    this.#cursor = cursor;
    this.#options = options;
    this.#heartbeatMs = options.heartbeatMs ?? 5_000;
    const frames = new SseFrames(options.withIds);
    this.#frame = options.encode ?? ((event) => frames.encode(event));
  }

  start(controller: Controller): void {
    const { signal, cut } = this.#options;
    this.#controller = controller;
    if (cut?.aborted === true) this.#cut();
    else cut?.addEventListener("abort", this.#cut, { once: true });
    if (signal === undefined) return;
    this.#onAbort = () => this.#close(controller);
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  async pull(controller: Controller): Promise<void> {
    this.#controller = controller;
    if (!this.#opened) this.#open();
    try {
      let text = this.#encodeBatch();
      while (text === "" && !this.#over) {
        const read = await this.#nextOrBeat();
        if (this.#over) return;
        if (read?.kind === "end") this.#close(controller);
        else if (read?.kind === "gap" && this.#isFatal(read)) this.#fail(controller, read);
        else text = read === null ? HEARTBEAT : this.#encode(read);
      }
      if (text !== "") this.#send(controller, text);
    } catch (error) {
      this.#release();
      this.#options.onError?.(error);
      throw error;
    }
  }

  cancel(): void {
    this.#release();
    this.#options.onCancel?.();
  }

  #encode(read: Events | Gap): string {
    if (read.kind === "gap") return `: ${goneMessage(read)}\n\n`;
    this.#batch = read.events;
    this.#batchIndex = 0;
    return this.#encodeBatch();
  }

  #isFatal(gap: Gap): boolean {
    return gap.lost === "state" || this.#options.tokenGap === "error";
  }

  /** Clients take every event named `error…` as the end (§3.5). */
  #fail(controller: Controller, gap: Gap): void {
    this.#send(controller, errorFrame("EventsGone", goneMessage(gap)));
    this.#close(controller);
  }

  #encodeBatch(): string {
    const { filter } = this.#options;
    let text = "";
    while (this.#batchIndex < this.#batch.length && text.length < MAX_CHUNK_CHARS) {
      const event = this.#batch[this.#batchIndex] as RunEvent;
      this.#batchIndex += 1;
      if (filter === undefined || filter(event)) text += this.#frame(event);
    }
    if (this.#batchIndex === this.#batch.length) this.#batch = [];
    return text;
  }

  #send(controller: Controller, text: string): void {
    this.#lastSentAt = this.#options.clock.now();
    this.#sent = true;
    controller.enqueue(Buffer.from(text));
  }

  /** The next read, or `null` when a heartbeat is due first. */
  async #nextOrBeat(): Promise<CursorRead | null> {
    if (!this.#reading && this.#arrived === null) this.#read();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (this.#arrived !== null || this.#failure !== null) resolve();
    });
    this.#wake = null;
    if (this.#failure !== null) throw this.#failure.error;
    const read = this.#arrived;
    this.#arrived = null;
    return read;
  }

  #read(): void {
    this.#reading = true;
    this.#cursor.next().then(
      (read) => {
        this.#reading = false;
        this.#arrived = read;
        this.#wake?.();
      },
      (error: unknown) => {
        this.#failure = { error };
        this.#wake?.();
      },
    );
  }

  #open(): void {
    this.#opened = true;
    this.#lastSentAt = this.#options.clock.now();
    this.#armHeartbeat(this.#heartbeatMs);
    // Not before the loop's turn is over: the first event is often a few microtasks away, and then no comment is needed.
    setImmediate(() => {
      if (!this.#sent) this.#wake?.();
    });
  }

  #armHeartbeat(delayMs: number): void {
    const { clock } = this.#options;
    this.#heartbeat = clock.setTimer(() => {
      const idleMs = clock.now() - this.#lastSentAt;
      // Nobody pulls: what was sent last has not been taken.
      if (this.#wake === null && idleMs >= (this.#options.stalledMs ?? Number.POSITIVE_INFINITY)) {
        this.#stall();
        return;
      }
      if (idleMs >= this.#heartbeatMs) this.#wake?.();
      this.#armHeartbeat(idleMs >= this.#heartbeatMs ? this.#heartbeatMs : this.#heartbeatMs - idleMs);
    }, delayMs);
  }

  #stall(): void {
    if (this.#over) return;
    this.#release();
    this.#controller?.error(new Error("The client takes nothing any more"));
    this.#options.onCancel?.();
  }

  readonly #cut = (): void => {
    if (this.#over) return;
    this.#release();
    this.#controller?.error(new Error("The stream was cut"));
  };

  #close(controller: Controller): void {
    if (this.#over) return;
    this.#release();
    controller.close();
  }

  #release(): void {
    this.#over = true;
    this.#batch = [];
    this.#wake?.();
    this.#heartbeat?.cancel();
    this.#cursor.close();
    if (this.#onAbort !== null) this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#options.cut?.removeEventListener("abort", this.#cut);
  }
}

function goneMessage(gap: Gap): string {
  return `Events before ${gap.resumeAtSeq} are no longer kept.`;
}
