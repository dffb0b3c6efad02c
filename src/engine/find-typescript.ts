import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type ts from "typescript";

export type TypeScript = typeof ts;

/**
 * TypeScript's compiler as the user's project has it, else as Heddle's own surroundings have it. TypeScript 7 has no
 * compiler API (`typescript@7.0.2` exports none) and does not count.
 * @param file a file of the user's project, absolute
 * @returns `null` when there is none
 */
export async function findTypeScript(file: string): Promise<{ readonly ts: TypeScript; readonly path: string } | null> {
  for (const from of [file, import.meta.url]) {
    let found: string;
    try {
      found = createRequire(from).resolve("typescript");
    } catch {
      continue;
    }
    const loaded = (await import(pathToFileURL(found).href)) as { readonly default?: Partial<TypeScript> };
    if (typeof loaded.default?.createProgram === "function" && typeof loaded.default.transpileModule === "function") {
      return { ts: loaded.default as TypeScript, path: path.normalize(found) };
    }
  }
  return null;
}
