import type { ResolvedConfig } from "./config/resolved-config.js";
import type { Engine } from "./core/engine.js";
import { HeddleError } from "./core/errors.js";
import type { Logger } from "./core/logger.js";
import { settledWithin } from "./core/settled-within.js";
import type { CustomApp } from "./http/custom-app.js";
import { openAuth, type OpenAuth } from "./open-auth.js";
import { openCustomApp } from "./open-custom-app.js";
import { openGraphs, type OpenGraphs } from "./open-graphs.js";
import { openGuard, type OpenGuard } from "./open-guard.js";
import { type OpenItemIndex, openItemIndex } from "./open-item-index.js";
import { openStorage, type OpenStorage, type StorageDrivers } from "./open-storage.js";
import { systemClock } from "./runtime/system-clock.js";
import type { OpenUi } from "./ui/open-ui.js";

/** How long each part may take to close: a stop must not hang on what is away. */
export const CLOSE_WITHIN_MS = 5_000;

/** What a server is made of before anything runs. */
export interface Parts {
  readonly graphs: OpenGraphs;
  readonly ui: OpenUi;
  readonly storage: OpenStorage;
  readonly auth: OpenAuth;
  readonly guard: OpenGuard;
  readonly customApp: CustomApp | null;
  readonly itemIndex: OpenItemIndex | null;
}

/** Graphs and storage side by side, since neither needs the other; then auth. If one fails the others are closed again. */
export async function openParts(
  config: ResolvedConfig,
  options: {
    readonly logger: Logger;
    readonly allowGraphFailures?: boolean;
    readonly drivers?: StorageDrivers;
    readonly watch: boolean;
    readonly studio: boolean;
    readonly onReload: () => Promise<void>;
  },
): Promise<Parts> {
  const { logger, watch, studio, drivers = {}, onReload } = options;
  const [graphs, ui, storage] = await Promise.allSettled([
    openGraphs(config, { watch, logger, onReload }),
    openComponents(config, { watch, logger }),
    openStorage(config, { clock: systemClock, logger, drivers }),
  ]);
  let closeOthers = async (): Promise<void> => {};
  const close = async () => {
    if (graphs.status === "fulfilled") await graphs.value.source.close();
    if (ui.status === "fulfilled") await ui.value.bundles.close();
    if (storage.status === "fulfilled") await storage.value.close();
  };
  try {
    if (graphs.status === "rejected") throw graphs.reason;
    if (ui.status === "rejected") throw ui.reason;
    if (storage.status === "rejected") throw storage.reason;
    const failures = [...graphs.value.failures.map(({ error }) => error), ...ui.value.failures];
    if (failures.length > 0 && options.allowGraphFailures !== true) throw loadError(failures);
    const auth = await openAuth(config.auth, {
      keys: storage.value.metadata.keys,
      clock: systemClock,
      logger,
      watch,
      studio,
    });
    closeOthers = () => auth.close();
    const customApp = await openCustomApp(config.http.app);
    const itemIndex = await openItemIndex(config.store.index, { clock: systemClock, logger, watch });
    closeOthers = async () => {
      await itemIndex?.close();
      await auth.close();
    };
    const guard = await openGuard(config, { clock: systemClock, logger });
    return { graphs: graphs.value, ui: ui.value, storage: storage.value, auth, guard, customApp, itemIndex };
  } catch (error) {
    await closeOthers();
    await close();
    throw error;
  }
}

/** What `ui` names, where this process serves it. The bundler is loaded only when there is something to bundle. */
async function openComponents(
  { ui: { files, dir, shared }, role, http }: ResolvedConfig,
  options: { readonly watch: boolean; readonly logger: Logger },
): Promise<OpenUi> {
  if (Object.keys(files).length === 0 || role === "worker" || http.disabled.ui) {
    return { bundles: { get: () => null, close: async () => {} }, failures: [] };
  }
  const { openUi } = await import("./ui/open-ui.js");
  return openUi({ files, shared, cwd: dir, ...options });
}

function loadError(errors: readonly HeddleError[]): HeddleError {
  const [first] = errors;
  if (first !== undefined && errors.length === 1) return first;
  return new HeddleError(first?.code ?? "GRAPH_LOAD_FAILED", {
    message: errors.map(({ message }) => message).join("\n"),
  });
}

/** In the reverse order of their opening. */
export async function closeParts(
  parts: Pick<Parts, "ui" | "auth" | "guard" | "storage" | "itemIndex"> & {
    readonly engine: Engine;
    readonly logger: Logger;
  },
): Promise<void> {
  const { engine, ui, auth, guard, storage, itemIndex, logger } = parts;
  if (!(await settledWithin(systemClock, CLOSE_WITHIN_MS, engine.close()))) {
    logger.warn({}, "closing without the graphs");
  }
  await ui.bundles.close();
  await itemIndex?.close();
  await auth.close();
  await guard.close();
  await storage.close();
}
