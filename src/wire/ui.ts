import { z } from "zod";
import { type UiBundle, type UiFile, uiGlobal } from "../core/ui.js";
import { decode } from "./decode.js";
import type { Query } from "./query.js";
import { text } from "./schema.js";

/** Body of `POST /ui/{graph_id}` (docs/wire/langgraph-api.md §2.12). */
export const uiComponentBody = z.object({ name: text }).meta({ id: "UiComponent" });

/** `v` is the hash of the file that the page was told of. */
export const uiFileQuery = z.object({ v: z.string() }).partial();

export function decodeUiComponent(body: unknown): { readonly name: string } {
  return decode(uiComponentBody, body);
}

export function decodeUiFile(query: Query): { readonly hash: string | null } {
  return { hash: decode(uiFileQuery, query).v ?? null };
}

/** Hosts that a page reaches without TLS, whatever its own scheme is. */
const LOOPBACK = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/;

/**
 * The fragment that `LoadExternalComponent` puts into its shadow root: styles, and a script that renders one component
 * there. `{{shadowRootId}}` is the client's to fill in.
 * @param params.url of the request: files lie below it, under whatever prefix it came by
 */
export function encodeUiFragment(params: {
  readonly bundle: UiBundle;
  readonly name: string;
  readonly url: string;
}): string {
  const { bundle, name, url } = params;
  const { host, pathname } = new URL(url);
  const folder = pathname.replace(/\/[^/]+\/?$/, `/${encodeURIComponent(bundle.id)}`);
  const origin = `${LOOPBACK.test(host) ? "http:" : ""}//${host}`;
  const addressOf = (file: UiFile): string => escaped(`${origin}${folder}/${file.name}?v=${file.hash}`);
  // A brace in the name could pass for the client's placeholder.
  const quoted = JSON.stringify(name).replaceAll("{", String.raw`\u007b`);
  const call = `${uiGlobal(bundle.id)}.render(${escaped(quoted)}, "{{shadowRootId}}")`;
  return [
    ...bundle.styles.map((file) => `<link rel="stylesheet" href="${addressOf(file)}" />`),
    `<script src="${addressOf(bundle.script)}" onload='${call}'></script>`,
  ].join("\n");
}

/** For an attribute in single quotes, or in double quotes when the text has none. */
function escaped(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("'", "&#39;");
}
