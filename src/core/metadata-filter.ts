import type { AccessCondition, AccessFilter } from "./auth.js";
import type { JsonObject, JsonValue } from "./json.js";
import { isJsonObject } from "./json.js";

/**
 * JSON containment, the one meaning that every store must give it (docs/wire/langgraph-api.md §2.1.6, with arrays as
 * Postgres `@>` has them): an object contains another when it has each of its keys with a containing value; an array
 * contains another when each element of the other is contained in some element of it; scalars are equal by type and value.
 * Own keys only: `__proto__` and `constructor` are plain keys.
 */
export function jsonContains(stored: JsonValue | undefined, wanted: JsonValue | undefined): boolean {
  if (wanted === undefined) return true;
  if (stored === undefined) return false;
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(stored) &&
      wanted.every((element: JsonValue) => stored.some((s: JsonValue) => jsonContains(s, element)))
    );
  }
  if (isJsonObject(wanted)) {
    if (!isJsonObject(stored)) return false;
    return Object.keys(wanted).every(
      (key) => wanted[key] === undefined || (Object.hasOwn(stored, key) && jsonContains(stored[key], wanted[key])),
    );
  }
  return stored === wanted;
}

/** Whether a row with this metadata is visible (docs/wire/langgraph-api.md §7.4). */
export function isVisible(access: AccessFilter, metadata: JsonObject): boolean {
  return access.kind === "all" || matchesCondition(access.where, metadata);
}

function matchesCondition(where: AccessCondition, metadata: JsonObject): boolean {
  return Object.keys(where).every((key) => {
    const condition = where[key];
    if (condition === undefined) return true;
    if (key === "$and" || key === "$or") {
      const parts = Array.isArray(condition) ? (condition as readonly JsonObject[]) : [];
      return key === "$and"
        ? parts.every((part) => matchesCondition(part, metadata))
        : parts.some((part) => matchesCondition(part, metadata));
    }
    return Object.hasOwn(metadata, key) && matchesValue(condition, metadata[key]);
  });
}

function matchesValue(condition: JsonValue, stored: JsonValue | undefined): boolean {
  if (!isJsonObject(condition)) return stored === condition;
  if (Object.hasOwn(condition, "$eq")) return stored === condition["$eq"];
  if (Object.hasOwn(condition, "$contains")) {
    if (!Array.isArray(stored)) return false;
    const wanted = condition["$contains"];
    return Array.isArray(wanted)
      ? wanted.every((element: JsonValue) => stored.includes(element))
      : stored.includes(wanted);
  }
  return false;
}
