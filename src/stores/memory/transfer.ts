import { HeddleError } from "../../core/errors.js";
import { copyJson } from "../../core/json.js";
import type { RowTransfer, TransferKind, TransferredRecord, TransferRow } from "../../core/row-transfer.js";
import { kwargsText } from "../../core/kwargs-text.js";
import {
  apiKeyRow,
  assistantRow,
  cronRow,
  cronWithout,
  recordKeyParts,
  recordRow,
  columnText,
  runRow,
  threadRow,
  transferKey,
  valueOf,
  versionKeyParts,
  versionRow,
} from "../transfer-rows.js";
import type { MemoryRecords } from "./records.js";
import { frozenKey, type MemoryApiKeys } from "./api-keys.js";
import { putAssistant } from "./assistants.js";
import { copyCron } from "./crons.js";
import type { MemoryItems } from "./items.js";
import type { RunRow } from "./rows.js";
import { assistantOf, runOf, threadOf, versionOf } from "./rows.js";
import type { Tables } from "./tables.js";

/** Rows of the memory store in and out, in the order of keys as JavaScript compares strings. */
export function createMemoryTransfer(
  tables: Tables,
  items: MemoryItems,
  apiKeys: MemoryApiKeys,
  records: MemoryRecords,
): RowTransfer {
  const { assistants, threads, runs } = tables;

  const readers: Readonly<Record<TransferKind, (after: string | null, limit: number) => readonly TransferRow[]>> = {
    assistants: (after, limit) =>
      page(assistants.keys(), after, limit).flatMap((key) => {
        const row = assistants.get(key);
        return row === undefined ? [] : [assistantRow(assistantOf(row))];
      }),
    assistantVersions: (after, limit) => {
      const keys = [...assistants.values()].flatMap((row) =>
        row.versions.map((version) => transferKey("assistantVersions", version)),
      );
      return page(keys, after, limit).flatMap((key) => {
        const { assistantId, version } = versionKeyParts(key);
        const found = assistants.get(assistantId)?.versions.find((one) => one.version === version);
        return found === undefined ? [] : [versionRow(versionOf(found))];
      });
    },
    threads: (after, limit) =>
      page(threads.keys(), after, limit).flatMap((key) => {
        const row = threads.get(key);
        return row === undefined ? [] : [threadRow(threadOf(row), row)];
      }),
    runs: (after, limit) =>
      page(runs.keys(), after, limit).flatMap((key) => {
        const row = runs.get(key);
        return row === undefined
          ? []
          : [runRow(runOf(row), { leaseToken: row.leaseToken, cancelRequested: row.cancel })];
      }),
    crons: (after, limit) =>
      page(tables.crons.byId.keys(), after, limit).flatMap((key) => {
        const row = tables.crons.byId.get(key);
        return row === undefined ? [] : [cronRow(copyCron(row.cron))];
      }),
    items: (after, limit) => items.transfer.read(after, limit),
    apiKeys: (after, limit) =>
      page(apiKeys.rows.keys(), after, limit).flatMap((keyId) => {
        const key = apiKeys.rows.get(keyId);
        return key === undefined ? [] : [apiKeyRow(key)];
      }),
    records: (after, limit) =>
      page(recordKeys(records), after, limit).flatMap((key) => {
        const row = records.rows.get(recordKeyParts(key));
        return row === null ? [] : [recordRow(row)];
      }),
  };

  const writers: Readonly<Record<Exclude<TransferKind, "items">, (row: TransferRow) => void>> = {
    assistants: (row) => putAssistant(tables, valueOf("assistants", row)),
    assistantVersions(row) {
      const version = valueOf("assistantVersions", row);
      const assistant = assistants.get(version.assistantId);
      if (assistant === undefined) {
        throw new HeddleError("ASSISTANT_NOT_FOUND", {
          message: `Version ${version.version} belongs to an assistant ${version.assistantId} that is not there.`,
        });
      }
      const others = assistant.versions.filter((one) => one.version !== version.version);
      others.push(version);
      others.sort((a, b) => a.version - b.version);
      assistant.versions.splice(0, assistant.versions.length, ...others);
    },
    threads(row) {
      const { values, interrupts, error, ...thread } = valueOf("threads", row);
      tables.putThread({
        ...thread,
        prunedAt: null,
        values: columnText(values),
        interrupts: columnText(interrupts),
        error: columnText(error),
      });
    },
    runs: (row) => tables.putRun(runRowOf(tables, row)),
    crons(row) {
      const cron = valueOf("crons", row);
      if (!assistants.has(cron.assistantId)) throw cronWithout(cron, "assistant");
      if (cron.threadId !== null && !threads.has(cron.threadId)) throw cronWithout(cron, "thread");
      tables.crons.put({ cron, leaseToken: 0, leaseUntil: null });
    },
    apiKeys(row) {
      const key = valueOf("apiKeys", row);
      apiKeys.rows.set(key.keyId, frozenKey(key));
    },
    records: (row) => putRecord(records, valueOf("records", row)),
  };

  return {
    read: async ({ kind, after, limit }) => readers[kind](after, limit),
    async write({ kind, rows }) {
      const copies = rows.map(({ key, value }) => ({ key, value: copyJson(value) }));
      if (kind === "items") items.transfer.write(copies);
      else for (const row of copies) writers[kind](row);
    },
  };
}

function page(keys: Iterable<string>, after: string | null, limit: number): readonly string[] {
  return [...keys]
    .filter((key) => after === null || key > after)
    .sort()
    .slice(0, limit);
}

function recordKeys({ rows }: MemoryRecords): readonly string[] {
  return [...rows.all()].map((row) => transferKey("records", row));
}

function putRecord({ rows }: MemoryRecords, record: TransferredRecord): void {
  rows.replace(record, record);
  rows.dropAllChanges(record);
}

function runRowOf(tables: Tables, row: TransferRow): RunRow {
  const run = valueOf("runs", row);
  const thread = tables.threads.get(run.threadId);
  if (thread === undefined) {
    throw new HeddleError("THREAD_NOT_FOUND", {
      message: `Run ${run.runId} belongs to a thread ${run.threadId} that is not there.`,
    });
  }
  const { threadId: _, metadata, kwargs, error, cancelRequested, ...fields } = run;
  return {
    ...fields,
    thread,
    metadata: JSON.stringify(metadata),
    kwargs: kwargsText(kwargs),
    temporary: kwargs.temporary,
    error: columnText(error),
    cancel: cancelRequested,
    workerId: null,
    leaseUntil: 0,
    heartbeatAt: 0,
    retryAt: null,
  };
}
