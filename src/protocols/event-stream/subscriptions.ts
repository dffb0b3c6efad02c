import type { CursorRead, EventPosition } from "../../core/event-log.js";
import type { RunEvent } from "../../core/run-event.js";
import type { ThreadEventFilter } from "../../core/thread-event.js";
import { matchesFilter } from "../../core/thread-event.js";
import type { ThreadCursor } from "../../services/thread-cursor.js";
import { isSnapshot } from "../../services/thread-cursor.js";
import { showsValues } from "../../services/thread-events.js";

interface Subscription {
  readonly id: string;
  readonly filter: ThreadEventFilter;
  /** Events before this one are not for it. */
  readonly fromSeq: number;
  /** It has caught up: served by the live reader. */
  live: boolean;
  active: boolean;
}

interface LiveReader {
  readonly cursor: ThreadCursor;
  /** Every event before this one has been handed to the live subscriptions. */
  position: number;
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
  /** The thread is gone, or the server closes. */
  readonly onEnd: () => void;
  readonly onError: (error: unknown) => void;
}

/**
 * The subscriptions of one connection. One live reader serves all that have caught up, so that an event goes out once
 * although several match; a new one replays on a reader of its own until it meets the live one. Nothing is queued: while the
 * peer is slow no reader reads, and what the log evicts meanwhile is a jump of the numbers.
 */
export class Subscriptions {
  readonly #deps: SubscriptionsDeps;
  readonly #byId = new Map<string, Subscription>();
  #live: LiveReader | null = null;
  #closed = false;

  constructor(deps: SubscriptionsDeps) {
    this.#deps = deps;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** @throws what following the thread throws */
  async add(id: string, filter: ThreadEventFilter, position: EventPosition): Promise<Subscribed> {
    const fromSeq = typeof position === "object" ? position.afterSeq + 1 : 0;
    const subscription: Subscription = { id, filter, fromSeq, live: false, active: true };
    let shows = (): boolean => showsValues(filter);
    const cursor = await this.#deps.follow(position, () => shows());
    const first = cursor.isBehind ? await cursor.next() : null;
    if (this.#closed) cursor.close();
    this.#byId.set(id, subscription);
    return {
      replayedEvents: cursor.isBehind ? replayed(first, filter, cursor.newestSeq) : 0,
      start: () => {
        if (this.#closed || !subscription.active) {
          cursor.close();
        } else if (this.#live === null) {
          shows = () => this.#anyLive((other) => showsValues(other.filter));
          subscription.live = true;
          this.#live = { cursor, position: fromSeq };
          void this.#run(this.#pump(this.#live, first));
        } else {
          void this.#run(this.#catchUp(subscription, cursor, first));
        }
      },
    };
  }

  /** @returns false when there is no such subscription */
  remove(id: string): boolean {
    const subscription = this.#byId.get(id);
    if (subscription === undefined) return false;
    subscription.active = false;
    this.#byId.delete(id);
    if (this.#byId.size === 0) this.#stopLive();
    return true;
  }

  close(): void {
    this.#closed = true;
    for (const subscription of this.#byId.values()) subscription.active = false;
    this.#byId.clear();
    this.#stopLive();
  }

  async #run(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!this.#closed) this.#deps.onError(error);
    }
  }

  async #pump(live: LiveReader, first: CursorRead | null): Promise<void> {
    for (let read = first ?? (await live.cursor.next()); this.#live === live; read = await live.cursor.next()) {
      if (read.kind === "end") {
        this.#deps.onEnd();
        return;
      }
      if (read.kind === "gap") {
        live.position = read.resumeAtSeq;
        continue;
      }
      for (const event of read.events) {
        const isNumbered = !isSnapshot(event);
        if (isNumbered) live.position = event.seq + 1;
        const isWanted = this.#anyLive(
          ({ filter, fromSeq }) => (!isNumbered || event.seq >= fromSeq) && matchesFilter(filter, event.event),
        );
        const slow = isWanted ? this.#deps.send(event) : null;
        if (slow !== null) await slow;
        if (this.#live !== live) return;
      }
    }
  }

  /** Replay to one subscription until it stands where the live reader stands. The end is the live reader's to see. */
  async #catchUp(subscription: Subscription, cursor: ThreadCursor, first: CursorRead | null): Promise<void> {
    let position = subscription.fromSeq;
    let read = first;
    try {
      while (subscription.active) {
        if (read === null && position >= this.#livePosition() && !cursor.hasWaiting) {
          subscription.live = true;
          return;
        }
        read ??= await cursor.next();
        if (read.kind === "end") return;
        position = read.kind === "gap" ? read.resumeAtSeq : await this.#replay(subscription, read.events, position);
        read = null;
      }
    } finally {
      cursor.close();
    }
  }

  /** @returns the new position: the live reader's as soon as that is reached */
  async #replay(subscription: Subscription, events: readonly RunEvent[], from: number): Promise<number> {
    let position = from;
    for (const event of events) {
      if (!isSnapshot(event)) {
        // From here on the live reader serves it: nothing may come in between.
        if (event.seq >= this.#livePosition()) {
          subscription.live = subscription.active;
          return this.#livePosition();
        }
        position = event.seq + 1;
      }
      const slow = matchesFilter(subscription.filter, event.event) ? this.#deps.send(event) : null;
      if (slow !== null) await slow;
      if (!subscription.active) return position;
    }
    return position;
  }

  #livePosition(): number {
    return this.#live?.position ?? 0;
  }

  #anyLive(matches: (subscription: Subscription) => boolean): boolean {
    for (const subscription of this.#byId.values()) if (subscription.live && matches(subscription)) return true;
    return false;
  }

  #stopLive(): void {
    const live = this.#live;
    this.#live = null;
    live?.cursor.close();
  }
}

function replayed(first: CursorRead | null, filter: ThreadEventFilter, newestSeq: number): number | null {
  if (first?.kind !== "events") return null;
  const { events } = first;
  if ((events.at(-1)?.seq ?? -1) < newestSeq) return null;
  return events.filter((event) => matchesFilter(filter, event.event)).length;
}
