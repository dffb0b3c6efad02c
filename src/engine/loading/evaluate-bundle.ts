import { createRequire, isBuiltin } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { init, parse } from "es-module-lexer";
import { BANNER, type Bundle, EXTERNAL_PREFIX, type ExternalModule } from "./bundle-graph.js";
import { importBindings, type ImportBindings } from "./import-clause.js";

export type ModuleExports = Readonly<Record<string, unknown>>;

/** A package that a graph imports and that could not be imported. */
export class ExternalImportError extends Error {
  constructor(external: ExternalModule, reason: string, cause?: unknown) {
    super(`importing "${external.specifier}" (from ${external.importer}) failed: ${reason}`, { cause });
    this.name = "ExternalImportError";
  }
}

type Start = () => Promise<ModuleExports>;
type Run = (
  exports: (starts: readonly Start[]) => void,
  module: (url: string, file: string) => object,
  externals: readonly unknown[],
  dynamicImport: (specifier: string | URL, options?: ImportCallOptions) => Promise<unknown>,
  require: NodeJS.Require,
) => Promise<void>;

/** As long as `import`, which it replaces, so that columns stay where the source map has them. */
const DYNAMIC_IMPORT = "__himp";

/**
 * Run a bundle. It becomes an async function (top-level `await` works) that is evaluated as a script: unlike a module in
 * Node's module map, which nothing can ever remove, an old version is collected once nobody holds its graphs. Its inline
 * source map counts for stack traces after `process.setSourceMapsEnabled(true)`.
 * @returns one starter per file of the bundle; a file's code runs when its starter is first called
 * @throws ExternalImportError
 */
export async function evaluateBundle(bundle: Bundle, options: { readonly version: number }): Promise<readonly Start[]> {
  await init;
  const { code, imports } = asFunction(bundle, options.version);
  const externals = await loadExternals(bundle, imports);
  // oxlint-disable-next-line no-eval -- `vm.Script` ignores source maps (Node 24) and warns when it may import; indirect eval of the user's own code does neither
  const run = (0, eval)(code) as Run;
  let starts: readonly Start[] = [];
  await run((given) => (starts = given), moduleMeta, externals, dynamicImport(bundle), requireFor(bundle));
  return starts;
}

/** Load what a bundle imports from outside, without running it: finds the graph that a missing package stops. */
export async function probeExternals(bundle: Bundle): Promise<void> {
  await init;
  await loadExternals(bundle, asFunction(bundle, 0).imports);
}

/** Turn the module text into a function: imports become its first statements, on the banner's line. */
function asFunction(bundle: Bundle, version: number): { code: string; imports: Map<number, ImportBindings[]> } {
  const imports = new Map<number, ImportBindings[]>();
  let text = "";
  let prelude = "";
  let end = 0;
  for (const found of parse(bundle.code, bundle.outputFile)[0]) {
    const isDynamic = found.d >= 0;
    const position =
      found.n?.startsWith(EXTERNAL_PREFIX) === true ? Number(found.n.slice(EXTERNAL_PREFIX.length)) : null;
    if (isDynamic) {
      text += bundle.code.slice(end, found.ss) + DYNAMIC_IMPORT;
      end = found.ss + "import".length;
    } else if (found.d === -1 && position !== null) {
      const bindings = importBindings(bundle.code.slice(found.ss, found.s - 1));
      imports.set(position, [...(imports.get(position) ?? []), bindings]);
      prelude += bindings.declare(`__heddleExternals[${String(position)}]`);
      text += bundle.code.slice(end, found.ss) + bundle.code.slice(found.ss, found.se).replaceAll(/[^\n]/g, " ");
      end = found.se;
    }
  }
  text += bundle.code.slice(end);
  const map = text.lastIndexOf("//# sourceMappingURL=");
  const body = (map < 0 ? text : text.slice(0, map)).replace(BANNER, () => prelude);
  const head = `(async function (__heddleExports, __heddleModule, __heddleExternals, ${DYNAMIC_IMPORT}, require) { "use strict"; `;
  const tail = `\n})\n${map < 0 ? "" : text.slice(map)}\n//# sourceURL=${bundleUrl(bundle, version)}\n`;
  return { code: head + body + tail, imports };
}

/**
 * Node keeps one source map per name for ever, so names repeat; a run of the version before last still has its own.
 */
function bundleUrl(bundle: Bundle, version: number): string {
  const { dir, name, ext } = path.parse(bundle.outputFile);
  return pathToFileURL(path.join(dir, `${name}-${String(version % 8)}${ext}`)).href;
}

async function loadExternals(bundle: Bundle, imports: Map<number, ImportBindings[]>): Promise<readonly unknown[]> {
  return Promise.all(
    bundle.externals.map(async (external, position) => {
      const wanted = imports.get(position);
      if (wanted === undefined) return undefined;
      if (external.url === null) throw new ExternalImportError(external, "it can only be loaded with require()");
      const loaded = await importExternal(external, external.url);
      return withNames(
        external,
        loaded,
        wanted.flatMap((bindings) => bindings.names),
      );
    }),
  );
}

async function importExternal(
  external: ExternalModule,
  url: string,
  options?: ImportCallOptions,
): Promise<ModuleExports> {
  try {
    return (await import(url, options)) as ModuleExports;
  } catch (error) {
    throw new ExternalImportError(
      external,
      error instanceof Error ? `${error.name}: ${error.message}` : String(error),
      error,
    );
  }
}

/** The module, or where Node found too few names in a CommonJS package, one that takes them from `module.exports`. */
function withNames(external: ExternalModule, loaded: ModuleExports, names: readonly string[]): ModuleExports {
  const missing = names.filter((name) => !(name in loaded));
  if (missing.length === 0) return loaded;
  const common: unknown = loaded["default"];
  const isObject = (typeof common === "object" && common !== null) || typeof common === "function";
  const absent = isObject ? missing.find((name) => !(name in common)) : missing[0];
  if (absent !== undefined) throw new ExternalImportError(external, `it has no export named "${absent}"`);
  return { ...loaded, ...Object.fromEntries(missing.map((name) => [name, (common as ModuleExports)[name]])) };
}

function dynamicImport(bundle: Bundle): (specifier: string | URL, options?: ImportCallOptions) => Promise<unknown> {
  const require = createRequire(bundle.outputFile);
  return async (given, options) => {
    const specifier = given.toString();
    const external = externalOf(bundle, specifier);
    if (external !== undefined) return importExternal(external, external.url ?? external.specifier, options);
    return (await import(urlOf(specifier, bundle.outputFile, require), options)) as unknown;
  };
}

/** Where an `import()` leads whose specifier is only known at run time; relative ones are relative to the project. */
function urlOf(specifier: string, from: string, require: NodeJS.Require): string {
  if (isBuiltin(specifier) || /^(file|data|node|https?):/.test(specifier)) return specifier;
  if (/^\.\.?(\/|$)/.test(specifier)) return new URL(specifier, pathToFileURL(from)).href;
  return pathToFileURL(path.isAbsolute(specifier) ? specifier : require.resolve(specifier)).href;
}

function requireFor(bundle: Bundle): NodeJS.Require {
  const native = createRequire(bundle.outputFile);
  const target = (specifier: string): [NodeJS.Require, string] => {
    const external = externalOf(bundle, specifier);
    if (external === undefined) return [native, specifier];
    return [createRequire(path.join(external.fromDir, "heddle.cjs")), external.specifier];
  };
  const require = (specifier: string): unknown => {
    const [from, name] = target(specifier);
    return from(name);
  };
  const resolve = (specifier: string, options?: { paths?: string[] }): string => {
    const [from, name] = target(specifier);
    return from.resolve(name, options);
  };
  return Object.assign(require, native, { resolve: Object.assign(resolve, { paths: native.resolve.paths }) });
}

function externalOf(bundle: Bundle, specifier: string): ExternalModule | undefined {
  return specifier.startsWith(EXTERNAL_PREFIX)
    ? bundle.externals[Number(specifier.slice(EXTERNAL_PREFIX.length))]
    : undefined;
}

/** `import.meta` of a source file. */
function moduleMeta(url: string, file: string): object {
  const require = createRequire(file);
  const resolve = (specifier: string): string => {
    if (isBuiltin(specifier)) return specifier.startsWith("node:") ? specifier : `node:${specifier}`;
    return /^(\.|\/|file:)/.test(specifier)
      ? new URL(specifier, url).href
      : pathToFileURL(require.resolve(specifier)).href;
  };
  return { url, filename: file, dirname: path.dirname(fileURLToPath(url)), main: false, resolve };
}
