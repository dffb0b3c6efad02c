// @vitest-environment happy-dom
// @vitest-environment-options { "settings": { "enableJavaScriptEvaluation": true, "enableCSSFileLoading": true, "suppressInsecureJavaScriptEnvironmentWarning": true } }
import { useStream } from "@langchain/langgraph-sdk/react";
import { LoadExternalComponent, experimental_loadShare, type UIMessage } from "@langchain/langgraph-sdk/react-ui";
import { createElement, StrictMode } from "react";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { runContextualScripts } from "./support/contextual-scripts.js";
import { poll, renderHook, type RenderedHook } from "./support/page.js";
import { serveProject } from "./support/served-project.js";

let server: Awaited<ReturnType<typeof serveProject>>;
const pages: { unmount(): Promise<void> }[] = [];
beforeAll(async () => {
  runContextualScripts();
  server = await serveProject();
  experimental_loadShare("@acme/shared", { shared: "of the page" });
});
afterEach(async () => {
  for (const page of pages.splice(0)) await page.unmount();
});
afterAll(() => server.close());

interface State extends Record<string, unknown> {
  readonly messages: { readonly id?: string; readonly type: string; readonly content: unknown }[];
  readonly ui?: UIMessage[];
}

/** A chat that shows the components which the graph sends, as agent-chat-ui does. */
async function openPage(assistantId = "chat") {
  const page = await renderHook(
    () => useStream<State>({ apiUrl: server.url, assistantId }),
    (stream) =>
      createElement(
        StrictMode,
        null,
        (stream.values.ui ?? []).map((message) =>
          createElement(LoadExternalComponent, {
            key: message.id,
            // A stream of one state is handed to a component that takes any.
            stream: stream as unknown as ReturnType<typeof useStream>,
            message,
            meta: { unit: "°C" },
            fallback: "loading",
          }),
        ),
      ),
  );
  pages.push(page);
  return page;
}

const say = (content: string) => ({ messages: [{ type: "human", content }] });
const roots = (): ShadowRoot[] =>
  [...document.querySelectorAll("div[id^=child-shadow]")].flatMap((element) => element.shadowRoot ?? []);
const shown = (): string =>
  roots()
    .map((root) => root.querySelector("[data-lgui]")?.textContent ?? "")
    .join("|");

async function ask(page: RenderedHook<ReturnType<typeof useStream<State>>>, text: string): Promise<void> {
  await page.current.submit(say(text));
  await page.until((stream) => !stream.isLoading && (stream.values.ui ?? []).length > 0, "a ui message");
}

it("renders a component of the graph in the page's React, with styles, context, shared modules and state", async () => {
  const page = await openPage();
  await ask(page, "weather in Oslo");
  expect(page.current.error).toBeUndefined();
  await poll(
    () => shown() !== "",
    "the component",
    () => document.body.innerHTML,
  );
  expect(shown()).toBe("Weather in Oslo: 21 °C, of the page, clicked 0");
  const [root] = roots();
  // Strict mode asks twice; there is one place and one component.
  expect(root?.querySelectorAll("button")).toHaveLength(1);
  expect(root?.querySelector("link")?.getAttribute("href")).toMatch(/\/ui\/chat\/entrypoint\.css/);
  expect(root?.querySelector("img")?.getAttribute("src")).toMatch(/^data:image\/svg/);
  root?.querySelector("button")?.dispatchEvent(new MouseEvent("click", { bubbles: true, composed: true }));
  await poll(() => shown().endsWith("clicked 1"), "the click", shown);
  // The state keeps the message, bound to the answer it belongs to.
  const [ui] = page.current.values.ui ?? [];
  expect(ui?.metadata).toMatchObject({ id: page.current.values.messages.at(-1)?.id });
});

it("finds the components by the assistant's id too", async () => {
  const [assistant] = await server.client.assistants.search({ graphId: "chat" });
  const page = await openPage(assistant?.assistant_id);
  await ask(page, "weather in Rome");
  await poll(
    () => shown() !== "",
    "the component",
    () => document.body.innerHTML,
  );
  expect(shown()).toContain("Weather in Rome");
});

it("leaves the fallback and says so where the bundle has no such component", async () => {
  const complaints = vi.spyOn(console, "error").mockImplementation(() => {});
  const message = { type: "ui", id: "1", name: "toString", props: {}, metadata: {} } as unknown as UIMessage;
  const page = await renderHook(
    () => useStream<State>({ apiUrl: server.url, assistantId: "chat", initialValues: { messages: [] } }),
    (stream) =>
      createElement(LoadExternalComponent, {
        stream: stream as unknown as ReturnType<typeof useStream>,
        message,
        fallback: "loading",
      }),
  );
  pages.push(page);
  await poll(
    () => complaints.mock.calls.length > 0,
    "a complaint",
    () => document.body.innerHTML,
  );
  expect(complaints.mock.calls[0]?.[0]).toBe('UI "chat" has no component "toString"; it has: weather, plain');
  expect(document.body.textContent).toContain("loading");
  complaints.mockRestore();
});
