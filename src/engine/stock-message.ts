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
 * True for a message whose `toDict()` is LangChain's own, also when it comes from another copy of @langchain/core: the
 * serializer may then read its fields directly. Others go through their `toDict()`.
 */
export function isStockMessage(value: object): boolean {
  const message = value as MessageClass;
  if (typeof message.toDict !== "function") return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (typeof prototype !== "object" || prototype === null) return false;
  let stock = stockPrototypes.get(prototype);
  if (stock === undefined) {
    stock = serialisesAsStock(message);
    stockPrototypes.set(prototype, stock);
  }
  if (!stock) return false;
  const fields = message.lc_kwargs;
  if (typeof fields !== "object" || fields === null) return false;
  return Object.keys(fields).every((key) => KNOWN_FIELDS.has(key) || SNAKE_CASE.test(key));
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
