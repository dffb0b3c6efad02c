import { setTimeout as pause } from "node:timers/promises";
import type { CursorRead, EventCursor } from "../../core/event-log.js";
import { toJsonText } from "../../core/json.js";
import type { JsonValue } from "../../core/json.js";
import type { RunEvent } from "../../core/run-event.js";
import type { RunParts } from "./context.js";
import { EVENTS_SPACE, isTerminalType, type LoggedEvent, shownEvent } from "./event.js";
import type { Reconciler } from "./reconcile.js";
import type { RunRecord } from "./run-record.js";
import type { Snapshots } from "./snapshot.js";
import { type StreamView, shows, viewed } from "./stream-modes.js";

/** Whoever waits looks this often whether a crash has left something to be done. */
const LOOK_MS = 2_000;

/** Events of a run and whether they are all. */
export interface LogRead {
  readonly events: readonly LoggedEvent[];
  readonly isComplete: boolean;
}

export type LogReaders = ReturnType<typeof createLogReaders>;

export function createLogReaders(parts: RunParts, reconciler: Reconciler, snapshots: Snapshots) {
  const { context, logs } = parts;
  const { hints, clock, closing, logger } = context;

  /** All from a sequence on, at most so many. */
  const read = async (record: RunRecord, from: number, limit: number): Promise<LogRead> => {
    const found = await logs.readFrom(record, from, limit);
    const { fold } = found;
    const { sequence: seen } = fold;
    await reconciler.reconcile(record, fold);
    const isMore = fold.sequence > seen && found.events.length < limit;
    const { events } = isMore ? await logs.readFrom(record, from, limit) : found;
    const last = events.at(-1)?.sequence ?? from - 1;
    return { events, isComplete: fold.completedAt !== null && last >= fold.sequence };
  };

  const topicOf = ({ owner, runId }: RunRecord) => ({ space: EVENTS_SPACE, owner, collection: runId });

  /** The next events; none when the time is over, the run complete, or the wait was ended. */
  const next = async (
    record: RunRecord,
    from: number,
    options: { readonly limit: number; readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<LogRead> => {
    const { limit, timeoutMs, signal } = options;
    const until = clock.now() + timeoutMs;
    for (;;) {
      const stop = new AbortController();
      const waitMs = Math.min(LOOK_MS, until - clock.now());
      // Before the read: what comes in between is not missed.
      const hint = hints.wait(topicOf(record), { timeoutMs: waitMs, signal: AbortSignal.any([stop.signal, signal]) });
      const found = await read(record, from, limit);
      if (found.events.length > 0 || found.isComplete || clock.now() >= until || signal.aborted) {
        stop.abort();
        return found;
      }
      await hint;
    }
  };

  const waited = (signal: AbortSignal): AbortSignal => AbortSignal.any([signal, closing]);

  return {
    read,
    /** @param from the first sequence that is wanted */
    poll: (record: RunRecord, from: number, options: Parameters<typeof next>[2]): Promise<LogRead> =>
      next(record, from, { ...options, signal: waited(options.signal) }),
    /** @param from the first sequence that is wanted */
    open(record: RunRecord, from: number, view: StreamView): EventCursor {
      const stop = new AbortController();
      const source: Source = {
        next: (at) => next(record, at, { limit: 500, timeoutMs: 60_000, signal: waited(stop.signal) }),
        snapshot: async () =>
          toJsonText((await snapshots({ record, fold: await logs.read(record) })) as unknown as JsonValue),
        record,
      };
      logger.debug?.({ runId: record.runId, from }, "follows the events of an OpenWOP run");
      return view.bufferMs > 0 ? new BatchCursor(source, from, view, stop) : new LogCursor(source, from, view, stop);
    },
  };
}

interface Source {
  readonly record: RunRecord;
  next(from: number): Promise<LogRead>;
  snapshot(): Promise<string>;
}

/** What comes next, and whether it is the last. */
interface Frames {
  readonly events: readonly RunEvent[];
  readonly isComplete: boolean;
}

/** Events of a run as frames, until it has ended. */
class LogCursor implements EventCursor {
  protected readonly source: Source;
  protected readonly view: StreamView;
  protected readonly stop: AbortController;
  protected from: number;
  #isComplete = false;

  constructor(source: Source, from: number, view: StreamView, stop: AbortController) {
    this.source = source;
    this.from = from;
    this.view = view;
    this.stop = stop;
  }

  async next(): Promise<CursorRead> {
    for (;;) {
      if (this.#isComplete || this.stop.signal.aborted) return { kind: "end" };
      const { events, isComplete } = await this.frames();
      this.#isComplete = isComplete;
      if (events.length > 0) return { kind: "events", events };
    }
  }

  close(): void {
    this.stop.abort();
  }

  protected async frames(): Promise<Frames> {
    const { modes } = this.view;
    const { events, isComplete } = await this.source.next(this.from);
    const last = events.at(-1);
    if (last === undefined) return { events: [], isComplete };
    this.from = last.sequence + 1;
    if (modes.has("values")) return { events: [await this.state(last)], isComplete };
    const shown = events.filter((event) => shows(modes, event));
    return { events: shown.map((event) => frameOf(viewed(modes, event))), isComplete };
  }

  /** Where the run stands, in place of what happened. */
  protected async state({ eventId, runId, timestamp, sequence }: LoggedEvent): Promise<RunEvent> {
    const head = JSON.stringify({ eventId, runId, type: "state.snapshot", timestamp, sequence });
    const data = `${head.slice(0, -1)},"payload":${await this.source.snapshot()}}`;
    return { seq: sequence, event: "state.snapshot", data: data as RunEvent["data"], kind: "state" };
  }
}

/** The same in batches: of so many milliseconds, but at once when something has come to its end, or waits for somebody. */
class BatchCursor extends LogCursor {
  /** Read while a batch is being gathered; what it brings belongs to the next one when the time is over first. */
  #ahead: Promise<Frames> | null = null;

  protected override async frames(): Promise<Frames> {
    let { events, isComplete } = await this.#take();
    const batch = [...events];
    const until = new AbortController();
    const over = pause(this.view.bufferMs, "over" as const, { signal: until.signal, ref: false }).catch(
      () => "over" as const,
    );
    while (batch.length > 0 && !isComplete && !events.some(flushes) && !this.stop.signal.aborted) {
      this.#ahead ??= super.frames();
      const more = await Promise.race([this.#ahead, over]);
      if (more === "over") break;
      this.#ahead = null;
      ({ events, isComplete } = more);
      batch.push(...events);
    }
    until.abort();
    const last = batch.at(-1);
    if (last === undefined) return { events: [], isComplete };
    const data = `[${batch.map(({ data: one }) => one).join(",")}]` as RunEvent["data"];
    return { events: [{ seq: last.seq, event: "batch", data, kind: "state" }], isComplete };
  }

  async #take(): Promise<Frames> {
    const ahead = this.#ahead ?? super.frames();
    this.#ahead = null;
    return ahead;
  }
}

function flushes({ event }: RunEvent): boolean {
  return event === "node.suspended" || isTerminalType(event);
}

function frameOf(event: LoggedEvent): RunEvent {
  return { seq: event.sequence, event: event.type, data: toJsonText({ ...shownEvent(event) }), kind: "state" };
}

/** A frame as OpenWOP has it: the id first (docs/wire/openwop.md §3.2 SSE). */
export function sseFrame({ seq, event, data }: RunEvent): string {
  return `id: ${seq}\nevent: ${event}\ndata: ${data}\n\n`;
}
