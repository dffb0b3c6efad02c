import { BaseMessage } from "@langchain/core/messages";

/** The fields that LangChain's own messages have; all of them stay as they are when LangChain snake-cases keys. */
const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  "content",
  "id",
  "name",
  "role",
  "additional_kwargs",
  "response_metadata",
  "tool_calls",
  "invalid_tool_calls",
  "tool_call_chunks",
  "usage_metadata",
  "tool_call_id",
  "artifact",
  "status",
  "metadata",
]);

const SNAKE_CASE = /^[a-z0-9]+(?:_[a-z0-9]+)*$/;

/** Per class: does it serialise exactly as LangChain's own messages do? Holds its keys weakly. */
const stockPrototypes = new WeakMap<object, boolean>();

type MessageClass = Readonly<
  Record<"toDict" | "toJSON" | "lc_serializable" | "lc_kwargs" | "lc_secrets" | "lc_attributes" | "lc_aliases", unknown>
>;

/**
 * A LangChain message as `{...data, type}` of its `toDict()`, without the several copies that makes (@langchain/core
 * 1.4.0). Unlike it, dates in `additional_kwargs` survive, and objects with a key `lc` are not wrapped in
 * `__lc_escaped__`.
 * @param convert applied to fields that are objects or bigints
 * @returns `null` for anything else, and for messages with a `toDict()` of their own or keys that LangChain would rename
 */
export function flattenStockMessage(
  value: object,
  convert: (field: unknown) => unknown,
): Record<string, unknown> | null {
  if (!isStockMessage(value)) return null;
  const fields = (value as MessageClass).lc_kwargs;
  if (typeof fields !== "object" || fields === null) return null;
  const message = value as Readonly<Record<string, unknown>> & { _getType(): string };
  const flat: Record<string, unknown> = {};
  for (const key of Object.keys(fields)) {
    if (!KNOWN_FIELDS.has(key) && !SNAKE_CASE.test(key)) return null;
    // The type goes last.
    if (key === "type") continue;
    const field = key in message ? message[key] : (fields as Readonly<Record<string, unknown>>)[key];
    flat[key] = (typeof field === "object" && field !== null) || typeof field === "bigint" ? convert(field) : field;
  }
  flat["type"] = message._getType();
  return flat;
}

/** Its `toDict()` is LangChain's own, also when it comes from another copy of @langchain/core. */
function isStockMessage(value: object): boolean {
  const message = value as MessageClass;
  if (typeof message.toDict !== "function") return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (typeof prototype !== "object" || prototype === null) return false;
  let stock = stockPrototypes.get(prototype);
  if (stock === undefined) {
    stock = serialisesAsStock(message);
    stockPrototypes.set(prototype, stock);
  }
  return stock;
}

function serialisesAsStock(message: MessageClass): boolean {
  const aliases = message.lc_aliases;
  return (
    message.lc_serializable === true &&
    message.lc_secrets === undefined &&
    message.lc_attributes === undefined &&
    (aliases === undefined || Object.entries(aliases as object).every(([key, alias]) => key === alias)) &&
    sameFunction(message.toDict, BaseMessage.prototype.toDict) &&
    sameFunction(message.toJSON, BaseMessage.prototype.toJSON)
  );
}

/** Another copy of the same release has other function objects with the same source. */
function sameFunction(one: unknown, other: unknown): boolean {
  return one === other || String(one) === String(other);
}
