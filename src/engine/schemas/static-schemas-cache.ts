import { createHash } from "node:crypto";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { GraphTypes } from "./graph-types.js";

/** Raised when the generator changes: what an older one wrote does not count. */
const FORMAT = 1;
const MAX_REMEMBERED = 200;

interface CacheFile {
  readonly format: number;
  readonly key: string;
  /** Hash of each deciding file's contents when the types were read. */
  readonly hashes: Readonly<Record<string, string>>;
  readonly types: GraphTypes;
}

/** Types of graphs read before, valid as long as every file that decided them is the same. */
export interface StaticSchemasCache {
  get(key: string): Promise<GraphTypes | null>;
  set(key: string, types: GraphTypes): Promise<void>;
}

/**
 * Kept in memory, and on disk in `node_modules/.cache/heddle/schemas` of the project, or in `.heddle/cache/schemas` where
 * there is no `node_modules`. A folder that cannot be written to costs nothing but the time of the next start.
 * @param cwd folder of `langgraph.json`
 */
export function createStaticSchemasCache(cwd: string): StaticSchemasCache {
  const memory = new Map<string, CacheFile>();
  const folder = cacheFolder(cwd);
  const fileOf = async (key: string): Promise<string> => path.join(await folder, `${hash(key)}.json`);

  return {
    async get(key) {
      const found = memory.get(key) ?? parse(await readFile(await fileOf(key), "utf8").catch(() => ""));
      if (found?.key !== key) return null;
      const now = await hashes(Object.keys(found.hashes));
      const same = Object.entries(found.hashes).every(([file, before]) => now[file] === before);
      if (!same) memory.delete(key);
      else remember(memory, key, found);
      return same ? found.types : null;
    },
    async set(key, types) {
      const entry: CacheFile = { format: FORMAT, key, hashes: await hashes(types.files), types };
      remember(memory, key, entry);
      const file = await fileOf(key);
      const temporary = `${file}.${String(process.pid)}.tmp`;
      try {
        await mkdir(path.dirname(file), { recursive: true });
        await writeFile(temporary, JSON.stringify(entry));
        await rename(temporary, file);
      } catch {
        // Read-only file system: the copy in memory serves.
      }
    },
  };
}

function remember(memory: Map<string, CacheFile>, key: string, entry: CacheFile): void {
  memory.delete(key);
  memory.set(key, entry);
  const [oldest] = memory.keys();
  if (memory.size > MAX_REMEMBERED && oldest !== undefined) memory.delete(oldest);
}

async function cacheFolder(cwd: string): Promise<string> {
  const packages = path.join(cwd, "node_modules");
  const hasPackages = (await stat(packages).catch(() => null))?.isDirectory() === true;
  return hasPackages ? path.join(packages, ".cache/heddle/schemas") : path.join(cwd, ".heddle/cache/schemas");
}

async function hashes(files: readonly string[]): Promise<Record<string, string>> {
  const entries = await Promise.all(
    files.map(async (file) => [file, hash(await readFile(file).catch(() => ""))] as const),
  );
  return Object.fromEntries(entries);
}

function hash(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex").slice(0, 32);
}

function parse(text: string): CacheFile | null {
  try {
    const value = JSON.parse(text) as CacheFile;
    return value.format === FORMAT && typeof value.hashes === "object" ? value : null;
  } catch {
    return null;
  }
}
