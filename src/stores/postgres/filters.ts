import type { AccessCondition, AccessFilter } from "../../core/auth.js";
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.js";
import { toJsonb } from "../../databases/postgres/storable.js";

/**
 * What an access filter asks of a row's metadata, made of nothing but containment, which an index answers. Core's conditions
 * are all of that kind (core/metadata-filter): equality of a scalar, and scalars in an array.
 */
export type AccessRule =
  { readonly has: string } | { readonly all: readonly AccessRule[] } | { readonly any: readonly AccessRule[] };

const NOTHING: AccessRule = { any: [] };

/** `null` shows everything. */
function accessRule(access: AccessFilter): AccessRule | null {
  return access.kind === "all" ? null : conditionRule(access.where);
}

/** The rule as `heddle_visible` takes it. */
export function ruleParameter(access: AccessFilter): string | null {
  const rule = accessRule(access);
  return rule === null ? null : ruleText(rule);
}

/**
 * A SQL condition over a metadata column, its values among `parameters`.
 * @param column an expression of ours, never a caller's
 */
export function filterSql(
  column: string,
  filter: { readonly metadata?: JsonObject | undefined; readonly access: AccessFilter },
  parameters: unknown[],
): string | null {
  const rule = accessRule(filter.access);
  const parts: string[] = [];
  if (filter.metadata !== undefined) parts.push(contains(column, toJsonb(filter.metadata), parameters));
  if (rule !== null) parts.push(ruleSql(column, rule, parameters));
  return parts.length === 0 ? null : parts.join(" AND ");
}

/** `column @> value`. */
export function contains(column: string, json: string, parameters: unknown[]): string {
  parameters.push(json);
  return `${column} @> $${parameters.length}::jsonb`;
}

function conditionRule(where: AccessCondition): AccessRule {
  return {
    all: Object.keys(where).flatMap((key): readonly AccessRule[] => {
      const condition = where[key];
      if (condition === undefined) return [];
      if (key !== "$and" && key !== "$or") return [memberRule(key, condition)];
      const parts = Array.isArray(condition) ? (condition as readonly JsonObject[]).map(conditionRule) : [];
      return [key === "$and" ? { all: parts } : { any: parts }];
    }),
  };
}

function memberRule(key: string, condition: JsonValue): AccessRule {
  if (!isJsonObject(condition)) return scalarRule(key, condition, (value) => value);
  if (Object.hasOwn(condition, "$eq")) return scalarRule(key, condition["$eq"], (value) => value);
  if (!Object.hasOwn(condition, "$contains")) return NOTHING;
  const wanted = condition["$contains"];
  if (!Array.isArray(wanted)) return scalarRule(key, wanted, (value) => [value]);
  const elements = wanted as readonly JsonValue[];
  return elements.every(isScalar) ? member(key, elements) : NOTHING;
}

/** Objects and arrays are equal to nothing: core compares by identity. */
function scalarRule(key: string, value: JsonValue | undefined, wrap: (value: JsonValue) => JsonValue): AccessRule {
  return isScalar(value) ? member(key, wrap(value)) : NOTHING;
}

function member(key: string, value: JsonValue): AccessRule {
  // A literal would take a key `__proto__` for the prototype.
  return { has: `{${toJsonb(key)}:${toJsonb(value)}}` };
}

function isScalar(value: JsonValue | undefined): value is string | number | boolean | null {
  if (typeof value === "number") return Number.isFinite(value);
  return value === null || typeof value === "string" || typeof value === "boolean";
}

function ruleText(rule: AccessRule): string {
  if ("has" in rule) return `{"has":${rule.has}}`;
  const [name, parts] = "all" in rule ? ["all", rule.all] : ["any", rule.any];
  return `{"${name}":[${parts.map(ruleText).join()}]}`;
}

function ruleSql(column: string, rule: AccessRule, parameters: unknown[]): string {
  if ("has" in rule) return contains(column, rule.has, parameters);
  const parts = ("all" in rule ? rule.all : rule.any).map((part) => ruleSql(column, part, parameters));
  if (parts.length === 0) return "all" in rule ? "true" : "false";
  return `(${parts.join("all" in rule ? " AND " : " OR ")})`;
}
