import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import type ts from "typescript";

export type TypeScript = typeof ts;

/** An installed TypeScript that has a compiler API. */
export interface FoundTypeScript {
  /** Absolute path of its main file. */
  readonly path: string;
  readonly version: string;
}

/**
 * TypeScript as the user's project has it, else as Heddle's own surroundings have it. Nothing is loaded: that alone takes
 * a third of a second. TypeScript 7 has no compiler API (`typescript@7.0.2` exports none) and does not count.
 * @param file a file of the user's project, absolute
 * @returns `null` when there is none
 */
export async function findTypeScript(file: string): Promise<FoundTypeScript | null> {
  for (const from of [file, import.meta.url]) {
    const found = await installed(from);
    if (found !== null && /^[56]\./.test(found.version)) return found;
  }
  return null;
}

/** Load what {@link findTypeScript} found. Blocks for a third of a second. */
export function loadTypeScript(found: { readonly path: string }): TypeScript {
  return createRequire(found.path)(found.path) as TypeScript;
}

async function installed(from: string): Promise<FoundTypeScript | null> {
  try {
    const require = createRequire(from);
    const manifest = require.resolve("typescript/package.json");
    const { version } = JSON.parse(await readFile(manifest, "utf8")) as { readonly version: string };
    return { path: path.normalize(require.resolve("typescript")), version };
  } catch {
    return null;
  }
}
