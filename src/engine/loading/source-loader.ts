import { readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Loader, OnLoadResult, Plugin } from "esbuild";
import { withDecoratorMetadata } from "./decorator-metadata.js";

/**
 * Reads local source files for the bundle: notes each in `inputs`, and gives it its own `import.meta`, `__dirname` and
 * `__filename`, which a bundle would otherwise have one of for all.
 * @param inputs receives absolute paths, of files that fail to parse too
 */
export function sourceLoader(inputs: Set<string>): Plugin {
  return {
    name: "heddle-source",
    setup(build) {
      build.onLoad({ filter: /\.json$/, namespace: "file" }, (args) => {
        inputs.add(args.path);
        return null;
      });
      build.onLoad({ filter: /\.([cm]?[jt]s|[jt]sx)$/, namespace: "file" }, async (args): Promise<OnLoadResult> => {
        inputs.add(args.path);
        const source = await readFile(args.path, "utf8");
        const typed = await withDecoratorMetadata(args.path, source);
        if ("error" in typed) return { errors: [{ text: typed.error, location: { file: args.path } }] };
        return { contents: withOwnLocation(args.path, typed.source), loader: loaderOf(args.path) };
      });
    },
  };
}

/**
 * Puts the file's location before its first line, without a new line: positions in all other lines stay as they are.
 * `bundle-graph.ts` defines `import.meta`, `__dirname` and `__filename` as these names where the file does not declare
 * them itself.
 */
function withOwnLocation(file: string, source: string): string {
  const declared: string[] = [];
  if (source.includes("import.meta")) {
    declared.push(
      `__heddleMeta = __heddleModule(${JSON.stringify(pathToFileURL(file).href)}, ${JSON.stringify(file)})`,
    );
  }
  if (source.includes("__dirname")) declared.push(`__heddleDirname = ${JSON.stringify(path.dirname(file))}`);
  if (source.includes("__filename")) declared.push(`__heddleFilename = ${JSON.stringify(file)}`);
  if (declared.length === 0) return source;
  return `var ${declared.join(", ")};${source.startsWith("#!") ? "//" : ""}${source}`;
}

function loaderOf(file: string): Loader {
  if (file.endsWith(".tsx")) return "tsx";
  if (/\.[cm]?ts$/.test(file)) return "ts";
  return file.endsWith(".jsx") ? "jsx" : "js";
}
