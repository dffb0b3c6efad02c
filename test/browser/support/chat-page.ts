import { Client } from "@langchain/langgraph-sdk";
import type { BrowserContext, Locator, Page } from "playwright-core";
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
  /** Resolves when the last answer is this, and no run goes on. */
  answerIs(text: string): Promise<void>;
  /** Resolves when no run goes on. */
  idle(): Promise<void>;
  threadId(): string;
  /** Resolves when the server says that the newest run was cancelled. */
  cancelled(): Promise<void>;
  /** What the server has: must say the same as what is shown. */
  agreesWithServer(): Promise<void>;
  /** All that was to be seen since the page was loaded, in order. */
  moments(): Promise<Moment[]>;
  close(): Promise<void>;
}

/** What was to be seen at one moment. */
export interface Moment {
  /** The last answer. */
  readonly answer: string;
  /** What each subagent says. */
  readonly subagents: readonly string[];
  /** Statuses of the todos. */
  readonly todos: readonly string[];
}

/** Records what a person sees, also what is gone a moment later. */
const RECORDER = `
  window.moments = [];
  const texts = (selector) => [...document.querySelectorAll(selector)].map((element) => element.textContent);
  new MutationObserver(() => {
    window.moments.push({
      answer: texts(".message.ai > .text").at(-1) ?? "",
      subagents: texts(".subagent > div > .text"),
      todos: [...document.querySelectorAll(".todos li")].map((element) => element.dataset.status),
    });
  }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
`;

export async function openChat(params: {
  readonly context: BrowserContext;
  /** Where the page is. */
  readonly site: string;
  /** Where the server is. */
  readonly api: string;
  readonly transport: Transport;
}): Promise<ChatPage> {
  const { context, site, api, transport } = params;
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
        { polling: 20 },
      );
    },
    async answerIs(text) {
      try {
        await page.waitForFunction(
          (expected) => [...document.querySelectorAll(".message.ai > .text")].at(-1)?.textContent === expected,
          text,
          { polling: 20 },
        );
      } catch {
        expect((await shown()).at(-1)).toEqual({ role: "ai", text });
      }
      await page.locator("main[data-running=false][data-loading=false]").waitFor();
    },
    async cancelled() {
      const [run] = await client.runs.list(threadId());
      const status = async (): Promise<unknown> => run && (await client.runs.get(threadId(), run.run_id)).status;
      await expect.poll(status, { interval: 20, timeout: 5000 }).toBe("interrupted");
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
    moments: () => page.evaluate(() => (globalThis as unknown as { moments: Moment[] }).moments),
    async close() {
      await page.close();
      expect(crashes).toEqual([]);
    },
  };
}
