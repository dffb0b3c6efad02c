import type { JsonValue } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";

/** Equal as JSON: the order of members does not matter, that of elements does. `undefined` equals nothing but itself. */
export function sameJson(left: JsonValue | undefined, right: JsonValue | undefined): boolean {
  if (left === right) return true;
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((one: JsonValue, i) => sameJson(one, right[i] as JsonValue));
  }
  if (!isJsonObject(left) || !isJsonObject(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && sameJson(left[key], right[key]))
  );
}
