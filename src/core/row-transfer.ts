import type { ApiKey } from "./api-key.js";
import type { Assistant, AssistantVersion } from "./assistant.js";
import type { Cron } from "./cron.js";
import type { ItemEmbedding } from "./item-store.js";
import type { Item } from "./item.js";
import type { EpochMs, JsonObject, JsonText, JsonValue } from "./json.js";
import type { StoredRecord } from "./record.js";
import type { CancelAction, Run, RunStatus } from "./run.js";
import type { Thread, ThreadStatus } from "./thread.js";

/** Kinds of rows, in the order in which a copy writes them: what is referred to comes first. */
export const TRANSFER_KINDS = [
  "assistants",
  "assistantVersions",
  "threads",
  "runs",
  "crons",
  "items",
  "apiKeys",
  "records",
] as const;
export type TransferKind = (typeof TRANSFER_KINDS)[number];

/** A thread without its runs: `busy` follows from them. What is `JsonText` in a thread is parsed here. */
export interface TransferredThread extends Omit<Thread, "status" | "values" | "interrupts" | "error"> {
  /** What its status is when no run is in flight. */
  readonly settledStatus: Exclude<ThreadStatus, "busy">;
  readonly values: JsonValue;
  readonly interrupts: JsonValue;
  /** `null` unless `settledStatus` is `error`. */
  readonly error: JsonValue;
  /** Made for a stateless run, to be removed with it. */
  readonly temporary: boolean;
  /** Followed by the event protocol (`ThreadStore.watch`). */
  readonly watched: boolean;
}

/** A run without its lease: a running one is `pending`, with its attempts; a pause after a crash is over. */
export interface TransferredRun extends Omit<Run, "status" | "error"> {
  readonly status: Exclude<RunStatus, "running">;
  readonly error: JsonValue;
  /** Of its last lease; 0 when no worker ever held it. The next one is greater. */
  readonly leaseToken: number;
  /** `null` for a run that has ended. */
  readonly cancelRequested: CancelAction | null;
}

/** An item with what lies beside its value; also one that has expired and is not swept yet. */
export interface TransferredItem extends Item {
  readonly ttlMs: number | null;
  readonly expiresAt: EpochMs | null;
  readonly embedding: ItemEmbedding | null;
  /** By path. `values`: 32-bit floats, little-endian, at unit length, in base64. */
  readonly vectors: readonly { readonly path: string; readonly values: string }[];
}

/**
 * A record, also one that has expired and is not swept, and the version of one that is gone. Of all spaces: a request that is repeated
 * after a move is not carried out twice. What has changed lately stays behind: who listens reads again.
 */
export interface TransferredRecord extends Omit<StoredRecord, "value"> {
  /** As it is: nobody parses it. `null`: it was removed or has expired at `updatedAt`; only its version is left. */
  readonly value: JsonText | null;
  /** Order of creation among the owner's records. */
  readonly sequence: number;
  /** Its last write was: its end leaves a change. */
  readonly tracked: boolean;
  /** All its writes were: its end leaves nothing. */
  readonly disposable: boolean;
}

/** What the rows of each kind hold. `stores/transfer-rows.ts` makes rows of entities and the other way round. */
export interface TransferValues {
  readonly assistants: Assistant;
  readonly assistantVersions: AssistantVersion;
  readonly threads: TransferredThread;
  readonly runs: TransferredRun;
  /** Claimed by nobody. */
  readonly crons: Cron;
  readonly items: TransferredItem;
  readonly apiKeys: ApiKey;
  readonly records: TransferredRecord;
}

/**
 * One row as every store reads and writes it: the fields of {@link TransferValues}, every one present, in camelCase, times in
 * epoch milliseconds, `null` for what is not there. Equal rows in two stores have equal JSON, but for the order of keys.
 */
export interface TransferRow {
  /**
   * Unique among rows of a kind, and the same in every store: `assistantId`; `assistantId:version` with the version in ten
   * digits; `threadId`; `runId`; `cronId`; the JSON text of `[namespace, key]`; `keyId`; the JSON text of
   * `[space, owner, collection, key]`.
   */
  readonly key: string;
  readonly value: JsonObject;
}

/** All rows of a storage, for copying it into another one. */
export interface RowTransfer {
  /**
   * The rows of a kind after `after`, in an order of the store's own that keys alone decide. At most `limit`, and fewer when
   * rows are large: an empty page is the end.
   * @param params.after the last key of the page before; it need not exist any more
   */
  read(params: {
    readonly kind: TransferKind;
    readonly after: string | null;
    readonly limit: number;
  }): Promise<readonly TransferRow[]>;
  /**
   * Insert, or replace what has the same key: writing twice is writing once. All or nothing where the database can.
   * @throws HeddleError `ASSISTANT_NOT_FOUND`, `THREAD_NOT_FOUND` for a version, run or cron whose assistant or thread is missing
   */
  write(params: { readonly kind: TransferKind; readonly rows: readonly TransferRow[] }): Promise<void>;
}
