import type { CursorRead, EventPosition } from "../../core/event-log.js";
import type { RunEvent } from "../../core/run-event.js";
import type { ThreadEventFilter } from "../../core/thread-event.js";
import { matchesFilter, rootMark } from "../../core/thread-event.js";
import type { ThreadCursor } from "../../services/thread-cursor.js";
import { isSnapshot } from "../../services/thread-cursor.js";
import { showsValues } from "../../services/thread-snapshot.js";

interface Subscription {
  readonly id: string;
  readonly filter: ThreadEventFilter;
  /** Events before this one are not for it, or have been handed to it. */
  position: number;
  /** Its response is out. */
  started: boolean;
}

interface Reader {
  readonly cursor: ThreadCursor;
  /** Every event before this one has been handed out. */
  position: number;
  /** Events up to this one were there before it: a replay. */
  readonly replaysToSeq: number;
}

/** A subscription that is there, and starts to receive when its response is out. */
export interface Subscribed {
  /** How many events it replays; `null` when that takes more than one read to know. */
  readonly replayedEvents: number | null;
  start(): void;
}

export interface SubscriptionsDeps {
  /** Authorizes, too. */
  readonly follow: (position: EventPosition, showsValues: () => boolean) => Promise<ThreadCursor>;
  /** @returns a promise when the peer is slow: nothing is read until it resolves */
  readonly send: (event: RunEvent) => Promise<void> | null;
  /** Resolves when the client is not likely to add more subscriptions to the ones it has just made. */
  readonly settled: () => Promise<void>;
  /** The thread is gone, or the server closes. */
  readonly onEnd: () => void;
  readonly onError: (error: unknown) => void;
}

/**
 * The subscriptions of one connection. One reader serves all of them, so that an event goes out once although several match,
 * and what goes out is in the log's order: the SDK (1.15.0) stops reading at a run's end, wherever it hears of it. A new
 * subscription that has something to replay takes the reader back to where it begins; the others wait until it is where they
 * are. The end of a run that is replayed waits until no more are to be expected: a client that connects again makes its
 * subscriptions one by one, and the first one's replay must not tell of the end before the next one has told the rest.
 * Nothing is queued: while the peer is slow nothing is read, and what the log evicts meanwhile is a jump of the numbers.
 */
export class Subscriptions {
  readonly #deps: SubscriptionsDeps;
  readonly #byId = new Map<string, Subscription>();
  #reader: Reader | null = null;
  #closed = false;

  constructor(deps: SubscriptionsDeps) {
    this.#deps = deps;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** @throws what following the thread throws */
  async add(id: string, filter: ThreadEventFilter, position: EventPosition): Promise<Subscribed> {
    const shows = (): boolean => showsValues(filter) || this.#some((other) => showsValues(other.filter));
    const cursor = await this.#deps.follow(position, shows);
    // Beyond the newest event is from now on, as in the log: the thread may be another one of the same id.
    const fromSeq = typeof position === "object" ? Math.min(position.afterSeq, cursor.newestSeq) + 1 : 0;
    const subscription: Subscription = { id, filter, position: fromSeq, started: false };
    const first = cursor.isBehind ? await cursor.next() : null;
    if (this.#closed) cursor.close();
    this.#byId.set(id, subscription);
    return {
      replayedEvents: cursor.isBehind ? replayed(first, filter, cursor.newestSeq) : 0,
      start: () => {
        if (this.#closed || this.#byId.get(id) !== subscription) {
          cursor.close();
          return;
        }
        subscription.started = true;
        const at = this.#reader?.position ?? Number.POSITIVE_INFINITY;
        if (fromSeq > at || (fromSeq === at && first === null)) cursor.close();
        else this.#read({ cursor, position: fromSeq, replaysToSeq: cursor.newestSeq }, first);
      },
    };
  }

  /** @returns false when there is no such subscription */
  remove(id: string): boolean {
    if (!this.#byId.delete(id)) return false;
    if (this.#byId.size === 0) this.#stopReading();
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#byId.clear();
    this.#stopReading();
  }

  #read(reader: Reader, first: CursorRead | null): void {
    this.#stopReading();
    this.#reader = reader;
    this.#pump(reader, first).catch((error: unknown) => {
      if (!this.#closed && this.#reader === reader) this.#deps.onError(error);
    });
  }

  async #pump(reader: Reader, first: CursorRead | null): Promise<void> {
    // Subscriptions that start in this turn come along.
    await Promise.resolve();
    for (let read = first ?? (await reader.cursor.next()); this.#reader === reader; read = await reader.cursor.next()) {
      if (read.kind === "end") {
        this.#deps.onEnd();
        return;
      }
      if (read.kind === "gap") this.#moveTo(reader, read.resumeAtSeq);
      for (const event of read.kind === "events" ? read.events : []) {
        const seq = isSnapshot(event) ? reader.position : event.seq;
        const isWanted = this.#some(({ filter, position }) => position <= seq && matchesFilter(filter, event.event));
        if (isWanted && seq <= reader.replaysToSeq && isEnd(event)) {
          await this.#deps.settled();
          if (this.#reader !== reader) return;
        }
        if (!isSnapshot(event)) this.#moveTo(reader, seq + 1);
        const slow = isWanted ? this.#deps.send(event) : null;
        if (slow !== null) await slow;
        if (this.#reader !== reader) return;
      }
    }
  }

  #moveTo(reader: Reader, position: number): void {
    reader.position = position;
    for (const subscription of this.#byId.values()) {
      if (subscription.started) subscription.position = Math.max(subscription.position, position);
    }
  }

  #some(matches: (subscription: Subscription) => boolean): boolean {
    for (const subscription of this.#byId.values()) if (subscription.started && matches(subscription)) return true;
    return false;
  }

  #stopReading(): void {
    const reader = this.#reader;
    this.#reader = null;
    reader?.cursor.close();
  }
}

/** A run's end, as the whole graph has it. */
function isEnd(event: RunEvent): boolean {
  const mark = rootMark(event);
  return mark !== null && mark.step !== "running";
}

function replayed(first: CursorRead | null, filter: ThreadEventFilter, newestSeq: number): number | null {
  if (first?.kind !== "events") return null;
  const { events } = first;
  if ((events.at(-1)?.seq ?? -1) < newestSeq) return null;
  return events.filter((event) => matchesFilter(filter, event.event)).length;
}
