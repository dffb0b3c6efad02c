import {
  fromBytes,
  PLACES as CHECKPOINT_PLACES,
  sealedMetadataOf,
  secretKeysOf,
  type Sealing,
  sealingWith,
} from "../../checkpointers/sealing.js";
import type { Encoded } from "../../checkpointers/serde.js";
import { areSealed, type Place } from "../../core/cipher.js";
import type { Resealed, Resealer } from "../../encryption/reseal.js";
import { PLACES } from "../../encryption/sealed-rows.js";

/** A column of a SQL table, and how to read it. Texts of `key`, `parts` and `from` are SQL. */
export interface SqlColumn {
  readonly name: string;
  readonly table: string;
  readonly column: string;
  /** `FROM` with its joins; the table goes by the alias `t`. */
  readonly from: string;
  /** Columns of `t` that name a row, in their order. */
  readonly key: readonly string[];
  /** What tells where the value lies: columns of `from`. */
  readonly parts: readonly string[];
  /** @param value as the column has it */
  reseal(value: string | Uint8Array, parts: readonly string[]): Resealed<string | Uint8Array> | null;
}

/** How a database spells the names of Heddle's tables. */
export interface SqlNames {
  readonly assistants: SqlSource;
  readonly versions: SqlSource;
  readonly threads: SqlSource;
  readonly threadConfigs: SqlSource;
  readonly runs: SqlSource;
  readonly kwargs: SqlSource;
  readonly items: SqlSource;
  /** Of webhooks: by run and thread. */
  readonly deliveries: SqlSource;
  /** Of webhooks that are of no run: by delivery. */
  readonly messages: SqlSource;
  /** By space, owner, collection and key. */
  readonly records: SqlSource;
  /** What became of them lately: likewise. */
  readonly recordChanges: SqlSource;
  readonly events: SqlSource;
}

type SqlSource = Pick<SqlColumn, "table" | "from" | "key" | "parts">;

/** The columns of assistants, threads, runs, items and events; the same in both databases but for names. */
export function storageColumns(names: SqlNames, { json, text, object, kwargs, item }: Resealer): readonly SqlColumn[] {
  const at = (placeOf: (id: string) => Place): SqlColumn["reseal"] => {
    return (value, [id = ""]) => json(textOf(value), placeOf(id));
  };
  const objectAt = (placeOf: (id: string) => Place): SqlColumn["reseal"] => {
    return (value, [id = ""]) => object(textOf(value), placeOf(id));
  };
  const ofRecord: SqlColumn["reseal"] = (value, [space = "", owner = "", collection = "", key = ""]) =>
    text(textOf(value), PLACES.record({ space, owner, collection, key }));
  const column = (name: string, source: SqlSource, of: string, reseal: SqlColumn["reseal"]): SqlColumn => ({
    name,
    ...source,
    column: of,
    reseal,
  });
  const { assistants, versions, threads, threadConfigs, runs, events } = names;
  return [
    ...(["config", "context"] as const).flatMap((field) => [
      column(
        `assistants: ${field}`,
        assistants,
        field,
        objectAt((id) => PLACES.assistant(id, field)),
      ),
      column(
        `assistant versions: ${field}`,
        versions,
        field,
        objectAt((id) => PLACES.assistant(id, field)),
      ),
    ]),
    column(
      "threads: config",
      threadConfigs,
      "config",
      objectAt((id) => PLACES.thread(id, "config")),
    ),
    column(
      "threads: values",
      threads,
      "state_values",
      at((id) => PLACES.thread(id, "values")),
    ),
    column(
      "threads: interrupts",
      threads,
      "interrupts",
      at((id) => PLACES.thread(id, "interrupts")),
    ),
    column(
      "threads: error",
      threads,
      "error",
      at((id) => PLACES.thread(id, "error")),
    ),
    column(
      "runs: error",
      runs,
      "error",
      at((id) => PLACES.run(id, "error")),
    ),
    column("runs: what was sent", names.kwargs, "kwargs", (value, [id = ""]) => kwargs(textOf(value), id)),
    column("webhooks: what was sent", names.deliveries, "kwargs", (value, [id = ""]) => kwargs(textOf(value), id)),
    column(
      "webhooks: error",
      names.deliveries,
      "error",
      at((id) => PLACES.run(id, "error")),
    ),
    column("webhooks: values", names.deliveries, "state_values", (value, [, threadId = ""]) =>
      json(textOf(value), PLACES.thread(threadId, "values")),
    ),
    column("webhooks: messages", names.messages, "message", at(PLACES.message)),
    column("records", names.records, "record_value", ofRecord),
    column("records: changes", names.recordChanges, "record_value", ofRecord),
    column("records: values before", names.recordChanges, "previous", ofRecord),
    column("items", names.items, "item_value", (value, [namespace = "[]", key = ""]) =>
      item(textOf(value), JSON.parse(namespace) as readonly string[], key),
    ),
    column("events", events, "data", (value, [threadId = "", runId = "", seq = ""]) =>
      json(textOf(value), ["event", threadId, runId, Number(seq)]),
    ),
  ];
}

/** Metadata of a checkpoint, as JSON. */
export function resealMetadata(resealer: Resealer, text: string, place: Place): Resealed<string> {
  const { cipher, target } = resealer;
  const sealing = sealingWith(cipher);
  const stored = JSON.parse(text) as Parameters<Sealing["openMetadata"]>[0];
  const { isSealed, text: sealed } = sealedMetadataOf(stored);
  // Nothing was secret in it: any key would do.
  const keyId = !isSealed ? null : sealed === null ? cipher.activeKeyId : (cipher.keyIdOf(sealed) ?? "unknown");
  if (resealer.stays(keyId)) {
    if (resealer.verifies) sealing.openMetadata(stored, place);
    return { keyId, next: null };
  }
  const { metadata, sealedKeys } = sealing.openMetadata(stored, place);
  if (target === "clear") return { keyId, next: JSON.stringify(metadata) };
  const secretKeys = secretKeysOf({ metadata, ...(sealedKeys !== undefined && { sealedKeys }) });
  return { keyId, next: JSON.stringify(sealing.sealMetadata(metadata, secretKeys, place)) };
}

/** A value of a checkpoint, or a write. @param clear what it is when it is not sealed @returns sealed bytes, or clear data */
export function resealData(resealer: Resealer, stored: Encoded, place: Place): Resealed<Encoded> {
  const { cipher, target } = resealer;
  const sealed = stored instanceof Uint8Array && areSealed(stored) ? stored : null;
  const keyId = sealed === null ? null : cipher.keyIdOf(sealed);
  if (resealer.stays(keyId)) {
    if (resealer.verifies && sealed !== null) cipher.openBytes(sealed, place);
    return { keyId, next: null };
  }
  const data = sealed === null ? stored : fromBytes(cipher.openBytes(sealed, place));
  return { keyId, next: target === "clear" ? data : sealingWith(cipher).seal(data, place) };
}

export function textOf(value: string | Uint8Array): string {
  return typeof value === "string" ? value : Buffer.from(value).toString("utf8");
}

export { CHECKPOINT_PLACES };
