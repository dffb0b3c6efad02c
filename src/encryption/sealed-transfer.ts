import type { Cipher } from "../core/cipher.js";
import type { AssistantVersion } from "../core/assistant.js";
import type { Cron } from "../core/cron.js";
import type { Item } from "../core/item.js";
import type { JsonObject } from "../core/json.js";
import type { RowTransfer, TransferKind, TransferredRun, TransferredThread } from "../core/row-transfer.js";
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
      return (value) => toRow(openCron(cipher, value as object as Cron));
    case "items":
      return (value) => toRow(openItem(cipher, value as Item & JsonObject));
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
        const cron = value as object as Cron;
        return toRow(sealCron(cipher, cron.cronId, cron));
      };
    case "items":
      return (value) => ({ ...value, value: sealItem(cipher, value as Item & JsonObject) });
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

/** Rows are JSON whatever their type says. */
function toRow(value: object): JsonObject {
  return value as JsonObject;
}
