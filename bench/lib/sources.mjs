// Sources of the project for micro benchmarks, built with esbuild first, so that they need no build of the project.
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** What these files of src/ export, all together. @param name of the bundle in the cache */
export async function importSources(name, files) {
  const cache = join(root, "node_modules/.cache/heddle-bench");
  mkdirSync(cache, { recursive: true });
  const outfile = join(cache, `${name}.mjs`);
  await build({
    stdin: { contents: files.map((file) => `export * from "./src/${file}";`).join(" "), resolveDir: root, loader: "ts" },
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    outfile,
    logLevel: "error",
  });
  return import(pathToFileURL(outfile).href);
}
