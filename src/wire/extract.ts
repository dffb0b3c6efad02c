import type { z } from "zod";
import type { JsonText, JsonValue } from "../core/json.js";
import { isJsonObject, parseJsonText, toJsonText } from "../core/json.js";
import type { Thread } from "../core/thread.js";
import { invalid } from "./decode.js";
import { jsonObject } from "./schema.js";

const ROOTS = ["values", "metadata", "config", "interrupts"] as const;
type Root = (typeof ROOTS)[number];
const MAX_PATHS = 10;

/** `extract` of a thread search: `alias → path`, e.g. `values.messages[-1].content` (docs/wire/langgraph-api.md §2.4.2). */
export const extractSchema = jsonObject.meta({
  type: "object",
  maxProperties: MAX_PATHS,
  additionalProperties: { type: "string" },
});

/** A path, split: keys as strings, indexes (negative from the end) as numbers. */
export interface ExtractPath {
  readonly alias: string;
  readonly root: Root;
  readonly steps: readonly (string | number)[];
}

/** @throws `INVALID_REQUEST` for more than ten paths, an unknown root or a path that cannot be read */
export function decodeExtract(sent: z.output<typeof extractSchema>): readonly ExtractPath[] {
  const entries = Object.entries(sent);
  if (entries.length > MAX_PATHS) invalid("extract", `at most ${MAX_PATHS} paths`);
  return entries.map(([alias, path]) => {
    const field = `extract.${alias}`;
    if (typeof path !== "string") return invalid(field, "expected a path");
    const [head = "", ...steps] = splitPath(path) ?? invalid(field, `cannot read the path "${path}"`);
    const root = ROOTS.find((name) => name === head);
    if (root === undefined) return invalid(field, `must start with ${ROOTS.join(", ")}`);
    return { alias, root, steps };
  });
}

function splitPath(path: string): (string | number)[] | null {
  const steps: (string | number)[] = [];
  for (const segment of path.split(".")) {
    const match = /^([^[\]]*)((?:\[-?\d{1,9}\])*)$/.exec(segment);
    if (match === null || (match[1] === "" && (match[2] === "" || steps.length === 0))) return null;
    if (match[1] !== "") steps.push(match[1] as string);
    for (const index of (match[2] as string).matchAll(/-?\d+/g)) steps.push(Number(index[0]));
  }
  return steps;
}

/** `{alias: value}`; `null` where a path leads nowhere. The only place that parses a thread's state columns. */
export function encodeExtracted(thread: Thread, paths: readonly ExtractPath[]): JsonText {
  const roots = new Map<Root, JsonValue>();
  const rootOf = (root: Root): JsonValue => {
    let value = roots.get(root);
    if (value === undefined) {
      const stored = thread[root];
      value = typeof stored === "string" ? parseJsonText(stored) : stored;
      roots.set(root, value);
    }
    return value;
  };
  return toJsonText(Object.fromEntries(paths.map((path) => [path.alias, follow(rootOf(path.root), path.steps)])));
}

function follow(start: JsonValue, steps: readonly (string | number)[]): JsonValue {
  let value: JsonValue | undefined = start;
  for (const step of steps) {
    if (typeof step === "number") {
      value = Array.isArray(value) ? (value as readonly JsonValue[]).at(step) : undefined;
    } else {
      value = isJsonObject(value) && Object.hasOwn(value, step) ? value[step] : undefined;
    }
  }
  return value ?? null;
}
