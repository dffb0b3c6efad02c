import type { JsonText } from "../../src/core/json.js";
import {
  CHANGES_KEPT_MS,
  type RecordChange,
  type RecordKey,
  type RecordQuery,
  type RecordStore,
  type RecordWrite,
  TOMBSTONES_KEPT_MS,
} from "../../src/core/record.js";

/** One life of a record: from a first write to its end. */
interface Life {
  readonly born: number;
  readonly createdAt: number;
  value: JsonText;
  labels: Readonly<Record<string, string>>;
  updatedAt: number;
  expiresAt: number | null;
  tracked: boolean;
}

interface History {
  readonly place: RecordKey;
  version: number;
  /** `null`: between two lives. */
  life: Life | null;
  endedAt: number;
  /** No write so far had a version that is to be remembered. */
  disposable: boolean;
  changes: RecordChange[];
}

/** With its place in the order of creation. */
export interface Listed {
  readonly record: NonNullable<Shown>;
  readonly born: number;
}

type Shown = Awaited<ReturnType<RecordStore["get"]>>;

/**
 * Records as their documentation says, told apart from how stores do it: time goes by for all of them at once (`at`), and every record
 * is its whole history.
 */
export class RecordModel {
  readonly #histories = new Map<string, History>();
  #births = 0;

  write(now: number, write: RecordWrite): Awaited<ReturnType<RecordStore["write"]>> {
    const { key, value, expected, ttlMs = null, labels = {}, tracked = false, disposable = false } = write;
    const known = this.#histories.get(idOf(write));
    const current = this.#isAlive(known, now) ? known.version : 0;
    if (expected !== undefined && expected !== current) return { kind: "conflict", current };
    this.#endIfExpired(idOf(write), now);
    const history = this.#histories.get(idOf(write)) ?? this.#begin(write, disposable);
    const previous = history.life?.value ?? null;
    history.version += 1;
    history.disposable &&= disposable;
    history.life = {
      born: history.life?.born ?? (this.#births += 1),
      createdAt: history.life?.createdAt ?? now,
      value,
      labels,
      tracked,
      updatedAt: now,
      expiresAt: ttlMs === null ? null : now + ttlMs,
    };
    if (tracked) history.changes.push({ key, version: history.version, previous, value, at: now });
    return { kind: "written", record: shown(history, history.life), previous };
  }

  remove(
    now: number,
    { expected, tracked = false, ...place }: Parameters<RecordStore["remove"]>[0],
  ): Awaited<ReturnType<RecordStore["remove"]>> {
    const history = this.#histories.get(idOf(place));
    if (!this.#isAlive(history, now)) return { kind: "absent" };
    const { version, life } = history;
    if (expected !== undefined && expected !== version) return { kind: "conflict", current: version };
    this.#end(idOf(place), now, tracked);
    return { kind: "removed", version: version + 1, previous: life.value };
  }

  removeCollection(now: number, { space, owner, collection }: Omit<RecordKey, "key">): number {
    let alive = 0;
    for (const [id, history] of this.#histories) {
      const { place } = history;
      if (place.space !== space || place.owner !== owner || place.collection !== collection) continue;
      if (history.life === null) continue;
      if (this.#isAlive(history, now)) alive += 1;
      this.#end(id, now, false);
    }
    return alive;
  }

  list(now: number, query: RecordQuery): readonly Listed[] {
    const { space, owner, collection, labels = {}, fromKey, toKey } = query;
    const found: Listed[] = [];
    for (const history of this.#histories.values()) {
      const { place } = history;
      if (!this.#isAlive(history, now) || place.space !== space || place.owner !== owner) continue;
      if (collection !== undefined && place.collection !== collection) continue;
      if (fromKey !== undefined && utf8(place.key, fromKey) < 0) continue;
      if (toKey !== undefined && utf8(place.key, toKey) > 0) continue;
      const { life } = history;
      if (Object.entries(labels).every(([name, value]) => life.labels[name] === value)) {
        found.push({ record: shown(history, life), born: life.born });
      }
    }
    return found;
  }

  get(now: number, place: RecordKey): Shown {
    const history = this.#histories.get(idOf(place));
    return this.#isAlive(history, now) ? shown(history, history.life) : null;
  }

  version(place: RecordKey): number {
    return this.#histories.get(idOf(place))?.version ?? 0;
  }

  changes(place: RecordKey, after: number): readonly RecordChange[] {
    return (this.#histories.get(idOf(place))?.changes ?? []).filter(({ version }) => version > after);
  }

  /** Those that have expired and are there, oldest expiry first; of equal ones no order is said. */
  expired(
    now: number,
    except: readonly string[],
  ): readonly { readonly place: RecordKey; readonly expiresAt: number }[] {
    const due: { readonly place: RecordKey; readonly expiresAt: number }[] = [];
    for (const { life, place } of this.#histories.values()) {
      if (life === null || life.expiresAt === null || life.expiresAt > now || except.includes(place.space)) continue;
      due.push({ place, expiresAt: life.expiresAt });
    }
    return due.toSorted((a, b) => a.expiresAt - b.expiresAt);
  }

  /** What a sweep has done that removed these. */
  swept(now: number, places: readonly RecordKey[]): void {
    for (const place of places) this.#endIfExpired(idOf(place), now);
    for (const [id, history] of this.#histories) {
      history.changes = history.changes.filter(({ at }) => at > now - CHANGES_KEPT_MS);
      if (history.life === null && history.endedAt <= now - TOMBSTONES_KEPT_MS) this.#histories.delete(id);
    }
  }

  /** To begin again from here, when a step of several writes fails. */
  snapshot(): () => void {
    const before = structuredClone([...this.#histories]);
    const births = this.#births;
    return () => {
      this.#histories.clear();
      for (const [id, history] of before) this.#histories.set(id, history);
      this.#births = births;
    };
  }

  #begin({ space, owner, collection, key }: RecordKey, disposable: boolean): History {
    const place = { space, owner, collection, key };
    const history: History = { place, version: 0, life: null, endedAt: 0, disposable, changes: [] };
    this.#histories.set(idOf(place), history);
    return history;
  }

  #isAlive(history: History | undefined, now: number): history is History & { life: Life } {
    if (history === undefined || history.life === null) return false;
    return history.life.expiresAt === null || history.life.expiresAt > now;
  }

  #endIfExpired(id: string, now: number): void {
    const history = this.#histories.get(id);
    if (history === undefined || history.life === null || this.#isAlive(history, now)) return;
    this.#end(id, now, history.life.tracked);
  }

  #end(id: string, now: number, tracked: boolean): void {
    const history = this.#histories.get(id);
    if (history === undefined || history.life === null) return;
    const { life, place, disposable } = history;
    if (disposable && !tracked) {
      this.#histories.delete(id);
      return;
    }
    history.version += 1;
    history.disposable = false;
    history.life = null;
    history.endedAt = now;
    if (tracked) {
      const { version } = history;
      history.changes.push({ key: place.key, version, previous: life.value, value: null, at: now });
    }
  }
}

function shown({ place, version }: History, life: Life): NonNullable<Shown> {
  const { value, labels, createdAt, updatedAt, expiresAt } = life;
  return { ...place, version, value, labels, createdAt, updatedAt, expiresAt };
}

export function utf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const idOf = ({ space, owner, collection, key }: RecordKey): string => JSON.stringify([space, owner, collection, key]);
