import { z } from "zod";
import { MAX_TTL_MINUTES } from "../../core/indexed-items.js";
import type { JsonText, JsonValue } from "../../core/json.js";
import { isJsonObject, toJsonText } from "../../core/json.js";
import { invalid } from "./errors.js";

/** As long as an item may live: about a hundred years. */
const MAX_TTL_SECONDS = MAX_TTL_MINUTES * 60;

const value = z.unknown().meta({ description: "Any JSON value, null included" });
const ttl = z.number().min(0).max(MAX_TTL_SECONDS).nullish().meta({
  description: "Seconds until the value is gone, also fractions of one; 0, null or absent: it stays",
});
const version = z.int().min(0).optional().meta({ description: "The version that must be there; 0: none" });

/** Of a stream: the version after which its changes are told. */
export const VERSION_HEADER = "x-state-version";

/** Bodies, for the OpenAPI document; {@link decodeSet} and {@link decodeCompareAndSet} read them. */
export const setBody = z.object({ value, ttl }).meta({ id: "StateStoreSet" });
export const compareAndSetBody = z
  .object({ value, version, expectedVersion: version, ttl })
  .meta({ id: "StateStoreCompareAndSet", description: "`version` or `expectedVersion`: one of them is needed" });

export const streamQuery = z.object({
  api_key: z
    .string()
    .optional()
    .meta({ description: "A credential, for browsers' EventSource, which sends no headers" }),
  token: z.string().optional().meta({ description: "The same by another name" }),
});

export const versionAnswer = z.object({ version: z.int() });
export const valueAnswer = z.object({ value, version: z.int() });
export const keysAnswer = z.object({ keys: z.array(z.string()) });
export const deletedAnswer = z.object({ deleted: z.boolean() });
export const healthAnswer = z.object({ status: z.literal("ok") });

export interface SetRequest {
  readonly value: JsonValue;
  /** In seconds; `null`: it stays. */
  readonly ttl: number | null;
}

/** @throws HeddleError `INVALID_REQUEST` names the field */
export function decodeSet(body: unknown): SetRequest {
  const fields = fieldsOf(body);
  return { value: valueOf(fields), ttl: ttlOf(fields["ttl"]) };
}

/** @throws HeddleError `INVALID_REQUEST` names the field */
export function decodeCompareAndSet(body: unknown): SetRequest & { readonly expected: number } {
  const fields = fieldsOf(body);
  const given = ["version", "expectedVersion"].flatMap((name) => versionOf(name, fields[name]));
  const [expected, other = expected] = given;
  if (expected === undefined) throw invalid("version", "is needed: the version that must be there, 0 for none");
  if (expected !== other) throw invalid("expectedVersion", "differs from version; send one of them");
  return { value: valueOf(fields), ttl: ttlOf(fields["ttl"]), expected };
}

export function encodeChange(change: {
  readonly previous: JsonText | null;
  readonly value: JsonText | null;
  readonly version: number;
}): JsonText {
  const { previous, value: next, version: number } = change;
  // Values are JSON already, and may be large.
  return `{"oldValue":${previous ?? "null"},"newValue":${next ?? "null"},"version":${number}}` as JsonText;
}

export function encodeValue(text: JsonText, number: number): JsonText {
  return `{"value":${text},"version":${number}}` as JsonText;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(body: unknown): Fields {
  if (isJsonObject(body)) return body;
  throw invalid("body", "must be a JSON object");
}

function valueOf(fields: Fields): JsonValue {
  if (!Object.hasOwn(fields, "value")) throw invalid("value", "is needed: any JSON value, also null");
  return fields["value"] as JsonValue;
}

function ttlOf(given: unknown): number | null {
  if (given === undefined || given === null || given === 0) return null;
  if (typeof given === "number" && given > 0 && given <= MAX_TTL_SECONDS) return given;
  throw invalid("ttl", `must be a number of seconds from 0 (it stays) to ${MAX_TTL_SECONDS}`);
}

function versionOf(name: string, given: unknown): readonly number[] {
  if (given === undefined) return [];
  if (typeof given === "number" && Number.isSafeInteger(given) && given >= 0) return [given];
  throw invalid(name, "must be a whole number from 0");
}

export const HEALTH = toJsonText({ status: "ok" });
