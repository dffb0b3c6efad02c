import { createHash } from "node:crypto";
import type { ResolvedStoreIndex } from "./config/resolved-config.js";
import type { Clock } from "./core/clock.js";
import { HeddleError } from "./core/errors.js";
import { parseTextPath } from "./core/item-text.js";
import { createEmbedder } from "./embeddings/create-embedder.js";
import type { ItemIndex } from "./embeddings/indexed-items.js";
import { openProvider } from "./embeddings/providers.js";
import { type TextModel, toTextModel } from "./embeddings/text-model.js";

const FIELD = "store.index.embed";

/**
 * Open the semantic index that a configuration names; calls the model not yet.
 * @throws HeddleError `CONFIG_INVALID` (nothing there, no model, a key that it misses, dims that it says are others),
 * `DEPENDENCY_MISSING` with the command that installs a provider's package
 */
export async function openItemIndex(config: ResolvedStoreIndex | null, clock: Clock): Promise<ItemIndex | null> {
  if (config === null) return null;
  const { dims, fields, version, maxTexts, concurrency, timeoutMs } = config;
  const model = await openModel(config.embed);
  if (model.dims !== null && model.dims !== dims) {
    throw new HeddleError("CONFIG_INVALID", {
      message: `store.index.dims: is ${dims}, and the model (${FIELD}) gives vectors of ${model.dims} numbers. Make them equal.`,
    });
  }
  return {
    embedder: createEmbedder(model, { dims, maxTexts, concurrency, timeoutMs, clock }),
    fields: fields.map((text) => {
      const path = parseTextPath(text);
      if ("problem" in path)
        throw new HeddleError("CONFIG_INVALID", { message: `store.index.fields: ${path.problem}` });
      return path;
    }),
    fingerprint: createHash("sha256")
      .update(JSON.stringify([model.id, dims, fields, version]))
      .digest("hex")
      .slice(0, 16),
  };
}

async function openModel(embed: ResolvedStoreIndex["embed"]): Promise<TextModel> {
  switch (embed.kind) {
    case "value":
      return toTextModel(embed.value, FIELD);
    case "file": {
      // Loaded only when needed: it brings esbuild.
      const { loadExport } = await import("./engine/loading/load-export.js");
      const { value } = await loadExport({ field: FIELD, path: embed.path, cwd: embed.cwd });
      return toTextModel(value, `${FIELD} (${embed.path})`, embed.path);
    }
    default:
      return toTextModel(await openProvider({ field: FIELD, ...embed }), FIELD, `${embed.provider}:${embed.model}`);
  }
}
