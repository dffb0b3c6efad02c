import type { EpochMs, JsonText } from "./json.js";

/**
 * Where a record lies. Texts of up to 1,024 characters, without NUL and lone surrogates; they may be empty but for `space` and `key`.
 * Everything else is refused with `INVALID_REQUEST` that names the field, by every method.
 */
export interface RecordKey {
  /** What the record is for: `state-store`, `idempotency`. Ours, never a user's. */
  readonly space: string;
  /** Whose it is (core/owner.ts): no method looks at two owners' records at once but the sweep. */
  readonly owner: string;
  readonly collection: string;
  readonly key: string;
}

/** A small versioned document of a protocol's own: what no assistant, thread, run or item is. */
export interface StoredRecord extends RecordKey {
  /** 1 for the first write, one more for each write, removal and expiry; goes on where a removed record is written anew. */
  readonly version: number;
  readonly value: JsonText;
  /** What lists select by, in clear also with encryption at rest. */
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  /** `null`: never. From then on nobody sees it. */
  readonly expiresAt: EpochMs | null;
}

export interface RecordWrite extends RecordKey {
  readonly value: JsonText;
  /** The version that must be there: 0 for none. Absent: whatever is there is replaced. */
  readonly expected?: number;
  /** From now on; `null` or absent: it does not expire, whatever it did before. */
  readonly ttlMs?: number | null;
  /** Replace those of the record, at most 64, names and values as those of keys. Default none. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Keep what changed for {@link RecordStore.changes}, also how this record ends. Default false. */
  readonly tracked?: boolean;
  /**
   * Nobody will ever name a version of this record once it is gone (entries of a log, keys of idempotency): nothing of it is kept
   * then, and written anew it begins with version 1. Of all its writes; one without it, and its versions go on for ever after.
   * Default false. Not with `tracked`.
   */
  readonly disposable?: boolean;
}

export type RecordWriteOutcome =
  | {
      readonly kind: "written";
      readonly record: StoredRecord;
      /** The value before; `null` when there was none. */
      readonly previous: JsonText | null;
    }
  /** @param current 0 when there is no (visible) record */
  | { readonly kind: "conflict"; readonly current: number };

/** One change of a tracked record. */
export interface RecordChange {
  readonly key: string;
  readonly version: number;
  /** `null`: there was none. */
  readonly previous: JsonText | null;
  /** `null`: removed or expired. */
  readonly value: JsonText | null;
  /** Of an expiry: when it was noticed, which is after {@link StoredRecord.expiresAt}. */
  readonly at: EpochMs;
}

export interface RecordQuery {
  readonly space: string;
  readonly owner: string;
  /** Absent: all collections of the owner. */
  readonly collection?: string;
  /** All of these labels, equal. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Keys from here on, by code points. Up to 2,048 characters, as `toKey`. */
  readonly fromKey?: string;
  /** Keys up to and with this one. */
  readonly toKey?: string;
}

/**
 * What has expired counts as missing at once: for `get` and lists, and for a write that expects version 0. Its version counts on, and
 * a tracked one leaves its change, whether it is swept or written first.
 *
 * Versioned records with compare-and-set, times to live and a feed of changes, in every storage. Times are the store's own.
 * Expired records are invisible at once and removed by {@link RecordStore.sweepExpired}.
 */
export interface RecordStore {
  get(key: RecordKey): Promise<StoredRecord | null>;
  /**
   * The last version, also of what has gone (for {@link TOMBSTONES_KEPT_MS}) or has expired and is not swept yet; 0 when none is known.
   * {@link RecordStore.changes} after it tells what happens from then on.
   */
  version(key: RecordKey): Promise<number>;
  write(write: RecordWrite): Promise<RecordWriteOutcome>;
  /**
   * Several writes in one step: all, or none and the first conflict. MongoDB has no such step: there they are made in order and undone
   * in reverse at a conflict, and a crash in between leaves the first ones, so order them such that these alone are valid.
   * @returns outcomes in order of `writes`; with one conflict nothing is written
   */
  writeAll(
    writes: readonly RecordWrite[],
  ): Promise<
    | { readonly kind: "written"; readonly records: readonly StoredRecord[] }
    | { readonly kind: "conflict"; readonly index: number; readonly current: number }
  >;
  /** @param params.expected the version that must be there; absent: any. What is not there is `absent` whatever was expected. */
  remove(
    params: RecordKey & { readonly expected?: number; readonly tracked?: boolean },
  ): Promise<
    | { readonly kind: "removed"; readonly version: number; readonly previous: JsonText }
    | { readonly kind: "absent" }
    | { readonly kind: "conflict"; readonly current: number }
  >;
  /**
   * @param params.order `created`: in the order in which they were first written (a record that was removed and written anew is new);
   * `updated`: of the times of their last writes; `key`: by code points. Equal ones by collection and key; `desc` is all of that reversed.
   */
  list(
    params: RecordQuery & {
      readonly order: "created" | "updated" | "key";
      readonly direction: "asc" | "desc";
      readonly limit: number;
      readonly offset: number;
    },
  ): Promise<readonly StoredRecord[]>;
  count(query: RecordQuery): Promise<number>;
  /** Remove all records of a collection without telling {@link RecordStore.changes}. @returns how many */
  removeCollection(params: {
    readonly space: string;
    readonly owner: string;
    readonly collection: string;
  }): Promise<number>;
  /** What became of one tracked record after a version, oldest first. Changes are kept for {@link CHANGES_KEPT_MS}. */
  changes(params: RecordKey & { readonly after: number; readonly limit: number }): Promise<readonly RecordChange[]>;
  /**
   * Expired records that are still there, oldest expiry first, of all owners: for whoever tells of them before
   * {@link RecordStore.sweepExpired}.
   */
  expired(params: { readonly space: string; readonly limit: number }): Promise<readonly StoredRecord[]>;
  /**
   * Remove expired records, oldest expiry first; tracked ones leave a change and count one version. Old changes go, too. What has a
   * `space` of `except` stays, for who looks at {@link RecordStore.expired} himself.
   * @returns whose they were, so that readers can be told; fewer than `limit` when none is left
   */
  sweepExpired(params: { readonly limit: number; readonly except?: readonly string[] }): Promise<readonly RecordKey[]>;
}

/** How long the feed remembers. */
export const CHANGES_KEPT_MS = 10 * 60_000;

/**
 * How long a removed or expired record's last version is remembered, without its value and labels (some 200 bytes): written anew in
 * that time it counts on, so that no version that somebody still holds can match again. Whoever has held one for longer than a month
 * without asking has no claim to it. {@link RecordWrite.disposable} ones leave nothing.
 */
export const TOMBSTONES_KEPT_MS = 30 * 86_400_000;
