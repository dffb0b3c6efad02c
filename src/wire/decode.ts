import type { z } from "zod";
import { HeddleError } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";

type Issue = z.core.$ZodIssue;

/** How many problems of one body are told at once. */
const MAX_ISSUES = 5;

/**
 * Validate a value against a schema; fields that the schema does not know are ignored.
 * @throws HeddleError `INVALID_REQUEST`, naming each bad field: `limit: Too big: expected number to be <=1000`
 */
export function decode<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues;
  const told = issues.slice(0, MAX_ISSUES).map(issueText);
  if (issues.length > MAX_ISSUES) told.push(`and ${issues.length - MAX_ISSUES} more`);
  throw new HeddleError("INVALID_REQUEST", { message: told.join("; ") });
}

/** @throws HeddleError `INVALID_REQUEST` */
export function invalid(field: string, problem: string): never {
  throw new HeddleError("INVALID_REQUEST", { message: `${field}: ${problem}` });
}

/**
 * Refuse a field that the wire knows and this server does not honour (design §5, step 2).
 * @throws HeddleError `UNSUPPORTED_OPTION`
 */
export function unsupported(field: string, way: string): never {
  throw new HeddleError("UNSUPPORTED_OPTION", { message: `${field} is not supported: ${way}`, details: { field } });
}

function issueText(issue: Issue): string {
  const field = fieldPath(issue.path);
  const problem =
    issue.code === "invalid_type" && issue.message.endsWith("received undefined")
      ? `is required (expected ${issue.expected})`
      : issue.message;
  return field === "" ? problem : `${field}: ${problem}`;
}

/** `["a", 0, "b"]` → `a[0].b`. */
function fieldPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? String(part) : `.${String(part)}`;
  }
  return text;
}

type Present<T> = { readonly [K in keyof T]?: NonNullable<T[K]> };

/** The fields that were sent: clients send `null` for "not set". */
export function present<T extends object>(fields: T): Present<T> {
  const kept: Record<string, unknown> = {};
  for (const key of Object.keys(fields)) {
    const value = (fields as Record<string, unknown>)[key];
    if (value !== undefined && value !== null) kept[key] = value;
  }
  return kept as Present<T>;
}

/** Keys of `configurable` that address a checkpoint, in the places where clients put them. */
export function unwrapConfigurable(value: JsonObject): JsonObject {
  const configurable = value["configurable"];
  return typeof configurable === "object" && configurable !== null && !Array.isArray(configurable)
    ? (configurable as JsonObject)
    : value;
}
