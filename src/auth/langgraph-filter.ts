import type { AccessCondition } from "../core/auth.js";
import type { JsonValue } from "../core/json.js";

/** Filters inside `$and` and `$or` of one another; also what stops a cycle. */
const MAX_DEPTH = 16;
/** Conditions of one filter, operands of `$contains` included. */
const MAX_CONDITIONS = 1_000;

/**
 * The filter that an authorization handler returned, checked and copied (docs/wire/langgraph-api.md §7.4). What it does not
 * understand it refuses, so that no mistake of a handler shows more rows than it meant: unknown operators, operands of another
 * type, `undefined` (a claim that the user does not have), objects that are no plain ones.
 * @throws TypeError names the key and what is wrong
 */
export function checkedFilter(filter: object): AccessCondition {
  return new FilterCheck().conditions(filter, "", 0);
}

class FilterCheck {
  #count = 0;

  conditions(filter: unknown, path: string, depth: number): AccessCondition {
    const keys = keysOf(filter, path || "the filter");
    if (depth > MAX_DEPTH) throw new TypeError(`${path}: filters are nested deeper than ${MAX_DEPTH} levels`);
    const checked: Record<string, JsonValue> = {};
    const both: AccessCondition[] = [];
    for (const key of keys) {
      const value = (filter as Readonly<Record<string, unknown>>)[key];
      const place = path === "" ? key : `${path}.${key}`;
      if (key === "$and" || key === "$or") checked[key] = this.#combined(value, place, depth);
      else if (key.startsWith("$")) throw new TypeError(`${place}: the operators of filters are $and and $or`);
      else if (typeof value !== "object" || value === null) checked[key] = this.#scalar(value, place);
      else {
        const [first, ...others] = this.#values(value, place);
        if (first !== undefined) checked[key] = first;
        both.push(...others.map((other) => ({ [key]: other })));
      }
    }
    if (both.length === 0) return checked;
    return { $and: [checked, ...both] };
  }

  #combined(value: unknown, place: string, depth: number): JsonValue {
    if (!Array.isArray(value) || value.length === 0)
      throw new TypeError(`${place}: must be a list of filters, not empty`);
    return value.map((part: unknown, index) => this.conditions(part, `${place}[${String(index)}]`, depth + 1));
  }

  /** All must hold. */
  #values(value: object, place: string): readonly JsonValue[] {
    const operators = keysOf(value, place);
    if (operators.length === 0) throw new TypeError(`${place}: an empty object is no condition`);
    return operators.map((operator) => {
      const operand = (value as Readonly<Record<string, unknown>>)[operator];
      const at = `${place}.${operator}`;
      if (operator === "$eq") return { $eq: this.#scalar(operand, at) };
      if (operator !== "$contains") throw new TypeError(`${at}: the operators of values are $eq and $contains`);
      if (!Array.isArray(operand)) return { $contains: this.#scalar(operand, at) };
      return { $contains: operand.map((one: unknown) => this.#scalar(one, at)) };
    });
  }

  #scalar(value: unknown, place: string): JsonValue {
    this.#count += 1;
    if (this.#count > MAX_CONDITIONS) throw new TypeError(`the filter has more than ${MAX_CONDITIONS} conditions`);
    if (typeof value === "string" || typeof value === "boolean" || value === null) return value;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    const got = value === undefined ? "undefined" : Array.isArray(value) ? "a list" : typeof value;
    throw new TypeError(`${place}: must be a string, a number, a boolean or null, got ${got}`);
  }
}

function keysOf(value: unknown, place: string): readonly string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new TypeError(`${place}: must be an object`);
  const prototype: unknown = Object.getPrototypeOf(value);
  // Maps, dates and instances have no keys of their own that would say what they mean.
  if (prototype !== Object.prototype && prototype !== null) throw new TypeError(`${place}: must be a plain object`);
  const keys: string[] = [];
  for (const key of Reflect.ownKeys(value)) {
    if (typeof key === "symbol" || key === "__proto__")
      throw new TypeError(`${place}: ${String(key)} is no key for a filter`);
    keys.push(key);
  }
  return keys;
}
