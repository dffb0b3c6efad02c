import { z } from "zod";
import { isUuid } from "../core/ids.js";
import { isJsonObject } from "../core/json.js";
import type { JsonObject, JsonValue } from "../core/json.js";
import { present } from "./decode.js";

/**
 * Pieces of schemas. What users own (metadata, config, input, …) is checked by shape and passed by reference: zod's own
 * object types would copy it. `.meta()` says in the OpenAPI document what a check cannot.
 */
export const anyJson = z.custom<JsonValue>(() => true);

export const jsonObject = z
  .custom<JsonObject>(isJsonObject, "expected an object")
  .meta({ type: "object", additionalProperties: true });

/** A UUID of any version. */
export const uuid = z.string().refine(isUuid, "expected a UUID").meta({ type: "string", format: "uuid" });

export const text = z.string().min(1);

/** `limit` of the searches: 1 to 1000. */
export const limit = z.int().min(1).max(1000);
export const offset = z.int().min(0);
export const sortOrder = z.enum(["asc", "desc"]);

const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((entry) => typeof entry === "string");

const isPositiveInteger = (value: unknown): boolean => Number.isInteger(value) && Number(value) > 0;

export const strings = z
  .custom<readonly string[]>(isStrings, "expected an array of strings")
  .meta({ type: "array", items: { type: "string" } });

/**
 * Configuration of an assistant or a run, kept as sent with all its keys (docs/wire/langgraph-api.md §2.2, Config).
 */
export const config = jsonObject
  .superRefine((value, context) => {
    const problem = configProblem(value);
    if (problem !== null) context.addIssue({ code: "custom", path: [...problem.path], message: problem.message });
  })
  .meta({
    id: "Config",
    type: "object",
    properties: {
      tags: { type: "array", items: { type: "string" } },
      recursion_limit: { type: "integer" },
      configurable: { type: "object", additionalProperties: true },
    },
    additionalProperties: true,
  });

function configProblem(value: JsonObject): { readonly path: readonly string[]; readonly message: string } | null {
  const { tags, recursion_limit: recursionLimit, configurable } = value;
  if (tags !== undefined && tags !== null && !isStrings(tags)) {
    return { path: ["tags"], message: "expected an array of strings" };
  }
  if (recursionLimit !== undefined && recursionLimit !== null && !isPositiveInteger(recursionLimit)) {
    return { path: ["recursion_limit"], message: "expected an integer of at least 1" };
  }
  if (configurable === undefined || configurable === null) return null;
  if (!isJsonObject(configurable)) return { path: ["configurable"], message: "expected an object" };
  for (const key of ["thread_id", "thread_ts"]) {
    const id = configurable[key];
    if (id !== undefined && id !== null && typeof id !== "string") {
      return { path: ["configurable", key], message: "expected a string" };
    }
  }
  return null;
}

/** A checkpoint reference of a request (docs/wire/langgraph-api.md §2.2). */
export const checkpoint = z
  .object({
    thread_id: z.string().nullish(),
    checkpoint_id: text.nullish(),
    checkpoint_ns: z.string().nullish(),
    checkpoint_map: jsonObject.nullish(),
  })
  .meta({ id: "CheckpointReference" });

/** Names of fields to return, each once; unknown ones are an error, as on the Platform (§2.1.8). None = all. */
export function select<Name extends string>(names: readonly [Name, ...Name[]]) {
  return z
    .array(z.enum(names))
    .transform((asked): readonly Name[] => (asked.length === 0 ? names : [...new Set(asked)]));
}

export const multitaskStrategy = z.enum(["reject", "interrupt", "rollback", "enqueue"]);

/** Where a run is traced (docs/wire/langgraph-api.md §2.5). */
export const langsmithTracer = z
  .object({ project_name: z.string().nullish(), example_id: z.string().nullish() })
  .transform((sent) => present({ projectName: sent.project_name, exampleId: sent.example_id }));

export const TRUE_WORDS: ReadonlySet<string> = new Set(["1", "true", "True", "yes"]);

/** A boolean of a query: `1`, `true` and `yes` are true, everything else is false (Appendix A2). */
export const queryBoolean = z
  .string()
  .transform((value) => TRUE_WORDS.has(value))
  .meta({ type: "boolean" });

/** An integer of a query. */
export function queryInteger(range: { readonly min: number; readonly max?: number }) {
  const bounded = z.int().min(range.min);
  return z
    .string()
    .transform((value) => (value.trim() === "" ? Number.NaN : Number(value)))
    .pipe(range.max === undefined ? bounded : bounded.max(range.max))
    .meta({ type: "integer", minimum: range.min, ...(range.max === undefined ? {} : { maximum: range.max }) });
}

/** A parameter that may be repeated. */
export const queryStrings = z.union([z.string().transform((value) => [value]), z.array(z.string())]).meta({
  type: "array",
  items: { type: "string" },
});
