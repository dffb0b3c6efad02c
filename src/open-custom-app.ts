import type { ResolvedCustomApp } from "./config/resolved-config.js";
import { asCustomApp, type CustomApp } from "./http/custom-app.js";

/**
 * The custom app of a configuration; a file is loaded as graph files are.
 * @throws HeddleError `CONFIG_INVALID` when it can't be loaded, or is no Hono app
 */
export async function openCustomApp(custom: ResolvedCustomApp | null): Promise<CustomApp | null> {
  if (custom === null) return null;
  const { source, middlewareOrder, isAuthenticated } = custom;
  if (source.kind === "value") return { app: asCustomApp(source.value, "the value"), middlewareOrder, isAuthenticated };
  // Loaded only when needed: it brings esbuild.
  const { loadExport } = await import("./engine/loading/load-export.js");
  const { value } = await loadExport({ field: "http.app", path: source.path, cwd: source.cwd });
  return { app: asCustomApp(value, source.path), middlewareOrder, isAuthenticated };
}
