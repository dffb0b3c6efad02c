import type { SourcePosition } from "./load-error.js";
import { buildReason, sourcePosition } from "./load-error.js";
import { type Bundle, bundleGraphs } from "./bundle-graph.js";
import { evaluateBundle, ExternalImportError, type ModuleExports, probeExternals } from "./evaluate-bundle.js";

/** Why a file could not be loaded. */
export interface ModuleFailure {
  readonly message: string;
  readonly position?: SourcePosition | undefined;
  readonly cause?: unknown;
}

export type LoadedModule = { readonly exports: ModuleExports } | { readonly failure: ModuleFailure };

/** One version of a project's files. */
export interface ModuleSet {
  /** By absolute path; one for each file asked for. */
  readonly modules: ReadonlyMap<string, LoadedModule>;
  /** Every local file that took part, those of failed files too. */
  readonly inputs: ReadonlySet<string>;
  /** The code that ran: the same text means that nothing changed. `null` when nothing could be built. */
  readonly code: string | null;
  /** Where in its sources an error of these modules was thrown. */
  readonly locate: (error: unknown) => SourcePosition | undefined;
}

interface LoadModulesOptions {
  /** Absolute paths of existing files. */
  readonly files: readonly string[];
  readonly cwd: string;
  /** Path that the bundle goes by in stack traces. */
  readonly outputFile: string;
  /** Counts reloads. */
  readonly version: number;
  /** A file's top-level code may take this long. */
  readonly importTimeoutMs: number;
  /** The version before: returned as it is when the code is still the same. */
  readonly previous?: ModuleSet | undefined;
}

/**
 * Bundle and run files together; what is wrong with one of them stops only that one.
 */
export async function loadModules(options: LoadModulesOptions): Promise<ModuleSet> {
  const together = await buildTogether(options);
  if (together !== null) return startAll(options, together.bundle, new Map(), together.starts);
  const failures = new Map<string, LoadedModule>();
  const inputs = new Set<string>();
  for (const file of options.files) {
    const failure = await probe(options, file, inputs);
    if (failure !== null) failures.set(file, { failure });
  }
  const files = options.files.filter((file) => !failures.has(file));
  const rest = files.length === 0 ? null : await buildTogether({ ...options, files });
  if (rest !== null) return startAll({ ...options, files }, rest.bundle, failures, rest.starts, inputs);
  // Each is well alone and not together: cannot happen, and must not be silent if it does.
  for (const file of files) failures.set(file, { failure: { message: "the graphs could not be bundled together" } });
  return { modules: failures, inputs, code: null, locate: () => undefined };
}

type Starts = Awaited<ReturnType<typeof evaluateBundle>>;

async function buildTogether(options: LoadModulesOptions): Promise<{ bundle: Bundle; starts: Starts | null } | null> {
  const built = await bundleGraphs(options);
  if ("failure" in built) return null;
  if (built.bundle.code === options.previous?.code) return { bundle: built.bundle, starts: null };
  try {
    return { bundle: built.bundle, starts: await evaluateBundle(built.bundle, { version: options.version }) };
  } catch (error) {
    if (error instanceof ExternalImportError) return null;
    throw error;
  }
}

/** What stops this file from being built, or its packages from being imported; nothing of it runs. */
async function probe(options: LoadModulesOptions, file: string, inputs: Set<string>): Promise<ModuleFailure | null> {
  const built = await bundleGraphs({ ...options, files: [file] });
  const took = "failure" in built ? built.failure.inputs : built.bundle.inputs;
  for (const input of took) inputs.add(input);
  if ("failure" in built) return buildReason(built.failure.errors);
  try {
    await probeExternals(built.bundle);
    return null;
  } catch (error) {
    if (error instanceof ExternalImportError) return { message: error.message, cause: error.cause };
    throw error;
  }
}

async function startAll(
  options: LoadModulesOptions,
  bundle: Bundle,
  failures: ReadonlyMap<string, LoadedModule>,
  starts: Starts | null,
  moreInputs: ReadonlySet<string> = new Set(),
): Promise<ModuleSet> {
  const inputs = new Set([...bundle.inputs, ...moreInputs]);
  if (starts === null && options.previous !== undefined) {
    return { ...options.previous, modules: new Map([...options.previous.modules, ...failures]), inputs };
  }
  const locate = locator(bundle, options.cwd);
  const modules = new Map(failures);
  await Promise.all(
    options.files.map(async (file, index) => {
      modules.set(file, await startOne(starts?.[index], options.importTimeoutMs, locate));
    }),
  );
  return { modules, inputs, code: bundle.code, locate };
}

/** Apart from its caller, whose scope holds the version before: a chain of closures would hold every version. */
function locator(bundle: Bundle, cwd: string): ModuleSet["locate"] {
  return (error) => sourcePosition(error, bundle, cwd);
}

async function startOne(
  start: Starts[number] | undefined,
  importTimeoutMs: number,
  locate: (error: unknown) => SourcePosition | undefined,
): Promise<LoadedModule> {
  try {
    if (start === undefined) throw new Error("the bundle has no entry for it");
    return { exports: await within(start(), importTimeoutMs, "its top-level code did not finish") };
  } catch (error) {
    return { failure: { message: `running it failed: ${messageOf(error)}`, position: locate(error), cause: error } };
  }
}

/** Reject when a promise takes longer; the message says what and for how long. */
export async function within<T>(promise: Promise<T>, limitMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${String(limitMs / 1000)} s`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
