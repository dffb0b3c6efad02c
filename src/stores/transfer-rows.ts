import type { ApiKey } from "../core/api-key.js";
import type { Assistant, AssistantVersion } from "../core/assistant.js";
import type { Cron } from "../core/cron.js";
import type { Item } from "../core/item.js";
import { HeddleError } from "../core/errors.js";
import type { RecordKey } from "../core/record.js";
import type { JsonObject, JsonText, JsonValue } from "../core/json.js";
import { parseJsonText, toJsonText } from "../core/json.js";
import type {
  TransferKind,
  TransferredItem,
  TransferredRecord,
  TransferredRun,
  TransferredThread,
  TransferRow,
  TransferValues,
} from "../core/row-transfer.js";
import { isTerminal } from "../core/run-lifecycle.js";
import type { CancelAction, Run } from "../core/run.js";
import type { Thread } from "../core/thread.js";
import type { SettledStatus } from "./run-rules.js";

/* Rows of core/row-transfer from what a store has, so that all stores spell them alike. */

export function assistantRow(assistant: Assistant): TransferRow {
  return rowOf("assistants", assistant);
}

export function versionRow(version: AssistantVersion): TransferRow {
  return rowOf("assistantVersions", version);
}

/** @param thread with its state columns */
export function threadRow(
  thread: Thread,
  beside: {
    readonly settledStatus: SettledStatus;
    readonly error: JsonText | null;
    readonly temporary: boolean;
    readonly watched: boolean;
  },
): TransferRow {
  const { status: _, values, interrupts, ...rest } = thread;
  const { settledStatus, temporary, watched } = beside;
  return rowOf("threads", {
    ...rest,
    settledStatus,
    values: parsed(values),
    interrupts: parsed(interrupts),
    error: settledStatus === "error" ? parsed(beside.error) : null,
    temporary,
    watched,
  });
}

export function runRow(
  run: Run,
  beside: { readonly leaseToken: number; readonly cancelRequested: CancelAction | null },
): TransferRow {
  return rowOf("runs", {
    ...run,
    status: run.status === "running" ? "pending" : run.status,
    error: parsed(run.error),
    leaseToken: beside.leaseToken,
    cancelRequested: isTerminal(run.status) ? null : beside.cancelRequested,
  });
}

export function cronRow(cron: Cron): TransferRow {
  return rowOf("crons", cron);
}

export function itemRow(item: TransferredItem): TransferRow {
  const { vectors, embedding, ...rest } = item;
  return rowOf("items", {
    ...rest,
    embedding: embedding && { fingerprint: embedding.fingerprint, paths: embedding.paths },
    vectors: vectors.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
  });
}

export function apiKeyRow(key: ApiKey): TransferRow {
  return rowOf("apiKeys", key);
}

export function recordRow(record: TransferredRecord): TransferRow {
  return rowOf("records", record);
}

/** A row's value as what its kind holds: `valueOf("runs", row).runId`. */
export function valueOf<Kind extends TransferKind>(_kind: Kind, row: TransferRow): TransferValues[Kind] {
  return row.value as TransferValues[Kind];
}

/** The key under which a store reads and writes a value. */
export function transferKey<Kind extends TransferKind>(kind: Kind, value: KeyParts[Kind]): string {
  return KEYS[kind](value);
}

/** The parts of an `assistantVersions` key. */
export function versionKeyParts(key: string): { readonly assistantId: string; readonly version: number } {
  const colon = key.lastIndexOf(":");
  return { assistantId: key.slice(0, colon), version: Number(key.slice(colon + 1)) };
}

/** The parts of an `items` key. */
export function itemKeyParts(key: string): { readonly namespace: readonly string[]; readonly key: string } {
  const [namespace, itemKey] = JSON.parse(key) as [readonly string[], string];
  return { namespace, key: itemKey };
}

/** The parts of a `records` key. */
export function recordKeyParts(text: string): RecordKey {
  const [space, owner, collection, key] = JSON.parse(text) as [string, string, string, string];
  return { space, owner, collection, key };
}

/** A parsed column as the text that a store keeps; `null` stays `null`. */
export function columnText(value: JsonValue): JsonText | null {
  return value === null ? null : toJsonText(value);
}

interface KeyParts {
  readonly assistants: Pick<Assistant, "assistantId">;
  readonly assistantVersions: Pick<AssistantVersion, "assistantId" | "version">;
  readonly threads: Pick<TransferredThread, "threadId">;
  readonly runs: Pick<TransferredRun, "runId">;
  readonly crons: Pick<Cron, "cronId">;
  readonly items: Pick<Item, "namespace" | "key">;
  readonly apiKeys: Pick<ApiKey, "keyId">;
  readonly records: RecordKey;
}

const KEYS: { readonly [Kind in TransferKind]: (value: KeyParts[Kind]) => string } = {
  assistants: ({ assistantId }) => assistantId,
  assistantVersions: ({ assistantId, version }) => `${assistantId}:${String(version).padStart(10, "0")}`,
  threads: ({ threadId }) => threadId,
  runs: ({ runId }) => runId,
  crons: ({ cronId }) => cronId,
  items: ({ namespace, key }) => JSON.stringify([namespace, key]),
  apiKeys: ({ keyId }) => keyId,
  records: ({ space, owner, collection, key }) => JSON.stringify([space, owner, collection, key]),
};

/** A cron of a copy belongs to what is not there. */
export function cronWithout(
  cron: Pick<Cron, "cronId" | "assistantId" | "threadId">,
  missing: "assistant" | "thread",
): HeddleError {
  const { cronId, assistantId, threadId } = cron;
  return missing === "assistant"
    ? new HeddleError("ASSISTANT_NOT_FOUND", {
        message: `Cron ${cronId} belongs to an assistant ${assistantId} that is not there.`,
      })
    : new HeddleError("THREAD_NOT_FOUND", {
        message: `Cron ${cronId} belongs to a thread ${threadId} that is not there.`,
      });
}

function rowOf<Kind extends TransferKind>(kind: Kind, value: TransferValues[Kind]): TransferRow {
  return { key: transferKey(kind, value), value: value as object as JsonObject };
}

function parsed(text: JsonText | null): JsonValue {
  return text === null ? null : parseJsonText(text);
}
