import type { AccessCondition, AccessFilter } from "./auth.js";
import { HeddleError } from "./errors.js";
import type { Item, ItemFilter } from "./item.js";
import type { JsonObject, JsonValue } from "./json.js";
import { isJsonObject } from "./json.js";
import { isVisible } from "./metadata-filter.js";

const OPERATORS: Readonly<Record<string, (stored: JsonValue | undefined, operand: JsonValue | undefined) => boolean>> =
  {
    $eq: equal,
    $ne: (stored, operand) => !equal(stored, operand),
    $gt: (stored, operand) => numeric(stored) > numeric(operand),
    $gte: (stored, operand) => numeric(stored) >= numeric(operand),
    $lt: (stored, operand) => numeric(stored) < numeric(operand),
    $lte: (stored, operand) => numeric(stored) <= numeric(operand),
    $in: (stored, operand) => Array.isArray(operand) && operand.some((one: JsonValue) => equal(stored, one)),
    $nin: (stored, operand) => !(Array.isArray(operand) && operand.some((one: JsonValue) => equal(stored, one))),
  };

/**
 * Refuse operators that nobody implements, before any row is read.
 * @throws HeddleError `ITEM_INVALID` names the field, the operator and the known ones
 */
export function checkItemFilter(filter: ItemFilter): void {
  for (const field of Object.keys(filter)) {
    const condition = filter[field];
    if (!isJsonObject(condition)) continue;
    const keys = Object.keys(condition);
    if (!keys.some((key) => key.startsWith("$"))) continue;
    const unknown = keys.find((key) => !Object.hasOwn(OPERATORS, key));
    if (unknown === undefined) continue;
    throw new HeddleError("ITEM_INVALID", {
      message: `Unknown operator "${unknown}" in the filter on "${field}". Use ${Object.keys(OPERATORS).join(", ")}, or a plain value.`,
      details: { field, operator: unknown },
    });
  }
}

/**
 * Whether an item's value passes a filter (docs/wire/langgraph-api.md §2.10.4): top-level fields, all must hold. Plain
 * values compare by JSON equality. `$gt`, `$gte`, `$lt`, `$lte` compare numbers and strings that spell one; anything
 * else never matches them. `$ne` and `$nin` also match a missing field.
 */
export function matchesItemFilter(value: JsonObject, filter: ItemFilter): boolean {
  return Object.keys(filter).every((field) => {
    const condition = filter[field];
    if (condition === undefined) return true;
    const stored = Object.hasOwn(value, field) ? value[field] : undefined;
    if (!isOperators(condition)) return equal(stored, condition);
    return Object.keys(condition).every((operator) => OPERATORS[operator]?.(stored, condition[operator]) ?? false);
  });
}

/** Whether `access` lets the caller see this item: it looks at the value's fields, `namespace` and `key` (§7.6). */
export function isItemVisible(access: AccessFilter, item: Pick<Item, "namespace" | "key" | "value">): boolean {
  return access.kind === "all" || isVisible(access, { ...item.value, namespace: item.namespace, key: item.key });
}

/** Whether `access` lets the caller see some item of this place, whatever its value: what it asks of `namespace` and `key` holds. */
export function mayHoldVisible(access: AccessFilter, place: Pick<Item, "namespace" | "key">): boolean {
  return access.kind === "all" || mayHold(access.where, { namespace: place.namespace, key: place.key });
}

function mayHold(where: AccessCondition, place: JsonObject): boolean {
  return Object.keys(where).every((field) => {
    const condition = where[field];
    if (field === "$and" || field === "$or") {
      const parts = Array.isArray(condition) ? (condition as readonly AccessCondition[]) : [];
      return field === "$and"
        ? parts.every((part) => mayHold(part, place))
        : parts.some((part) => mayHold(part, place));
    }
    // Other fields are of a value that is not there.
    return !Object.hasOwn(place, field) || isVisible({ kind: "match", where: { [field]: condition } }, place);
  });
}

/** `{}` is an operator object without operators: it holds for every item, as in LangGraph's own stores. */
function isOperators(condition: JsonValue): condition is JsonObject {
  return isJsonObject(condition) && Object.keys(condition).every((key) => Object.hasOwn(OPERATORS, key));
}

function equal(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return (
      Array.isArray(b) &&
      a.length === b.length &&
      (a as readonly JsonValue[]).every((element, i) => equal(element, (b as readonly JsonValue[])[i]))
    );
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}

function numeric(value: JsonValue | undefined): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
}
