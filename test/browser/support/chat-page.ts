import { Client } from "@langchain/langgraph-sdk";
import type { Browser, Locator, Page } from "playwright-core";
import { expect } from "vitest";

export type Transport = "runs" | "sse" | "websocket";

/** A message as a person sees it. */
export interface Seen {
  readonly role: "human" | "ai";
  readonly text: string;
}

/** The page of examples/chat, used as a person would. */
export interface ChatPage {
  readonly page: Page;
  ask(text: string): Promise<void>;
  press(name: string): Promise<void>;
  /** Questions and answers with a text, in order. */
  messages(): Promise<Seen[]>;
  answer(): Locator;
  /** Resolves when the last answer has at least so many words. */
  answered(words: number): Promise<void>;
  /** Resolves when no run goes on. */
  idle(): Promise<void>;
  threadId(): string;
  /** What the server has: must say the same as what is shown. */
  agreesWithServer(): Promise<void>;
  /** Every text that the last answer had since the page was loaded, in order. */
  textsOfLastAnswer(): Promise<string[]>;
  close(): Promise<void>;
}

/** Records what a person sees of the last answer, also what is gone a moment later. */
const RECORDER = `
  window.seen = [];
  new MutationObserver(() => {
    const text = [...document.querySelectorAll(".message.ai > .text")].at(-1)?.textContent ?? "";
    if (window.seen.at(-1) !== text) window.seen.push(text);
  }).observe(document, { subtree: true, childList: true, characterData: true });
`;

export async function openChat(params: {
  readonly browser: Browser;
  /** Where the page is. */
  readonly site: string;
  /** Where the server is. */
  readonly api: string;
  readonly transport: Transport;
}): Promise<ChatPage> {
  const { browser, site, api, transport } = params;
  const context = await browser.newContext({ viewport: { width: 1000, height: 800 } });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const crashes: unknown[] = [];
  page.on("pageerror", (error) => crashes.push(error));
  await page.addInitScript(RECORDER);
  await page.goto(`${site}?${new URLSearchParams({ api, transport })}`);
  const client = new Client({ apiUrl: api });
  const threadId = (): string => new URL(page.url()).searchParams.get("thread") ?? "";
  const shown = async (): Promise<Seen[]> =>
    page.locator(".message > .text").evaluateAll((texts) =>
      texts.map((text) => ({
        role: text.parentElement?.classList.contains("human") === true ? "human" : "ai",
        text: text.textContent ?? "",
      })),
    );
  return {
    page,
    threadId,
    messages: shown,
    async ask(text) {
      await page.getByRole("textbox", { name: "Message", exact: true }).fill(text);
      await page.getByRole("button", { name: "Send" }).click();
    },
    press: (name) => page.getByRole("button", { name, exact: true }).last().click(),
    answer: () => page.locator(".message.ai > .text").last(),
    async answered(words) {
      await page.waitForFunction(
        (least) => {
          const text = [...document.querySelectorAll(".message.ai > .text")].at(-1)?.textContent ?? "";
          return text.split(" ").length >= least;
        },
        words,
        { polling: 10 },
      );
    },
    async idle() {
      await page.locator("main[data-running=false][data-loading=false]").waitFor();
    },
    async agreesWithServer() {
      const { values } = await client.threads.getState<{ messages: { type: string; content: string }[] }>(threadId());
      const stored = values.messages.flatMap(({ type, content }): Seen[] =>
        type === "tool" || content === "" ? [] : [{ role: type === "human" ? "human" : "ai", text: content }],
      );
      expect(await shown()).toEqual(stored);
    },
    textsOfLastAnswer: () => page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen),
    async close() {
      await context.close();
      expect(crashes).toEqual([]);
    },
  };
}
