import { isBuiltin } from "node:module";
import path from "node:path";
import type { BuildOptions, Message, OnResolveArgs, OnResolveResult, Plugin, PluginBuild } from "esbuild";
import { sourceLoader } from "./source-loader.js";

/** A module outside the bundle, by the position of its `heddle-external:<n>` specifier. */
export interface ExternalModule {
  readonly specifier: string;
  /** Folder of the importing file. */
  readonly fromDir: string;
  /** Path relative to the project, of the importing file. */
  readonly importer: string;
  /** `file:` URL or `node:` name that `import` loads; `null` for `require`, which resolves itself. */
  readonly url: string | null;
}

/** One JavaScript text for all graph files of a project, to be run by `evaluate-bundle.ts`. */
export interface Bundle {
  readonly code: string;
  readonly externals: readonly ExternalModule[];
  /** Absolute paths of every local file that took part. */
  readonly inputs: ReadonlySet<string>;
  readonly outputFile: string;
}

/** What stopped a build, with `inputs` that a watcher must follow for the mend. */
export interface BuildFailure {
  readonly errors: readonly Message[];
  readonly inputs: ReadonlySet<string>;
}

/** Packages whose identity matters: never bundled, also where a link leads out of `node_modules`. */
const SINGLETONS = /^(@langchain\/|langchain(\/|$)|heddle(\/|$))/;
const LOCAL_SOURCE = /\.([cm]?tsx?|json)$/;
const EXTERNAL = "heddle-external:";

/**
 * Bundle graph files and everything local that they import, transitively: relative files, tsconfig `paths`, workspace
 * packages and packages that ship TypeScript. Packages in `node_modules` stay outside and are loaded by Node, so that the
 * project, its packages and Heddle share one LangGraph. All files go into one bundle, so that two graphs share the
 * modules they both import, and each file starts on its own.
 * @param options.files absolute paths
 * @param options.outputFile what stack traces call the bundle where source maps are off; nothing is written
 */
export async function bundleGraphs(options: {
  readonly files: readonly string[];
  readonly cwd: string;
  readonly outputFile: string;
}): Promise<{ readonly bundle: Bundle } | { readonly failure: BuildFailure }> {
  const esbuild = await import("esbuild");
  const inputs = new Set<string>();
  const externals: ExternalModule[] = [];
  const settings: BuildOptions & { readonly write: false } = {
    stdin: { contents: entryCode(options.files), resolveDir: options.cwd, sourcefile: "heddle-entry.js" },
    absWorkingDir: options.cwd,
    outfile: options.outputFile,
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: `node${process.versions.node}`,
    // Node's own conditions for `import`; naming any turns esbuild's `module` off, which Node does not know.
    conditions: ["module-sync", "node-addons"],
    mainFields: ["main"],
    sourcemap: "inline",
    sourcesContent: false,
    // LangGraph names nodes after functions, and a bundle renames what collides.
    keepNames: true,
    treeShaking: true,
    logLevel: "silent",
    banner: { js: BANNER },
    define: { "import.meta": "__heddleMeta", __dirname: "__heddleDirname", __filename: "__heddleFilename" },
    plugins: [externalPackages(externals, options.cwd), sourceLoader(inputs)],
  };
  try {
    const result = await esbuild.build(settings);
    return { bundle: { code: result.outputFiles[0]?.text ?? "", externals, inputs, outputFile: options.outputFile } };
  } catch (error) {
    if (!hasMessages(error)) throw error;
    return { failure: { errors: error.errors, inputs } };
  }
}

/** First line of every bundle; the evaluator puts its own code there, so that source maps stay true. */
export const BANNER = "/* heddle */";
/** Specifiers of what stays outside: this and a number. */
export const EXTERNAL_PREFIX = EXTERNAL;

function entryCode(files: readonly string[]): string {
  const loaders = files.map((file) => `() => import(${JSON.stringify(file)})`);
  return `__heddleExports([${loaders.join(", ")}]);`;
}

function externalPackages(externals: ExternalModule[], cwd: string): Plugin {
  const add = (args: OnResolveArgs, url: string | null): OnResolveResult => {
    const importer = args.importer === "" ? "" : path.relative(cwd, args.importer);
    externals.push({ specifier: args.path, fromDir: args.resolveDir, importer, url });
    return { path: `${EXTERNAL}${String(externals.length - 1)}`, external: true };
  };
  return {
    name: "heddle-packages",
    setup(build) {
      build.onResolve({ filter: /\.node$/ }, (args) => add(args, null));
      // Neither relative nor absolute: a package, a builtin, an alias of tsconfig `paths`, or `#internal`.
      build.onResolve({ filter: /^[^./]/ }, async (args) => {
        if (args.kind === "entry-point" || args.pluginData === RESOLVING || /^([a-zA-Z]:[\\/]|data:)/.test(args.path))
          return null;
        if (isBuiltin(args.path)) return add(args, args.path.startsWith("node:") ? args.path : `node:${args.path}`);
        return packageOrSource(build, args, add);
      });
    },
  };
}

const RESOLVING = Symbol("resolving");

async function packageOrSource(
  build: PluginBuild,
  args: OnResolveArgs,
  add: (args: OnResolveArgs, url: string | null) => OnResolveResult,
): Promise<OnResolveResult | null> {
  const { importer, resolveDir, kind, namespace } = args;
  const found = await build.resolve(args.path, {
    importer,
    resolveDir,
    kind,
    namespace,
    with: args.with,
    pluginData: RESOLVING,
  });
  // Not found: esbuild's own message names file, line and column, and a guarded `require` stays a run-time matter.
  if (found.errors.length > 0 || found.path === "" || found.namespace !== "file") return null;
  const inPackages = /[\\/]node_modules[\\/]/.test(found.path);
  const local = LOCAL_SOURCE.test(found.path) || !inPackages;
  if (local && !SINGLETONS.test(args.path)) return null;
  if (kind === "require-call" || kind === "require-resolve") return add(args, null);
  const { pathToFileURL } = await import("node:url");
  return add(args, pathToFileURL(found.path).href);
}

function hasMessages(error: unknown): error is { readonly errors: readonly Message[] } {
  return typeof error === "object" && error !== null && "errors" in error && Array.isArray(error.errors);
}
