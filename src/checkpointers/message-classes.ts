import { get_lc_unique_name } from "@langchain/core/load/serializable";
import {
  AIMessage,
  AIMessageChunk,
  ChatMessage,
  ChatMessageChunk,
  FunctionMessage,
  FunctionMessageChunk,
  HumanMessage,
  HumanMessageChunk,
  RemoveMessage,
  SystemMessage,
  SystemMessageChunk,
  ToolMessage,
  ToolMessageChunk,
} from "@langchain/core/messages";

/** A message as `Serializable.toJSON` sees it. */
export interface MessageLike {
  readonly lc_kwargs: Record<string, unknown>;
  readonly lc_serializable: boolean;
  toJSON(key?: string): unknown;
  readonly [key: string]: unknown;
}

/** What is needed to write and read one message class without `toJSON()` and `load()`. */
export interface MessageClass {
  readonly prototype: object;
  readonly name: string;
  /** `id` of the serialised form; the name is its last part. */
  readonly id: readonly string[];
  readonly toJSON: unknown;
  /** JSON key of a constructor field. */
  jsonKey(field: string): string;
  /** Constructor field of a JSON key. */
  fieldOf(jsonKey: string): string;
  create(kwargs: Record<string, unknown>): object;
}

/** The message classes of @langchain/core, by prototype and by name. */
export interface MessageClasses {
  readonly byPrototype: ReadonlyMap<object, MessageClass>;
  readonly byName: ReadonlyMap<string, MessageClass>;
}

interface MessageConstructor {
  new (kwargs: never): object;
  readonly prototype: object;
  lc_name(): string;
}

const CONSTRUCTORS: readonly MessageConstructor[] = [
  AIMessage,
  AIMessageChunk,
  ChatMessage,
  ChatMessageChunk,
  FunctionMessage,
  FunctionMessageChunk,
  HumanMessage,
  HumanMessageChunk,
  RemoveMessage,
  SystemMessage,
  SystemMessageChunk,
  ToolMessage,
  ToolMessageChunk,
];

/**
 * The classes whose serialised form is known. Messages of another copy of @langchain/core are not among them: those go
 * through their own `toJSON()`.
 */
export function messageClasses(): MessageClasses {
  const known = CONSTRUCTORS.map(describe);
  return {
    byPrototype: new Map(known.map((entry) => [entry.prototype, entry])),
    byName: new Map(known.map((entry) => [entry.name, entry])),
  };
}

function describe(constructor: MessageConstructor): MessageClass {
  const name = get_lc_unique_name(constructor as never);
  const aliases = aliasesOf(constructor.prototype);
  const fields = Object.fromEntries(Object.entries(aliases).map(([field, key]) => [key, field]));
  return {
    prototype: constructor.prototype,
    name,
    id: ["langchain_core", "messages", name],
    toJSON: Reflect.get(constructor.prototype, "toJSON"),
    jsonKey: remember((field) => aliases[field] ?? snakeCase(field)),
    fieldOf: remember((key) => fields[key] ?? camelCase(key)),
    // What was serialised is what the constructor took.
    create: (kwargs) => new constructor(kwargs as never),
  };
}

function aliasesOf(prototype: object): Record<string, string> {
  const aliases: Record<string, string> = {};
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    Object.assign(aliases, Reflect.get(at, "lc_aliases", prototype));
  }
  return aliases;
}

/** Keys come from users, so the memory of them is bounded. */
const MAX_REMEMBERED_KEYS = 1000;
const MAX_REMEMBERED_CHARS = 200;

function remember(map: (key: string) => string): (key: string) => string {
  const known = new Map<string, string>();
  return (key) => {
    const found = known.get(key);
    if (found !== undefined) return found;
    const mapped = map(key);
    if (known.size < MAX_REMEMBERED_KEYS && key.length <= MAX_REMEMBERED_CHARS) known.set(key, mapped);
    return mapped;
  };
}

// The key mapping of @langchain/core 1.4.0 (load/map_keys), which does not export it.
function snakeCase(key: string): string {
  return (
    key
      // There `([A-Z]+)([A-Z][a-z0-9]+)`, which takes seconds for a key of 50,000 capitals.
      .replaceAll(/(?<=[A-Z])(?=[A-Z][a-z0-9])/g, "_")
      .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
      .replaceAll(/[-_\s]+/g, "_")
      .toLowerCase()
  );
}

function camelCase(key: string): string {
  const trimmed = key.trim();
  if (!/[-_\s]/.test(trimmed)) return trimmed;
  return trimmed
    .replaceAll(/[-_\s]+/g, "_")
    .toLowerCase()
    .replaceAll(/_([a-z0-9])/g, (_, char: string) => char.toUpperCase());
}
