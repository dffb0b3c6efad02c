import path from "node:path";
import { buildReason, formatPosition } from "../engine/loading/load-error.js";
import { createSourceWatcher, type SourceWatcher } from "../engine/loading/source-watcher.js";
import { tsconfigFiles } from "../engine/loading/tsconfig-files.js";
import { HeddleError } from "../core/errors.js";
import type { Logger } from "../core/logger.js";
import type { UiBundle, UiBundles } from "../core/ui.js";
import { bundleUi, type UiBuild, type UiSource } from "./bundle-ui.js";

export interface OpenUi {
  readonly bundles: UiBundles;
  /** Entries that could not be built. Empty: all is well. */
  readonly failures: readonly HeddleError[];
}

/**
 * Build everything that `ui` of langgraph.json names (docs/wire/langgraph-api.md §2.12).
 * @param options.files component files by id, relative to `cwd`
 * @param options.shared `ui_config.shared`: modules that the page supplies
 * @param options.watch build for development, and again when a local source changes; an entry that then fails keeps its
 * old version
 */
export async function openUi(options: {
  readonly files: Readonly<Record<string, string>>;
  readonly shared: readonly string[];
  readonly cwd: string;
  readonly watch: boolean;
  readonly logger: Logger;
}): Promise<OpenUi> {
  const { shared, cwd, watch, logger } = options;
  const entries = Object.entries(options.files).map(([id, file]) => {
    const source: UiSource = { id, path: file, file: path.resolve(cwd, file) };
    return new UiEntry(source, () => bundleUi(source, { cwd, shared, development: watch }), logger);
  });
  await Promise.all(entries.map((entry) => entry.open(watch)));
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  return {
    bundles: {
      get: (id) => byId.get(id)?.bundle() ?? null,
      close: async () => void (await Promise.all(entries.map((entry) => entry.close()))),
    },
    failures: entries.flatMap(({ failure }) => failure ?? []),
  };
}

/** One bundle and its rebuilding: one build at a time, a change during a build leads to another. */
class UiEntry {
  readonly id: string;
  failure: HeddleError | null = null;
  readonly #source: UiSource;
  readonly #build: () => Promise<UiBuild>;
  readonly #logger: Logger;
  #current: UiBundle | null = null;
  #inputs: ReadonlySet<string> = new Set();
  #watcher: SourceWatcher | null = null;
  #building: Promise<void> | null = null;
  #again = false;
  #closed = false;

  constructor(source: UiSource, build: () => Promise<UiBuild>, logger: Logger) {
    this.id = source.id;
    this.#source = source;
    this.#build = build;
    this.#logger = logger;
  }

  async open(watch: boolean): Promise<void> {
    const since = Date.now();
    await this.#rebuild();
    if (!watch) return;
    this.#watcher = createSourceWatcher({ logger: this.#logger, onChange: () => this.#changed() });
    await this.#follow(since);
  }

  /** @throws HeddleError `UI_BUILD_FAILED` */
  bundle(): UiBundle {
    if (this.#current !== null) return this.#current;
    throw this.failure ?? new HeddleError("UI_BUILD_FAILED");
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    await this.#building;
  }

  #changed(): void {
    this.#again = true;
    this.#building ??= this.#loop().finally(() => (this.#building = null));
  }

  async #loop(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      const since = Date.now();
      const before = this.#current;
      const failureBefore = this.failure?.message;
      await this.#rebuild();
      if (this.#current !== before) this.#logger.info({ ui: this.id }, `Rebuilt the UI of ${this.id}`);
      if (this.failure !== null && this.failure.message !== failureBefore) {
        this.#logger.error({ ui: this.id }, this.failure.message);
      }
      await this.#follow(since);
    }
  }

  async #rebuild(): Promise<void> {
    const build = await this.#build().catch((error: unknown) => ({ thrown: error, inputs: this.#inputs }));
    this.#inputs = "bundle" in build ? build.inputs : new Set([...this.#inputs, ...build.inputs]);
    if ("bundle" in build) {
      this.failure = null;
      if (!isSame(build.bundle, this.#current)) this.#current = build.bundle;
    } else {
      this.failure = uiError(this.#source, "errors" in build ? buildReason(build.errors) : thrownReason(build.thrown));
    }
  }

  async #follow(since: number): Promise<void> {
    const files = new Set(this.#inputs);
    for (const config of await tsconfigFiles(this.#source.file)) files.add(config.path);
    await this.#watcher?.follow(files, { since, anyFile: this.failure !== null });
  }
}

function uiError(source: UiSource, reason: ReturnType<typeof buildReason> & { readonly cause?: unknown }): HeddleError {
  const place = reason.position === undefined ? "" : `${formatPosition(reason.position)}: `;
  return new HeddleError("UI_BUILD_FAILED", {
    message: `Failed to build the UI of "${source.id}" (${source.path}): ${place}${reason.message}`,
    details: { id: source.id, path: source.path, ...reason.position },
    ...(reason.cause === undefined ? {} : { cause: reason.cause }),
  });
}

function thrownReason(error: unknown): { readonly message: string; readonly cause: unknown } {
  return { message: error instanceof Error ? error.message : String(error), cause: error };
}

function isSame(one: UiBundle, other: UiBundle | null): boolean {
  const hashes = (bundle: UiBundle): string => [bundle.script, ...bundle.styles].map(({ hash }) => hash).join();
  return other !== null && hashes(one) === hashes(other);
}
