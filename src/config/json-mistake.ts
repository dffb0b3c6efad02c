const TOKEN =
  // oxlint-disable-next-line no-control-regex -- JSON forbids control characters in strings
  /\s*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001F]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

type Expected = "value" | "key" | "key or }" | "value or ]" | ":" | ", or end";

/**
 * The line, from 1, where text stops being JSON: `JSON.parse` of Node 22 and 24 often gives no position. For text that it
 * has refused.
 */
export function lineOfJsonMistake(text: string): number {
  const stack: ("{" | "[")[] = [];
  let expected: Expected = "value";
  let good = 0;
  for (;;) {
    TOKEN.lastIndex = good;
    const [, mark, string, scalar] = TOKEN.exec(text) ?? [];
    const next: Expected | null =
      mark === undefined ? afterValue(expected, string, scalar) : afterMark(expected, mark, stack);
    if (next === null) break;
    good = TOKEN.lastIndex;
    expected = next;
  }
  const blank = /^\s*/.exec(text.slice(good))?.[0].length ?? 0;
  return text.slice(0, good + blank).split("\n").length;
}

function afterValue(expected: Expected, string: string | undefined, scalar: string | undefined): Expected | null {
  if (string !== undefined && (expected === "key" || expected === "key or }")) return ":";
  if (string === undefined && scalar === undefined) return null;
  return expected === "value" || expected === "value or ]" ? ", or end" : null;
}

function afterMark(expected: Expected, mark: string, stack: ("{" | "[")[]): Expected | null {
  const inside = stack.at(-1);
  if (mark === "{" || mark === "[") {
    if (expected !== "value" && expected !== "value or ]") return null;
    stack.push(mark);
    return mark === "{" ? "key or }" : "value or ]";
  }
  if (mark === ":") return expected === ":" ? "value" : null;
  if (mark === ",") {
    if (expected !== ", or end" || inside === undefined) return null;
    return inside === "{" ? "key" : "value";
  }
  const closes = mark === "}" ? inside === "{" : inside === "[";
  if (!closes || (expected !== ", or end" && expected !== (mark === "}" ? "key or }" : "value or ]"))) return null;
  stack.pop();
  return ", or end";
}
