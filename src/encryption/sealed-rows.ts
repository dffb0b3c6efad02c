import type { Assistant, RunConfig } from "../core/assistant.js";
import {
  admitClear,
  type Cipher,
  isSealedJsonText,
  openJson,
  openJsonText,
  type Place,
  sealedTextOf,
  sealJson,
  sealJsonText,
} from "../core/cipher.js";
import type { Cron, CronCreator, CronPayload } from "../core/cron.js";
import type { ItemVector } from "../core/item-store.js";
import type { Item } from "../core/item.js";
import type { JsonObject, JsonText, JsonValue } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import type { RecordKey } from "../core/record.js";
import type { Run, RunKwargs } from "../core/run.js";
import type { Thread, ThreadStatePatch } from "../core/thread.js";
import { sealVectors } from "./sealed-item-vectors.js";

/* What of each kind of row is sealed, and where it lies. docs/guides/encryption.md says the same. */

export const PLACES = {
  thread: (threadId: string, field: "values" | "interrupts" | "error" | "config"): Place => ["thread", threadId, field],
  run: (runId: string, field: "kwargs" | "error"): Place => ["run", runId, field],
  /** Of all versions: one becomes current by being copied. */
  assistant: (assistantId: string, field: "config" | "context"): Place => ["assistant", assistantId, field],
  message: (deliveryId: string): Place => ["message", deliveryId],
  cron: (cronId: string, field: "payload" | "creator"): Place => ["cron", cronId, field],
  item: (namespace: readonly string[], key: string): Place => ["item", JSON.stringify(namespace), key],
  /** Of all its versions: what was before is kept beside what is. */
  record: ({ space, owner, collection, key }: RecordKey): Place => ["record", space, owner, collection, key],
} as const;

export function sealState(cipher: Cipher, threadId: string, patch: ThreadStatePatch): ThreadStatePatch {
  const { values, interrupts, error } = patch;
  const seal = (text: JsonText, field: "values" | "interrupts" | "error"): JsonText =>
    sealJsonText(cipher, text, PLACES.thread(threadId, field));
  return {
    ...(values !== undefined && { values: seal(values, "values") }),
    ...(interrupts !== undefined && { interrupts: seal(interrupts, "interrupts") }),
    ...(error !== undefined && { error: error === null ? null : seal(error, "error") }),
  };
}

export function openThread(cipher: Cipher, thread: Thread): Thread {
  const { threadId, values, interrupts, error, config } = thread;
  return {
    ...thread,
    values: values && openJsonText(cipher, values, PLACES.thread(threadId, "values")),
    interrupts: interrupts && openJsonText(cipher, interrupts, PLACES.thread(threadId, "interrupts")),
    error: openError(cipher, error, PLACES.thread(threadId, "error")),
    config: openObject(cipher, config, PLACES.thread(threadId, "config")),
  };
}

/** Stores write errors of their own (`MaxAttemptsExceeded`), which name ids and nothing else: those are clear also where all else is strict. */
function openError(cipher: Cipher, error: JsonText | null, place: Place): JsonText | null {
  return error === null || !isSealedJsonText(error) ? error : openJsonText(cipher, error, place);
}

/** An object that most rows leave empty: then there is nothing to hide. */
export function sealObject(cipher: Cipher, value: RunConfig, place: Place): RunConfig {
  return Object.keys(value).length === 0 ? value : sealJson(cipher, value, place);
}

export function openObject(cipher: Cipher, value: RunConfig, place: Place): RunConfig {
  if (Object.keys(value).length === 0) return value;
  return asObject(openJson(cipher, value, place));
}

/** The same for what may be any JSON. */
export function sealValue(cipher: Cipher, value: JsonValue, place: Place): JsonValue {
  return isEmpty(value) ? value : sealJson(cipher, value, place);
}

function openValue(cipher: Cipher, value: JsonValue, place: Place): JsonValue {
  return isEmpty(value) ? value : openJson(cipher, value, place);
}

/** Input, command, config, context and the URL of a webhook as one sealed value in the place of the input. */
export function sealKwargs(cipher: Cipher, runId: string, kwargs: RunKwargs): RunKwargs {
  const { input, command, context, config, webhook, ...rest } = kwargs;
  const secret: JsonObject = { input, command, context, config, webhook: webhook?.url };
  // Receivers are told apart by their host, also where there is no key.
  const clear = { ...rest, ...(webhook !== undefined && { webhook: { host: webhook.host, url: "" } }) };
  return { ...clear, input: sealJson(cipher, secret, PLACES.run(runId, "kwargs")), config: {} };
}

export function openKwargs(cipher: Cipher, runId: string, kwargs: RunKwargs): RunKwargs {
  const place = PLACES.run(runId, "kwargs");
  if (sealedTextOf(kwargs.input) === null) return admitClear(cipher, place, kwargs);
  // A clear `command` or `context` beside it is not of whoever sealed it.
  const { input: sealed = null, config: _, command: __, context: ___, webhook, ...clear } = kwargs;
  const { config = {}, webhook: url, ...secret } = asObject(openJson(cipher, sealed, place));
  const opened = { ...clear, ...secret, config: asObject(config) };
  return webhook === undefined || typeof url !== "string"
    ? opened
    : { ...opened, webhook: { host: webhook.host, url } };
}

export function openRun<R extends Pick<Run, "runId" | "kwargs" | "error">>(cipher: Cipher, run: R): R {
  const { runId, kwargs, error } = run;
  return {
    ...run,
    kwargs: openKwargs(cipher, runId, kwargs),
    error: openError(cipher, error, PLACES.run(runId, "error")),
  };
}

export function openAssistant<A extends Pick<Assistant, "assistantId" | "config" | "context">>(
  cipher: Cipher,
  assistant: A,
): A {
  const { assistantId, config, context } = assistant;
  return {
    ...assistant,
    config: openObject(cipher, config, PLACES.assistant(assistantId, "config")),
    context: openValue(cipher, context, PLACES.assistant(assistantId, "context")),
  };
}

/** Sealed or open: of the type that it has when it is open. */
function asPayload(value: object): CronPayload {
  return value as CronPayload;
}

/** As {@link asPayload}. */
function asCreator(value: object): CronCreator {
  return value as CronCreator;
}

/** JSON whatever its type says. */
function asJson(value: object): JsonObject {
  return value as JsonObject;
}

/** What a cron starts its runs with, and as whom. */
export function sealCron<C extends Pick<Cron, "payload" | "creator">>(cipher: Cipher, cronId: string, cron: C): C {
  return {
    ...cron,
    payload: asPayload(sealJson(cipher, asJson(cron.payload), PLACES.cron(cronId, "payload"))),
    creator: asCreator(sealJson(cipher, asJson(cron.creator), PLACES.cron(cronId, "creator"))),
  };
}

export function openCron<C extends Pick<Cron, "cronId" | "payload" | "creator">>(cipher: Cipher, cron: C): C {
  const { cronId } = cron;
  return {
    ...cron,
    payload: asPayload(asObject(openJson(cipher, asJson(cron.payload), PLACES.cron(cronId, "payload")))),
    creator: asCreator(asObject(openJson(cipher, asJson(cron.creator), PLACES.cron(cronId, "creator")))),
  };
}

/** The whole value sealed, and its vectors; beside them clear copies of the fields that filters look at, which nobody reads back. */
export function sealItem(
  cipher: Cipher,
  item: Pick<Item, "namespace" | "key" | "value"> & { readonly vectors?: readonly ItemVector[] },
): JsonObject {
  const { namespace, key, value, vectors = [] } = item;
  const clear = cipher.clearItemFields.filter((field) => Object.hasOwn(value, field));
  const copies = Object.fromEntries(clear.map((field) => [field, value[field]]));
  return {
    ...copies,
    ...sealJson(cipher, value, PLACES.item(namespace, key)),
    ...sealVectors(cipher, { namespace, key }, vectors),
  };
}

export function openItem(cipher: Cipher, item: Item): Item {
  const { namespace, key, value } = item;
  return { ...item, value: asObject(openJson(cipher, value, PLACES.item(namespace, key))) };
}

/** A state column of {@link RowTransfer}, where it is parsed. */
export function sealColumn(cipher: Cipher, value: JsonValue, place: Place): JsonValue {
  return value === null ? null : sealJson(cipher, value, place);
}

export function openColumn(cipher: Cipher, value: JsonValue, place: Place): JsonValue {
  return value === null ? null : openJson(cipher, value, place);
}

/** As {@link openError}. */
export function openErrorColumn(cipher: Cipher, value: JsonValue, place: Place): JsonValue {
  return sealedTextOf(value) === null ? value : openJson(cipher, value, place);
}

function isEmpty(value: JsonValue): boolean {
  return value === null || (isJsonObject(value) && Object.keys(value).length === 0);
}

function asObject(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}
