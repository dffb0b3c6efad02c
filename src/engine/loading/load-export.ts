import path from "node:path";
import { HeddleError } from "../../core/errors.js";
import { formatPosition } from "./load-error.js";
import { IMPORT_TIMEOUT_MS, locateGraph } from "./load-graph.js";
import { loadModules } from "./load-modules.js";

export interface LoadedExport {
  /** Awaited, when the module exports a promise. */
  readonly value: unknown;
  /** Absolute paths of every local file that took part. */
  readonly inputs: ReadonlySet<string>;
}

/**
 * What a module of the user's project exports, loaded as graph files are: TypeScript or JavaScript, with everything local that
 * it imports in a bundle of its own. So modules that graphs import too are there twice; packages are not.
 * @param options.field named in messages: `auth.path`
 * @param options.path `file:export`, relative to `cwd`; the export defaults to `default`
 * @param options.version counts reloads
 * @throws HeddleError `CONFIG_INVALID` with `details.inputs`: the files to watch for its mend
 */
export async function loadExport(options: {
  readonly field: string;
  readonly path: string;
  readonly cwd: string;
  readonly version?: number;
}): Promise<LoadedExport> {
  const { field, cwd, version = 0 } = options;
  const { file, exportName } = locateGraph(field, { path: options.path }, cwd);
  const set = await loadModules({
    files: [file],
    cwd,
    outputFile: path.join(cwd, `heddle-${field.replaceAll(".", "-")}.mjs`),
    version,
    importTimeoutMs: IMPORT_TIMEOUT_MS,
  });
  const inputs = new Set([...set.inputs, file]);
  const failed = (message: string, cause?: unknown): HeddleError =>
    new HeddleError("CONFIG_INVALID", {
      message: `${field}: failed to load ${options.path}: ${message}`,
      details: { inputs },
      ...(cause === undefined ? {} : { cause }),
    });
  const loaded = set.modules.get(file);
  if (loaded === undefined) throw failed("it was not loaded");
  if ("failure" in loaded) {
    const { message, position, cause } = loaded.failure;
    throw failed(`${position === undefined ? "" : `${formatPosition(position)}: `}${message}`, cause);
  }
  if (!(exportName in loaded.exports)) {
    const names = Object.keys(loaded.exports).map((name) => `"${name}"`);
    const known = names.length === 0 ? "it exports nothing" : `its exports are ${names.join(", ")}`;
    throw failed(`the file has no export named "${exportName}"; ${known}`);
  }
  try {
    return { value: await loaded.exports[exportName], inputs };
  } catch (error) {
    throw failed(`the promise that it exports was rejected: ${String(error)}`, error);
  }
}
