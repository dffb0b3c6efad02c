import { uiGlobal } from "../core/ui.js";

/**
 * The script around a component file: defines the global whose `render` the page's `<script onload>` calls. It hands
 * component and place to `LoadExternalComponent`, which renders it by a portal into the shadow root, where the bundle's
 * styles are (@langchain/langgraph-sdk 1.15.0, dist/react-ui/client.js).
 * @param params.file absolute; its default export holds components by name
 */
export function uiEntry(params: { readonly id: string; readonly file: string }): string {
  const { id, file } = params;
  const name = uiGlobal(id);
  return `import components from ${JSON.stringify(file)};

function render(name, shadowRootId) {
  const root = document.getElementById(shadowRootId)?.shadowRoot;
  // The message may have left the page while the script was on its way.
  if (root == null) return;
  if (components == null || !Object.hasOwn(components, name)) {
    const known = Object.keys(components ?? {}).join(", ") || "none";
    console.error("UI " + ${JSON.stringify(JSON.stringify(id))} + " has no component " + JSON.stringify(name) + "; it has: " + known);
    return;
  }
  // React's strict mode runs effects twice: both meet in one place.
  let place = root.querySelector("[data-lgui]");
  if (place === null) {
    place = document.createElement("div");
    place.setAttribute("data-lgui", "");
    root.appendChild(place);
  }
  globalThis[Symbol.for("LGUI_EXT_STORE")].respond(shadowRootId, components[name], place);
}

globalThis[${JSON.stringify(name)}] = { render };
`;
}
