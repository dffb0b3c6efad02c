import { DeltaSnapshot } from "@langchain/langgraph-checkpoint";
import type { MessageClasses } from "./message-classes.js";

/** Thrown for what only the stock serializer can read: other LangChain objects, escaped data, damaged records. */
export class NotReadable extends Error {}

type Json = Record<string, unknown>;

/**
 * Reads what `JsonPlusSerializer` writes, synchronously and without `load(JSON.stringify(…))` for the message classes of
 * @langchain/core.
 */
export class JsonReader {
  readonly #classes: MessageClasses["byName"];

  constructor(classes: MessageClasses) {
    this.#classes = classes.byName;
  }

  /** @throws NotReadable */
  read(text: string): unknown {
    return this.#revive(JSON.parse(text));
  }

  /** Replaces inside `value`, which nobody else holds yet. */
  #revive(value: unknown): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        const element: unknown = value[i];
        if (typeof element === "object" && element !== null) value[i] = this.#revive(element);
      }
      return value;
    }
    const record = value as Json;
    if (record["lc"] === 1 && record["type"] === "constructor" && Array.isArray(record["id"])) {
      return this.#message(record);
    }
    this.#fields(record);
    return record["lc"] === 2 ? reviveRecord(record) : record;
  }

  #fields(record: Json): void {
    for (const key in record) {
      const field = record[key];
      if (typeof field === "object" && field !== null) record[key] = this.#revive(field);
    }
  }

  #message(record: Json): object {
    const id = record["id"] as readonly unknown[];
    const kwargs = record["kwargs"];
    if (id.length !== 3 || id[0] !== "langchain_core" || id[1] !== "messages" || !isJson(kwargs)) {
      throw new NotReadable();
    }
    const known = this.#classes.get(String(id[2]));
    if (known === undefined || !hasPlainFields(kwargs)) throw new NotReadable();
    let renamed = false;
    for (const key in kwargs) if (known.fieldOf(key) !== key) renamed = true;
    if (!renamed) return known.create(kwargs);
    return known.create(Object.fromEntries(Object.entries(kwargs).map(([key, field]) => [known.fieldOf(key), field])));
  }
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Drops fields that were `undefined`; false when there is anything else than plain JSON. */
function hasPlainFields(record: Json): boolean {
  for (const key in record) {
    if (key === "lc" || key === "__lc_escaped__") return false;
    const field = record[key];
    if (typeof field !== "object" || field === null) continue;
    if (Array.isArray(field)) {
      if (!isPlainList(field)) return false;
    } else if ((field as Json)["lc"] === 2 && (field as Json)["type"] === "undefined") delete record[key];
    else if (!hasPlainFields(field as Json)) return false;
  }
  return true;
}

function isPlainList(list: readonly unknown[]): boolean {
  for (const element of list) {
    if (typeof element !== "object" || element === null) continue;
    if (!(Array.isArray(element) ? isPlainList(element) : hasPlainFields(element as Json))) return false;
  }
  return true;
}

/** The closed set of values that the stock serializer writes as `lc: 2`; anything else stays data. */
function reviveRecord(record: Json): unknown {
  if (record["type"] === "undefined") return undefined;
  if (record["type"] === "delta_snapshot") {
    return Object.hasOwn(record, "value") ? new DeltaSnapshot(record["value"]) : record;
  }
  if (record["type"] !== "constructor") return record;
  const { id, args, method } = record as { readonly id?: unknown; readonly args?: unknown; readonly method?: unknown };
  if (!Array.isArray(id) || id.length !== 1 || !Array.isArray(args)) return record;
  const noMethod = method === undefined || method === null;
  const [first, second] = args as readonly unknown[];
  const list = args.length === 1 && Array.isArray(first) ? (first as readonly unknown[]) : null;
  switch (id[0]) {
    case "Set":
      return noMethod && list !== null ? new Set(list) : record;
    case "Map":
      return noMethod && list !== null && list.every(isPair) ? new Map(list) : record;
    case "Error":
      return noMethod && args.length === 1 && typeof first === "string" ? new Error(first) : record;
    case "Uint8Array":
      return (noMethod || method === "from") && list !== null && list.every(isByte) ? Uint8Array.from(list) : record;
    case "RegExp":
      return noMethod && args.length === 2 ? regExp(first, second, record) : record;
    default:
      return record;
  }
}

function isPair(value: unknown): value is readonly [unknown, unknown] {
  return Array.isArray(value) && value.length === 2;
}

function isByte(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255;
}

function regExp(source: unknown, flags: unknown, record: Json): unknown {
  if (typeof source !== "string" || typeof flags !== "string") return record;
  try {
    return new RegExp(source, flags);
  } catch {
    return record;
  }
}
