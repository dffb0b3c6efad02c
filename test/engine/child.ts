import { execFile } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";

const root = path.resolve(import.meta.dirname, "../..");

/**
 * Run a TypeScript program of `test/engine/children` in a Node process of its own.
 * @param name without extension
 * @returns what it printed, as JSON
 */
export async function runChild(
  name: string,
  options: { flags?: readonly string[]; args?: readonly string[] },
): Promise<unknown> {
  const folder = path.join(root, "node_modules/.cache/heddle-tests");
  await mkdir(folder, { recursive: true });
  const outfile = path.join(folder, `${name}-${String(process.pid)}.mjs`);
  try {
    const entry = path.join(import.meta.dirname, "children", `${name}.ts`);
    const define = { "import.meta.dirname": JSON.stringify(import.meta.dirname) };
    await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      packages: "external",
      platform: "node",
      format: "esm",
      define,
      logLevel: "error",
    });
    const args = [...(options.flags ?? []), outfile, ...(options.args ?? [])];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 120_000 });
    return JSON.parse(stdout) as unknown;
  } finally {
    await rm(outfile, { force: true });
  }
}
