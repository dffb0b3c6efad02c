import { isHeddleError, HeddleError } from "../../core/errors.js";
import { isUuid } from "../../core/ids.js";
import type { UiBundle, UiFile } from "../../core/ui.js";
import { decodeUiComponent, decodeUiFile, encodeUiFragment, uiComponentBody, uiFileQuery } from "../../wire/ui.js";
import type { Exchange } from "../exchange.js";
import type { HttpDeps } from "../http-deps.js";
import type { Route } from "../route.js";

const FOREVER = "public, max-age=31536000, immutable";

/** Generative UI (docs/wire/langgraph-api.md §2.12). */
export const uiRoutes: readonly Route[] = [
  {
    method: "post",
    path: "/ui/{graph_id}",
    group: "ui",
    summary: "HTML that loads one component of a graph",
    body: uiComponentBody,
    answer: { status: 200, description: "A fragment of links and a script", content: "html" },
    errors: [404],
    async handle(exchange, deps) {
      const { name } = decodeUiComponent(await exchange.body());
      const bundle = await bundleOf(exchange, deps);
      return new Response(encodeUiFragment({ bundle, name, url: exchange.request.url }), {
        // Says which version is current: never to be kept.
        headers: { ...exchange.headers, "content-type": "text/html; charset=utf-8", "cache-control": "no-store" },
      });
    },
  },
  {
    method: "get",
    path: "/ui/{graph_id}/{file}",
    group: "ui",
    summary: "Scripts and styles of a graph's components",
    query: uiFileQuery,
    answer: { status: 200, description: "A file", content: "file" },
    errors: [404],
    // Script and link elements can't send a key.
    isPublic: true,
    handle(exchange, { ui }) {
      const { hash } = decodeUiFile(exchange.query);
      const bundle = ui.get(exchange.param("graph_id"));
      const name = exchange.param("file");
      const file = bundle && [bundle.script, ...bundle.styles].find((candidate) => candidate.name === name);
      if (!file) throw new HeddleError("NOT_FOUND", { message: "File not found" });
      return fileResponse(exchange, file, hash === file.hash);
    },
  },
];

/** By the id that `ui` names, or by the id of an assistant of such a graph, which is what some pages have. */
async function bundleOf(exchange: Exchange, { ui, services }: HttpDeps): Promise<UiBundle> {
  const id = exchange.param("graph_id");
  const bundle = ui.get(id) ?? (isUuid(id) ? await bundleOfAssistant() : null);
  if (bundle === null) throw new HeddleError("NOT_FOUND", { message: `UI not found for agent "${id}"` });
  return bundle;

  async function bundleOfAssistant(): Promise<UiBundle | null> {
    try {
      const { graphId } = await services.assistants.get(exchange.caller, id);
      return ui.get(graphId);
    } catch (error) {
      if (isHeddleError(error) && error.code === "ASSISTANT_NOT_FOUND") return null;
      throw error;
    }
  }
}

function fileResponse(exchange: Exchange, file: UiFile, isPinned: boolean): Response {
  const etag = `"${file.hash}"`;
  const headers = {
    ...exchange.headers,
    etag,
    "cache-control": isPinned ? FOREVER : "no-cache",
    "x-content-type-options": "nosniff",
  };
  const known = exchange.header("if-none-match")?.split(",") ?? [];
  if (known.some((tag) => tag.trim().replace(/^W\//, "") === etag)) return new Response(null, { status: 304, headers });
  return new Response(file.text, { headers: { ...headers, "content-type": file.type } });
}
