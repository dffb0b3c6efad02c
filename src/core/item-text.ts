import type { JsonObject, JsonValue } from "./json.js";
import { isJsonObject } from "./json.js";

/** A step into a value: a field, an element (negative: from the end), every element or field, or several fields at once. */
type Step =
  | { readonly kind: "field"; readonly name: string }
  | { readonly kind: "element"; readonly index: number }
  | { readonly kind: "elements" }
  | { readonly kind: "each" }
  | { readonly kind: "fields"; readonly paths: readonly (readonly string[])[] };

/** Where in an item's value the texts are that are embedded. */
export interface TextPath {
  /** As it was written. */
  readonly text: string;
  /** None: the whole value. */
  readonly steps: readonly Step[];
}

/** A text of an item, and the name of its vector: unique within the item. */
export interface ItemText {
  readonly path: string;
  readonly text: string;
}

/** Longest path that is taken. */
const MAX_PATH_CHARS = 1_024;

/**
 * Read a path as LangGraph's stores write them: `$` (the whole value), `a.b`, `a[0]`, `a[-1]`, `a[*].b`, `*`, `{a,b.c}`. A `$.` in
 * front means nothing (`InMemoryStore` of LangGraph.js 1.2 embeds the whole value there).
 * @returns what is wrong with it, as a sentence's end, where it is none
 */
export function parseTextPath(text: string): TextPath | { readonly problem: string } {
  if (text.length > MAX_PATH_CHARS) return { problem: `is longer than ${MAX_PATH_CHARS} characters` };
  if (text === "" || text === "$") return { text: "$", steps: [] };
  const steps: Step[] = [];
  for (const token of tokensOf(text)) {
    if (token.startsWith("[")) {
      const index = token.slice(1, -1);
      if (!token.endsWith("]") || !/^(?:\*|-?\d{1,15})$/.test(index)) {
        return { problem: `has "${token}", where [0], [-1] or [*] may stand` };
      }
      steps.push(index === "*" ? { kind: "elements" } : { kind: "element", index: Number(index) });
    } else if (token.startsWith("{")) {
      const names = token.slice(1, -1).split(",");
      const paths = names.map((name) => name.trim().split("."));
      if (!token.endsWith("}") || paths.some((path) => path.includes(""))) {
        return { problem: `has "${token}", where {a,b.c} may stand` };
      }
      steps.push({ kind: "fields", paths });
    } else if (token === "*") steps.push({ kind: "each" });
    else if (token !== "$" || steps.length > 0) steps.push({ kind: "field", name: token });
  }
  return steps.length === 0 && !text.startsWith("$") ? { problem: "names nothing" } : { text, steps };
}

/** `a.b[*].c` → `a`, `b`, `[*]`, `c`; brackets and braces are kept whole. */
function tokensOf(path: string): readonly string[] {
  return path.match(/\[[^\]]*\]?|\{[^}]*\}?|[^.[{]+/g) ?? [];
}

/** How much text an item may have: a few paths could name the same large part of it again and again. */
export interface TextLimits {
  readonly maxTexts: number;
  /** Of all texts together. */
  readonly maxChars: number;
}

/** What was found so far, and what may still be. */
interface Collected {
  readonly texts: string[];
  textsLeft: number;
  charsLeft: number;
}

/**
 * The texts of a value at these paths, as LangGraph's stores take them: scalars as they are, objects and lists as JSON indented by
 * two. Blank texts are left out: models refuse them.
 * @returns `null` when there is more than the limits allow
 */
export function textsAt(value: JsonObject, paths: readonly TextPath[], limits: TextLimits): readonly ItemText[] | null {
  const found = new Map<string, string>();
  const left = { textsLeft: limits.maxTexts, charsLeft: limits.maxChars };
  for (const path of paths) {
    const collected: Collected = { ...left, texts: [] };
    collect(value, path.steps, 0, collected);
    if (isOver(collected)) return null;
    const { texts, textsLeft, charsLeft } = collected;
    Object.assign(left, { textsLeft, charsLeft });
    for (const [at, text] of texts.entries()) {
      if (text.trim() !== "") found.set(texts.length === 1 ? path.text : `${path.text}.${at}`, text);
    }
  }
  return [...found].map(([path, text]) => ({ path, text }));
}

function isOver({ textsLeft, charsLeft }: Collected): boolean {
  return textsLeft < 0 || charsLeft < 0;
}

function collect(value: JsonValue, steps: readonly Step[], at: number, collected: Collected): void {
  if (isOver(collected)) return;
  const step = steps[at];
  if (step === undefined) {
    if (value === null) return;
    const text = typeof value === "object" ? JSON.stringify(value, null, 2) : String(value);
    collected.textsLeft -= 1;
    collected.charsLeft -= text.length;
    collected.texts.push(text);
    return;
  }
  const go = (inner: JsonValue | undefined): void => {
    if (inner !== undefined) collect(inner, steps, at + 1, collected);
  };
  switch (step.kind) {
    case "field":
      go(fieldOf(value, step.name));
      break;
    case "element":
      if (Array.isArray(value)) go((value as readonly JsonValue[]).at(step.index));
      break;
    case "elements":
      if (Array.isArray(value)) for (const element of value as readonly JsonValue[]) go(element);
      break;
    case "each":
      if (typeof value === "object" && value !== null) for (const inner of Object.values(value)) go(inner);
      break;
    default:
      // As in LangGraph, nothing goes on below a `{a,b}`.
      for (const path of step.paths) {
        const inner = path.reduce<JsonValue | undefined>((outer, name) => fieldOf(outer, name), value);
        if (inner !== undefined) collect(inner, [], 0, collected);
      }
  }
}

function fieldOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}
