import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";

/**
 * The `tsconfig.json` nearest to a file and those that it extends, nearest first, with their texts: what esbuild reads
 * for it.
 * @returns absolute paths; empty where there is none
 */
export async function tsconfigFiles(
  file: string,
): Promise<readonly { readonly path: string; readonly text: string }[]> {
  const found: { path: string; text: string }[] = [];
  let next = await nearestTsconfig(path.dirname(file));
  const queue: string[] = [];
  while (next !== undefined) {
    const current = next;
    next = queue.shift();
    if (found.some((config) => config.path === current)) continue;
    const text = await readFile(current, "utf8").catch(() => null);
    if (text === null) continue;
    found.push({ path: current, text });
    queue.push(...extendedBy(current, text));
    next ??= queue.shift();
  }
  return found;
}

/** True when the nearest setting of a boolean compiler option is `true`. */
export function hasOption(configs: readonly { readonly text: string }[], name: string): boolean {
  for (const { text } of configs) {
    const [, value] = new RegExp(`"${name}"\\s*:\\s*(true|false)`).exec(withoutComments(text)) ?? [];
    if (value !== undefined) return value === "true";
  }
  return false;
}

async function nearestTsconfig(start: string): Promise<string | undefined> {
  for (let dir = start; ; dir = path.dirname(dir)) {
    const file = path.join(dir, "tsconfig.json");
    if ((await readFile(file, "utf8").catch(() => null)) !== null) return file;
    if (path.dirname(dir) === dir) return undefined;
  }
}

function extendedBy(file: string, text: string): readonly string[] {
  const [, value] = /"extends"\s*:\s*("[^"]*"|\[[^\]]*\])/.exec(withoutComments(text)) ?? [];
  if (value === undefined) return [];
  const names = [...value.matchAll(/"([^"]*)"/g)].map(([, name]) => name ?? "");
  return names.flatMap((name) => resolveConfig(file, name) ?? []);
}

function resolveConfig(from: string, name: string): string | undefined {
  const candidates = [name, `${name}.json`, `${name}/tsconfig.json`];
  if (/^[./]/.test(name)) return withJson(path.resolve(path.dirname(from), name));
  const require = createRequire(from);
  for (const candidate of candidates) {
    try {
      return require.resolve(candidate);
    } catch {
      continue;
    }
  }
  return undefined;
}

function withJson(file: string): string {
  return file.endsWith(".json") ? file : `${file}.json`;
}

/** JSON with comments, without them; strings are left alone. */
function withoutComments(text: string): string {
  return text.replaceAll(
    /("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_, string: string | undefined) => string ?? "",
  );
}
