import type { Clock } from "../core/clock.js";
import type { CursorRead, EventCursor } from "../core/event-log.js";
import type { RunEvent } from "../core/run-event.js";
import { rootMark } from "../core/thread-event.js";
import { lookAgainMs } from "./look-again.js";

/** The state as it is now, told to a reader that has missed state: an event that is in no log and is no position to resume from. */
export interface SnapshotEvent extends RunEvent {
  readonly seq: -1;
  /** The same for the same checkpoint, so that clients drop repetitions. */
  readonly eventId: string;
}

export function isSnapshot(event: RunEvent): event is SnapshotEvent {
  return event.seq === -1;
}

export interface ThreadCursorDeps {
  /**
   * Open the log again, strictly after a number; `null` when the thread is gone or the server closes.
   * @param hasRun something has happened on the thread, so that it was there. Hidden is not gone
   */
  readonly reopen: (afterSeq: number, hasRun: boolean) => Promise<EventCursor | null>;
  /** The thread was there and is not any more, for anybody. @param hasRun as for {@link reopen} */
  readonly isGone: (hasRun: boolean) => Promise<boolean>;
  /** Whether the caller may still see the thread. Asked before the first event when it was not there at opening. */
  readonly isVisible: () => Promise<boolean>;
  /** What the caller sees depends on the thread's metadata: asked again for each run. */
  readonly mayBecomeHidden: boolean;
  /** The state as it is now, as an event outside the log; `null` when there is none. */
  readonly snapshot: () => Promise<SnapshotEvent | null>;
  readonly clock: Clock;
  readonly onClose: () => void;
}

type Told = Extract<CursorRead, { kind: "events" | "gap" }>;

const END: CursorRead = Object.freeze({ kind: "end" });

/**
 * A reader of a thread's log: it never ends while the thread is there. What the log no longer holds shows as a jump of the
 * sequence numbers, and, where state was lost, as a snapshot of the state before the next event
 * (docs/guides/event-protocol.md, "Gaps").
 */
export class ThreadCursor implements EventCursor {
  readonly #deps: ThreadCursorDeps;
  #log: EventCursor;
  /** The number that the next event has when nothing is missing. */
  #nextSeq: number;
  /** Whatever is missing before this one, the snapshot at the start has told. */
  readonly #toldToSeq: number;
  #checked: boolean;
  /** Ends a pause. */
  #wake: (() => void) | null = null;
  /** How often in a row the thread has been found hidden. */
  #looks = 0;
  /** Waits to be handed out before the log is read on. */
  #waiting: CursorRead[] = [];
  /** Was read, and waits to be looked at. */
  #untaken: Told | null = null;
  #closed = false;
  #hasRead = false;
  /** The newest event when the log was opened; -1 for none. */
  readonly newestSeq: number;
  /** Something is there to be read without waiting. */
  readonly isBehind: boolean;

  constructor(
    deps: ThreadCursorDeps,
    log: EventCursor,
    start: {
      /** What the first event's number is when nothing is missing; `null`: whatever it is. */
      readonly nextSeq: number | null;
      /** The newest event when the log was opened; -1 for none. */
      readonly newestSeq: number;
      /** There are events to be read at once. */
      readonly isBehind: boolean;
      /** The caller is known to see the thread. */
      readonly isVisible: boolean;
      readonly snapshot: SnapshotEvent | null;
    },
  ) {
    this.#deps = deps;
    this.#log = log;
    this.#nextSeq = start.nextSeq ?? Number.POSITIVE_INFINITY;
    this.#checked = start.isVisible;
    this.newestSeq = start.newestSeq;
    this.isBehind = start.isBehind || start.snapshot !== null;
    this.#toldToSeq = start.snapshot === null ? -1 : start.newestSeq + 1;
    if (start.snapshot !== null) this.#waiting.push({ kind: "events", events: [start.snapshot] });
  }

  async next(signal?: AbortSignal): Promise<CursorRead> {
    for (;;) {
      if (this.#closed) return END;
      const waiting = this.#waiting.shift();
      if (waiting !== undefined) return waiting;
      const read = this.#untaken ?? (await this.#log.next(signal));
      this.#untaken = null;
      if (this.#closed) return END;
      if (read.kind === "end") {
        if (!(await this.#goOn())) return END;
        continue;
      }
      const told = this.#upToNextRun(read);
      if (await this.#isAllowed()) {
        await this.#take(told);
        continue;
      }
      // What is missing may be all of it: the deletion of a thread that was seen is told.
      if (await this.#deps.isGone(this.#hasRead)) {
        this.close();
        return END;
      }
      // It is another's, and may be the caller's later: what was read is not kept for then, and nothing is read until then.
      this.#untaken = null;
      do {
        await this.#pause(signal);
        if (this.#closed) return END;
      } while (!(await this.#isAllowed()));
      if (!(await this.#goOn())) return END;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake?.();
    this.#log.close();
    this.#deps.onClose();
  }

  /**
   * What of a read one look decides about: a thread may become hidden from one run to the next. So it is looked at again where a run
   * begins, and where that may be among what is missing; the rest waits for that.
   */
  #upToNextRun(read: Told): Told {
    if (!this.#deps.mayBecomeHidden) return read;
    if (read.kind === "gap") {
      this.#checked = false;
      return read;
    }
    const { events } = read;
    const at = events.findIndex((event) => rootMark(event)?.step === "running");
    if (at === 0 || (events[0]?.seq ?? 0) > this.#nextSeq) this.#checked = false;
    if (at <= 0) return read;
    this.#untaken = { kind: "events", events: events.slice(at) };
    return { kind: "events", events: events.slice(0, at) };
  }

  async #take(read: Told): Promise<void> {
    this.#hasRead = true;
    const fromSeq = read.kind === "gap" ? read.resumeAtSeq : (read.events[0]?.seq ?? 0);
    const isGap = read.kind === "gap" || fromSeq > this.#nextSeq;
    const stateLost = (read.kind === "gap" ? read.lost === "state" : isGap) && fromSeq > this.#toldToSeq;
    this.#nextSeq = read.kind === "gap" ? fromSeq : (read.events.at(-1)?.seq ?? 0) + 1;
    if (isGap) this.#waiting.push({ kind: "gap", resumeAtSeq: fromSeq, lost: "token" });
    const snapshot = stateLost ? await this.#deps.snapshot() : null;
    if (snapshot !== null) this.#waiting.push({ kind: "events", events: [snapshot] });
    if (read.kind === "events") this.#waiting.push(read);
  }

  /** A log ends when it is dropped or has never had an event for long; the thread may be there all the same. */
  async #goOn(): Promise<boolean> {
    const afterSeq = Number.isFinite(this.#nextSeq) ? this.#nextSeq - 1 : Number.MAX_SAFE_INTEGER;
    const log = await this.#deps.reopen(afterSeq, this.#hasRead);
    if (log === null) {
      this.close();
      return false;
    }
    this.#log.close();
    this.#log = log;
    if (this.#deps.mayBecomeHidden) this.#checked = false;
    if (this.#closed) log.close();
    return true;
  }

  /** Until a thread that is hidden is looked at again. @throws the signal's reason */
  async #pause(signal: AbortSignal | undefined): Promise<void> {
    const delayMs = lookAgainMs(this.#looks);
    this.#looks += 1;
    const { promise, resolve: wake } = Promise.withResolvers<void>();
    const timer = this.#deps.clock.setTimer(wake, delayMs);
    this.#wake = wake;
    const onAbort = (): void => wake();
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) wake();
    await promise;
    timer.cancel();
    signal?.removeEventListener("abort", onAbort);
    this.#wake = null;
    signal?.throwIfAborted();
  }

  async #isAllowed(): Promise<boolean> {
    this.#checked ||= await this.#deps.isVisible();
    if (this.#checked) this.#looks = 0;
    return this.#checked;
  }
}
