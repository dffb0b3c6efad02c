import type { Cipher } from "../core/cipher.js";
import type { AssistantVersion } from "../core/assistant.js";
import type { Item } from "../core/item.js";
import type { JsonObject } from "../core/json.js";
import type { RowTransfer, TransferKind, TransferredRun, TransferredThread } from "../core/row-transfer.js";
import {
  openAssistant,
  openColumn,
  openErrorColumn,
  openItem,
  openKwargs,
  openObject,
  PLACES,
  sealColumn,
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
    case "threads":
      return (value) => {
        const thread = value as TransferredThread & JsonObject;
        const { threadId, values, interrupts, error, config } = thread;
        return toRow({
          ...thread,
          values: openColumn(cipher, values, PLACES.thread(threadId, "values")),
          interrupts: openColumn(cipher, interrupts, PLACES.thread(threadId, "interrupts")),
          error: openErrorColumn(cipher, error, PLACES.thread(threadId, "error")),
          config: openObject(cipher, config, PLACES.thread(threadId, "config")),
        });
      };
    case "runs":
      return (value) => {
        const run = value as TransferredRun & JsonObject;
        const { runId, kwargs, error } = run;
        return toRow({
          ...run,
          kwargs: openKwargs(cipher, runId, kwargs),
          error: openErrorColumn(cipher, error, PLACES.run(runId, "error")),
        });
      };
    case "items":
      return (value) => toRow(openItem(cipher, value as Item & JsonObject));
    default:
      return (value) => value;
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
    case "threads":
      return (value) => {
        const thread = value as TransferredThread & JsonObject;
        const { threadId, values, interrupts, error, config } = thread;
        return toRow({
          ...thread,
          values: sealColumn(cipher, values, PLACES.thread(threadId, "values")),
          interrupts: sealColumn(cipher, interrupts, PLACES.thread(threadId, "interrupts")),
          error: sealColumn(cipher, error, PLACES.thread(threadId, "error")),
          config: sealObject(cipher, config, PLACES.thread(threadId, "config")),
        });
      };
    case "runs":
      return (value) => {
        const run = value as TransferredRun & JsonObject;
        const { runId, kwargs, error } = run;
        return toRow({
          ...run,
          kwargs: sealKwargs(cipher, runId, kwargs),
          error: sealColumn(cipher, error, PLACES.run(runId, "error")),
        });
      };
    case "items":
      return (value) => ({ ...value, value: sealItem(cipher, value as Item & JsonObject) });
    default:
      return (value) => value;
  }
}

/** Rows are JSON whatever their type says. */
function toRow(value: object): JsonObject {
  return value as JsonObject;
}
