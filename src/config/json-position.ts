/**
 * Line, from 1, of a key (or array element) in JSON text; the line of the nearest parent when it is not there.
 * For messages only: the text must be valid JSON.
 */
export function lineOfJsonPath(text: string, path: readonly (string | number)[]): number {
  const tokens = text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  const stack: { readonly array: boolean; key: string | number }[] = [];
  let found = 0;
  let line = 1;
  let isKey = false;
  for (const { 0: token, index } of tokens) {
    const top = stack.at(-1);
    if (token === "}" || token === "]") {
      stack.pop();
      isKey = false;
    } else if (token === ",") {
      if (top?.array === true) top.key = Number(top.key) + 1;
      else isKey = true;
    } else if (token === ":") {
      isKey = false;
    } else {
      if (isKey && top !== undefined) top.key = JSON.parse(token) as string;
      const depth = stack.length;
      const here = isKey || top?.array === true;
      if (here && depth === found + 1 && matches(stack, path)) {
        found = depth;
        line = text.slice(0, index).split("\n").length;
        if (found === path.length) return line;
      }
      if (token === "{" || token === "[") {
        stack.push({ array: token === "[", key: 0 });
        isKey = token === "{";
      }
    }
  }
  return line;
}

function matches(stack: readonly { readonly key: string | number }[], path: readonly (string | number)[]): boolean {
  return stack.length <= path.length && stack.every((frame, depth) => frame.key === path[depth]);
}
