import { type Cipher, openJsonText, type Place, sealedTextOf, sealJsonText } from "../core/cipher.js";
import type { AssistantVersion } from "../core/assistant.js";
import type { Cron } from "../core/cron.js";
import type { JsonObject, JsonText } from "../core/json.js";
import type {
  RowTransfer,
  TransferKind,
  TransferredItem,
  TransferredRecord,
  TransferredRun,
  TransferredThread,
} from "../core/row-transfer.js";
import {
  openAssistant,
  openColumn,
  openCron,
  openErrorColumn,
  openItem,
  openKwargs,
  openObject,
  PLACES,
  sealColumn,
  sealCron,
  sealItem,
  sealKwargs,
  sealObject,
  sealValue,
} from "./sealed-rows.js";

import { openedEmbedding, openVectors, packVectors, sealedEmbedding, unpackVectors } from "./sealed-item-vectors.js";

type Change = (value: JsonObject) => JsonObject;

/**
 * Whole rows, opened when they are read and sealed when they are written: a copy of an encrypted storage is encrypted anew, under
 * the key ring of the target.
 */
export function sealedTransfer(transfer: RowTransfer, cipher: Cipher): RowTransfer {
  return {
    async read(params) {
      const rows = await transfer.read(params);
      return rows.map(({ key, value }) => ({ key, value: openRow(cipher, params.kind)(value) }));
    },
    write: ({ kind, rows }) =>
      transfer.write({ kind, rows: rows.map(({ key, value }) => ({ key, value: sealRow(cipher, kind)(value) })) }),
  };
}

/** A row of a kind, opened. What is clear stays, unless the cipher is strict. */
function openRow(cipher: Cipher, kind: TransferKind): Change {
  switch (kind) {
    case "assistants":
    case "assistantVersions":
      return (value) => toRow(openAssistant(cipher, value as AssistantVersion & JsonObject));
    case "crons":
      return (value) => toRow(openCron(cipher, cronOf(value)));
    case "items":
      return (value) => {
        const row = value as TransferredItem & JsonObject;
        // An item that was never sealed has clear vectors, of which its fingerprint tells.
        if (sealedTextOf(row.value) === null) return toRow(openItem(cipher, row));
        const vectors = packVectors(openVectors(cipher, row, row.value));
        return toRow({ ...openItem(cipher, row), vectors, embedding: openedEmbedding(row.embedding) });
      };
    case "records":
      return (value) => changeRecord(value, (text, place) => openJsonText(cipher, text, place));
    default:
      return changeRow(cipher, kind, {
        column: openColumn,
        error: openErrorColumn,
        object: openObject,
        kwargs: openKwargs,
      });
  }
}

/** A clear row of a kind, sealed. */
function sealRow(cipher: Cipher, kind: TransferKind): Change {
  switch (kind) {
    case "assistants":
    case "assistantVersions":
      return (value) => {
        const row = value as AssistantVersion & JsonObject;
        const { assistantId, config, context } = row;
        return toRow({
          ...row,
          config: sealObject(cipher, config, PLACES.assistant(assistantId, "config")),
          context: sealValue(cipher, context, PLACES.assistant(assistantId, "context")),
        });
      };
    case "crons":
      return (value) => {
        const cron = cronOf(value);
        return toRow(sealCron(cipher, cron.cronId, cron));
      };
    case "items":
      return (value) => {
        const row = value as TransferredItem & JsonObject;
        const sealed = sealItem(cipher, { ...row, vectors: unpackVectors(row.vectors) });
        return toRow({
          ...row,
          value: sealed,
          vectors: [],
          embedding: row.embedding && sealedEmbedding(row.embedding),
        });
      };
    case "records":
      return (value) => changeRecord(value, (text, place) => sealJsonText(cipher, text, place));
    default:
      return changeRow(cipher, kind, {
        column: sealColumn,
        error: sealColumn,
        object: sealObject,
        kwargs: sealKwargs,
      });
  }
}

/** How what is secret of a row is opened, or sealed. */
interface Cells {
  readonly column: typeof sealColumn;
  readonly error: typeof sealColumn;
  readonly object: typeof sealObject;
  readonly kwargs: typeof sealKwargs;
}

/** Threads and runs have the same secrets whichever way they go. Other kinds have none. */
function changeRow(cipher: Cipher, kind: TransferKind, { column, error, object, kwargs }: Cells): Change {
  switch (kind) {
    case "threads":
      return (value) => {
        const thread = value as TransferredThread & JsonObject;
        const { threadId } = thread;
        return toRow({
          ...thread,
          values: column(cipher, thread.values, PLACES.thread(threadId, "values")),
          interrupts: column(cipher, thread.interrupts, PLACES.thread(threadId, "interrupts")),
          error: error(cipher, thread.error, PLACES.thread(threadId, "error")),
          config: object(cipher, thread.config, PLACES.thread(threadId, "config")),
        });
      };
    case "runs":
      return (value) => {
        const run = value as TransferredRun & JsonObject;
        const { runId } = run;
        return toRow({
          ...run,
          kwargs: kwargs(cipher, runId, run.kwargs),
          error: error(cipher, run.error, PLACES.run(runId, "error")),
        });
      };
    default:
      return (value) => value;
  }
}

/** The value of a record, which nobody parses. */
function changeRecord(row: JsonObject, change: (text: JsonText, place: Place) => JsonText): JsonObject {
  const record = row as object as TransferredRecord;
  return toRow({ ...record, value: record.value && change(record.value, PLACES.record(record)) });
}

function cronOf(value: object): Cron {
  return value as Cron;
}

/** Rows are JSON whatever their type says. */
function toRow(value: object): JsonObject {
  return value as JsonObject;
}
