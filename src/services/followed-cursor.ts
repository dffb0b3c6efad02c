import { ALL_ROWS } from "../core/auth.js";
import type { Clock, Timer } from "../core/clock.js";
import type { CursorRead, EventCursor } from "../core/event-log.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { RunEvent } from "../core/run-event.js";
import { lastEvent } from "../core/run-event.js";
import { isTerminal } from "../core/run-lifecycle.js";
import type { Run, RunRef } from "../core/run.js";
import type { RunEndings } from "./run-endings.js";

/** When a reader of a log looks at the run's row as well. Nearly all runs have ended by then. */
const FIRST_LOOK_MS = 5_000;
/** How long a log may take to tell of an end that the row has told of. */
const LATE_MS = 5_000;

export interface FollowDeps {
  readonly store: MetadataStore;
  readonly endings: RunEndings;
  readonly clock: Clock;
  /** Aborted when the server closes. */
  readonly closing?: AbortSignal;
}

/** Whether an event is a run's last one (docs/wire/langgraph-api.md §3.5, §3.9). */
export function isLastEvent({ kind, event }: RunEvent): boolean {
  return kind === "control" && (event === "end" || event === "error");
}

/**
 * A cursor that always comes to an end. Event logs may be lost while their runs go on (Redis is disposable), and notices
 * that they have grown may be lost for good; the row is the truth. A reader whose log is lost waits for the row to end, and
 * gets a gap and the run's last event. A log that fails is the reader's to deal with: it may come back.
 */
export class FollowedCursor implements EventCursor {
  readonly #deps: FollowDeps;
  readonly #run: RunRef;
  /** `null`: lost, or never there. */
  #log: EventCursor | null;
  readonly #unwatch: () => void;
  readonly #left = new AbortController();
  #rowEnded = false;
  /** Ends a read of the log that takes too long. */
  #giveUp: (() => void) | null = null;
  #late: Timer | null = null;
  #lastSeq = -1;
  /** What is left to tell after the log was lost. */
  #rest: CursorRead[] | null = null;
  #over = false;
  #sawLast = false;

  constructor(deps: FollowDeps, run: RunRef, log: EventCursor | null) {
    this.#deps = deps;
    this.#run = { runId: run.runId, threadId: run.threadId };
    this.#log = log;
    this.#unwatch =
      log === null
        ? () => undefined
        : deps.endings.watch(this.#run, {
            firstLookMs: FIRST_LOOK_MS,
            onEnd: () => {
              this.#rowEnded = true;
              this.#armLate();
            },
          });
  }

  async next(signal?: AbortSignal): Promise<CursorRead> {
    if (this.#over) return { kind: "end" };
    if (this.#log !== null) {
      const read = await this.#nextOfLog(this.#log, signal);
      if (read !== null) return read;
    }
    return this.#nextOfRow(signal);
  }

  close(): void {
    if (this.#over) return;
    this.#end();
    this.#left.abort();
  }

  /** @returns `null` when the log is lost */
  async #nextOfLog(log: EventCursor, signal: AbortSignal | undefined): Promise<CursorRead | null> {
    const read = await this.#unlessLate(log.next(signal));
    if (read?.kind === "events") {
      const last = read.events.at(-1);
      if (last !== undefined) {
        this.#lastSeq = last.seq;
        this.#sawLast = isLastEvent(last);
      }
      return read;
    }
    if (read?.kind === "gap") return read;
    if (read?.kind === "end" && (await this.#isOver())) {
      this.#end();
      return read;
    }
    this.#unwatch();
    log.close();
    this.#log = null;
    return null;
  }

  /** A log that ends has been read to its end, or was dropped, perhaps although its run goes on. */
  async #isOver(): Promise<boolean> {
    const { store, closing } = this.#deps;
    if (this.#sawLast || this.#over || this.#rowEnded || closing?.aborted === true) return true;
    const row = await store.runs.get({ runId: this.#run.runId, access: ALL_ROWS });
    return row === null || isTerminal(row.status);
  }

  async #nextOfRow(signal: AbortSignal | undefined): Promise<CursorRead> {
    const signals = signal === undefined ? [this.#left.signal] : [this.#left.signal, signal];
    this.#rest ??= this.#afterLoss(await this.#ended(AbortSignal.any(signals), signal));
    const read = this.#rest.shift() ?? { kind: "end" };
    if (read.kind === "end") this.#end();
    return read;
  }

  async #ended(either: AbortSignal, signal: AbortSignal | undefined): Promise<Run | null> {
    try {
      return await this.#deps.endings.ended(this.#run, either);
    } catch (error) {
      // Closed while it waited: that is an end, not a failure.
      if (this.#over && signal?.aborted !== true) return null;
      throw error;
    }
  }

  #afterLoss(row: Run | null): CursorRead[] {
    if (this.#over) return [];
    const seq = this.#lastSeq + 1;
    const gap: CursorRead = { kind: "gap", resumeAtSeq: seq, lost: "state" };
    return row === null ? [gap] : [gap, { kind: "events", events: [{ ...lastEvent(row.runId, row), seq }] }];
  }

  /** @returns `null` when the row has ended and the log does not say so for a while */
  async #unlessLate(reading: Promise<CursorRead>): Promise<CursorRead | null> {
    const late = new Promise<null>((resolve) => {
      this.#giveUp = () => resolve(null);
    });
    if (this.#rowEnded) this.#armLate();
    try {
      return await Promise.race([reading, late]);
    } finally {
      this.#giveUp = null;
      this.#late?.cancel();
      this.#late = null;
    }
  }

  #armLate(): void {
    if (this.#giveUp === null || this.#late !== null) return;
    this.#late = this.#deps.clock.setTimer(() => this.#giveUp?.(), LATE_MS);
  }

  #end(): void {
    this.#over = true;
    this.#unwatch();
    this.#late?.cancel();
    this.#log?.close();
  }
}
