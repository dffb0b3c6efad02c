import { createHash } from "node:crypto";
import type { ResolvedStoreIndex } from "./config/resolved-config.js";
import type { Clock } from "./core/clock.js";
import type { Embedder } from "./core/embedder.js";
import { HeddleError, isHeddleError } from "./core/errors.js";
import { parseTextPath } from "./core/item-text.js";
import type { Logger } from "./core/logger.js";
import { createEmbedder } from "./embeddings/create-embedder.js";
import type { ItemIndex } from "./embeddings/indexed-items.js";
import { openProvider } from "./embeddings/providers.js";
import { type TextModel, toTextModel } from "./embeddings/text-model.js";

const FIELD = "store.index.embed";

/** An index whose model may be watched. */
export interface OpenItemIndex extends ItemIndex {
  close(): Promise<void>;
}

/** How to open one. */
export interface ItemIndexOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * Load the file of `store.index.embed` again when its sources change. Vectors that are stored stay: whoever wants them made anew
   * changes `store.index.version`.
   */
  readonly watch: boolean;
}

/**
 * Open the semantic index that a configuration names; calls the model not yet.
 * @throws HeddleError `CONFIG_INVALID` (nothing there, no model, a key that it misses, dims that it says are others),
 * `DEPENDENCY_MISSING` with the command that installs a provider's package
 */
export async function openItemIndex(
  config: ResolvedStoreIndex | null,
  options: ItemIndexOptions,
): Promise<OpenItemIndex | null> {
  if (config === null) return null;
  const { dims, fields, version } = config;
  const { embedder, close } = await openEmbedder(config, options);
  return {
    embedder,
    close,
    fields: fields.map((text) => {
      const path = parseTextPath(text);
      if ("problem" in path)
        throw new HeddleError("CONFIG_INVALID", { message: `store.index.fields: ${path.problem}` });
      return path;
    }),
    fingerprint: createHash("sha256")
      .update(JSON.stringify([embedder.id, dims, fields, version]))
      .digest("hex")
      .slice(0, 16),
  };
}

type Embed = ResolvedStoreIndex["embed"];

async function openEmbedder(
  config: ResolvedStoreIndex,
  options: ItemIndexOptions,
): Promise<{ readonly embedder: Embedder; close(): Promise<void> }> {
  const { dims, maxTexts, concurrency, timeoutMs, embed } = config;
  const { clock } = options;
  const embedderOf = (model: TextModel): Embedder => {
    if (model.dims !== null && model.dims !== dims) {
      throw new HeddleError("CONFIG_INVALID", {
        message: `store.index.dims: is ${dims}, and the model (${FIELD}) gives vectors of ${model.dims} numbers. Make them equal.`,
      });
    }
    return createEmbedder(model, { dims, maxTexts, concurrency, timeoutMs, clock });
  };
  if (embed.kind === "file") return openFile(embed, embedderOf, options);
  const model =
    embed.kind === "value"
      ? toTextModel(embed.value, FIELD)
      : toTextModel(await openProvider({ field: FIELD, ...embed }), FIELD, `${embed.provider}:${embed.model}`);
  return { embedder: embedderOf(model), close: async () => {} };
}

/** The model of a file; with `watch` the newest one that works. */
async function openFile(
  { path, cwd }: Extract<Embed, { kind: "file" }>,
  embedderOf: (model: TextModel) => Embedder,
  { watch, logger }: ItemIndexOptions,
): Promise<{ readonly embedder: Embedder; close(): Promise<void> }> {
  // Loaded only when needed: it brings esbuild.
  const { loadExport } = await import("./engine/loading/load-export.js");
  const load = async (version: number) => {
    const { value, inputs } = await loadExport({ field: FIELD, path, cwd, version });
    try {
      return { embedder: embedderOf(toTextModel(value, `${FIELD} (${path})`, path)), inputs };
    } catch (error) {
      // The files to watch for its mend.
      throw isHeddleError(error) ? new HeddleError(error.code, { message: error.message, details: { inputs } }) : error;
    }
  };
  const first = await load(0);
  if (!watch) return { embedder: first.embedder, close: async () => {} };
  const { watchVersion } = await import("./engine/loading/watched-version.js");
  const watched = await watchVersion({ name: FIELD, first, load, logger });
  const { id, dims } = first.embedder;
  return {
    embedder: {
      id,
      dims,
      embedTexts: (texts) => watched.current().embedder.embedTexts(texts),
      embedQuery: (text) => watched.current().embedder.embedQuery(text),
    },
    close: () => watched.close(),
  };
}
