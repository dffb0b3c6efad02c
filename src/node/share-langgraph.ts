import { existsSync, readFileSync, realpathSync } from "node:fs";
import module, { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Packages of which a process should hold one copy, and major versions that Heddle works with. */
const SHARED = /^@langchain\/(core|langgraph|langgraph-checkpoint)(\/|$)/;
const SUPPORTED_MAJOR = 1;

const MANIFEST = join("@langchain", "langgraph", "package.json");

/** Where Heddle's own modules lie: only their imports are redirected. */
const OWN_ROOT = new URL("../", import.meta.url).href;

/**
 * Let Heddle import LangGraph and LangChain's core from the user's project instead of from beside itself, so that graphs
 * and server share one copy: messages, commands and the async context are then recognised on both sides, and nothing is
 * loaded twice (docs/wire/langgraph-api.md §5.5). Call it before the engine is imported. Without a copy in the project,
 * with one of another major version, or on Node before 22.15 (no `module.registerHooks`) Heddle uses its own. Lasts as long
 * as the process, as its modules do.
 * @param configPath `langgraph.json` or its folder. Default: the working folder.
 */
export function shareLanggraph(configPath = "."): void {
  const given = resolve(configPath);
  const project = projectCopy(given.endsWith(".json") ? dirname(given) : given);
  if (project?.version.startsWith(`${SUPPORTED_MAJOR}.`) !== true) return;
  if (typeof module.registerHooks !== "function") return;
  module.registerHooks({
    resolve(specifier, context, nextResolve) {
      if (!SHARED.test(specifier) || context.parentURL?.startsWith(OWN_ROOT) !== true) {
        return nextResolve(specifier, context);
      }
      try {
        // From LangGraph's own folder: core and checkpoint are those that it uses, also where packages are not hoisted.
        return nextResolve(specifier, { ...context, parentURL: project.url });
      } catch {
        return nextResolve(specifier, context);
      }
    },
  });
}

/** The project's LangGraph: the address of a file in its folder, and its version. */
function projectCopy(rootDir: string): { readonly url: string; readonly version: string } | null {
  const require = createRequire(join(rootDir, "langgraph.json"));
  const folder = require.resolve.paths("@langchain/langgraph")?.find((path) => existsSync(join(path, MANIFEST)));
  if (folder === undefined) return null;
  // As Node sees it: the folder may be a link into a store that holds its dependencies beside it.
  const manifest = realpathSync(join(folder, MANIFEST));
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string };
  return { url: pathToFileURL(manifest).href, version };
}
