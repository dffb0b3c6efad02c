import type { AccessFilter } from "../../core/auth.js";
import type { Clock } from "../../core/clock.js";
import type { EventCursor } from "../../core/event-log.js";
import type { Logger } from "../../core/logger.js";
import { CHANGES_KEPT_MS, type RecordChange, type RecordKey, type RecordStore } from "../../core/record.js";
import type { RecordHints } from "../../services/record-hints.js";
import { FeedCursor } from "./feed-cursor.js";
import { type ItemPlace, recordKeyOf } from "./places.js";

/** Changes read at once, of small values; of large ones as many as have {@link PAGE_CHARS}. */
const PAGE = 100;
const PAGE_CHARS = 4 * 1024 * 1024;
const FIRST_PAGE = 10;

/** Changes that readers who lag behind make the feed of a value keep; those who need more are dropped. */
const MAX_KEPT = 1_000;
const MAX_KEPT_CHARS = 1024 * 1024;
/** However large they are: who is busy with one large value is not dropped for the next. */
const MIN_KEPT = 8;

/** Whoever has not read for so long may have missed what is forgotten by now, and compares versions. */
const COMPARE_MS = CHANGES_KEPT_MS / 2;

/** What becomes of a value, from a version on; `null`: the reader must not know which. */
export interface FollowCursor extends EventCursor {
  readonly began: number | null;
}

/** What becomes of values, for who follows them. */
export interface StateFeed {
  /**
   * Follow a value, which need not be there, from now on. Resolves when nothing that is written from here on can be missed.
   * @param options.lastVersion the last one that the client has seen: where there is another by now, it comes first, as one message
   * @param options.onDropped the reader is too slow: the cursor has ended
   */
  follow(
    place: ItemPlace,
    options: { readonly access: AccessFilter; readonly lastVersion: number | null; readonly onDropped: () => void },
  ): Promise<FollowCursor>;
  /** How many follow a value, in this process. */
  readonly followerCount: number;
}

export function createStateFeed(deps: {
  readonly records: RecordStore;
  readonly hints: Pick<RecordHints, "subscribe">;
  readonly clock: Pick<Clock, "now">;
  readonly logger: Pick<Logger, "warn">;
}): StateFeed {
  const { records } = deps;
  const followed = new Map<string, FollowedValue>();
  return {
    async follow(place, { access, lastVersion, onDropped }) {
      const key = recordKeyOf(place);
      const id = JSON.stringify([key.owner, key.collection, key.key]);
      let value = followed.get(id);
      if (value === undefined) {
        value = new FollowedValue(key, deps, () => followed.delete(id));
        followed.set(id, value);
      }
      const cursor = new FeedCursor({ place, access, onDropped, onClose: (closed) => value.leave(closed) });
      // Before anything is read: subscribe, replay, drop what came twice.
      value.join(cursor);
      try {
        const version = await records.version(key);
        const isBehind = lastVersion !== null && lastVersion !== version;
        const record = isBehind ? await records.get(key) : null;
        cursor.open(record?.version ?? version, isBehind ? (record?.value ?? null) : undefined);
        value.begin(version);
        return cursor;
      } catch (error) {
        cursor.close();
        throw error;
      }
    },
    get followerCount() {
      let count = 0;
      for (const value of followed.values()) count += value.size;
      return count;
    },
  };
}

/** A value that somebody here follows: its changes are read once for all of them, and kept until the last one has taken them. */
class FollowedValue {
  readonly #key: RecordKey;
  readonly #deps: Parameters<typeof createStateFeed>[0];
  readonly #onEmpty: () => void;
  readonly #cursors = new Set<FeedCursor>();
  readonly #stop: () => void;
  #changes: readonly RecordChange[] = [];
  /** Read up to here; `null`: nobody knows yet from where. */
  #version: number | null = null;
  /** The last one that is not kept although a reader may want it. */
  #forgotten = -1;
  #pageSize = FIRST_PAGE;
  /** When it was last known that nothing is missed. */
  #comparedAt: number;
  #reading = false;
  #again = false;

  constructor(key: RecordKey, deps: Parameters<typeof createStateFeed>[0], onEmpty: () => void) {
    this.#key = key;
    this.#deps = deps;
    this.#onEmpty = onEmpty;
    this.#comparedAt = deps.clock.now();
    this.#stop = deps.hints.subscribe(key, () => void this.#read());
  }

  get size(): number {
    return this.#cursors.size;
  }

  join(cursor: FeedCursor): void {
    this.#cursors.add(cursor);
  }

  leave(cursor: FeedCursor): void {
    if (!this.#cursors.delete(cursor) || this.#cursors.size > 0) return;
    this.#stop();
    this.#changes = [];
    this.#onEmpty();
  }

  /** @param version as somebody who has joined read it: no later change may be missed */
  begin(version: number): void {
    this.#version ??= version;
    for (const cursor of Array.from(this.#cursors)) cursor.offer(this.#changes, this.#forgotten);
    void this.#read();
  }

  async #read(): Promise<void> {
    this.#again = true;
    if (this.#reading || this.#version === null) return;
    this.#reading = true;
    try {
      while (this.#again && this.#cursors.size > 0) {
        this.#again = false;
        const limit = this.#pageSize;
        const changes = await this.#deps.records.changes({ ...this.#key, after: this.#version, limit });
        const last = changes.at(-1);
        if (last === undefined) {
          await this.#compare();
          continue;
        }
        this.#version = last.version;
        this.#again ||= changes.length === limit;
        this.#pageSize = nextPageSize(limit, changes);
        this.#tell(changes);
      }
    } catch (error) {
      // Hints come again, at the latest by themselves.
      this.#deps.logger.warn({ err: error, workflow: this.#key.collection }, "changes of a value could not be read");
    } finally {
      this.#reading = false;
    }
  }

  /**
   * Whether what there is is another version than the last change that was read. So it is when nobody could read for longer than changes are
   * kept, and when versions have begun anew, long after a value's end: what there is now is told then, as one change.
   */
  async #compare(): Promise<void> {
    const { records, clock } = this.#deps;
    const now = clock.now();
    if (Math.abs(now - this.#comparedAt) < COMPARE_MS) return;
    const known = await records.version(this.#key);
    this.#comparedAt = now;
    if (known === this.#version) return;
    // Of what happened since then there may be changes.
    this.#again = true;
    // As there are when it has only just been written.
    if ((await records.changes({ ...this.#key, after: this.#version ?? 0, limit: 1 })).length > 0) return;
    const record = await records.get(this.#key);
    const version = record?.version ?? known;
    const hasBegunAnew = version < (this.#version ?? 0);
    this.#version = version;
    if (hasBegunAnew) {
      this.#changes = [];
      this.#forgotten = -1;
      for (const cursor of this.#cursors) cursor.rewind();
      // Its end was told when it was.
      if (record === null) return;
    }
    this.#tell([{ key: this.#key.key, version, previous: null, value: record?.value ?? null, at: now }]);
  }

  #tell(changes: readonly RecordChange[]): void {
    let oldest = Number.POSITIVE_INFINITY;
    for (const cursor of this.#cursors) oldest = Math.min(oldest, cursor.position);
    const kept = [...this.#changes.filter(({ version }) => version > oldest), ...changes];
    const first = firstToKeep(kept, changes.length);
    if (first > 0) this.#forgotten = (kept[first - 1] as RecordChange).version;
    this.#changes = kept.slice(first);
    for (const cursor of Array.from(this.#cursors)) cursor.offer(this.#changes, this.#forgotten);
  }
}

/**
 * Where what is kept begins.
 * @param fresh how many have just been read: these are kept, so that nobody is dropped who has taken all before
 */
function firstToKeep(changes: readonly RecordChange[], fresh: number): number {
  let chars = 0;
  for (let kept = 1; kept <= changes.length; kept += 1) {
    chars += charsOf(changes[changes.length - kept] as RecordChange);
    if (kept > Math.max(fresh, MIN_KEPT) && (kept > MAX_KEPT || chars > MAX_KEPT_CHARS))
      return changes.length - kept + 1;
  }
  return 0;
}

function nextPageSize(size: number, changes: readonly RecordChange[]): number {
  const chars = changes.reduce((sum, change) => sum + charsOf(change), 0);
  const each = Math.max(1, chars / changes.length);
  return Math.max(1, Math.min(2 * size, PAGE, Math.floor(PAGE_CHARS / each)));
}

function charsOf({ previous, value }: RecordChange): number {
  return (previous?.length ?? 0) + (value?.length ?? 0);
}
