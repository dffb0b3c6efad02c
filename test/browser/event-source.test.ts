import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Annotation, START, StateGraph } from "@langchain/langgraph";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/app.js";
import { apiKey } from "../../src/auth/api-key.js";
import { listen } from "../../src/node/listen.js";
import { stateStore } from "../../src/protocols/state-store/index.js";
import { startTcpProxy } from "../support/tcp-proxy.js";
import { hasChromium, startChromium } from "./support/chromium.js";
import { serveFolder } from "./support/static-server.js";

const idle = new StateGraph(Annotation.Root({}))
  .addNode("idle", () => ({}))
  .addEdge(START, "idle")
  .compile();

/** Assertion 34 of docs/wire/state-store.md, by the `EventSource` of a real browser, on a page of another origin. */
describe.skipIf(!hasChromium())("the State Store in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startChromium();
  }, 60_000);
  afterAll(() => browser.close());

  it("34: EventSource hears changes, with its key in the URL, and catches up after the connection was lost", async () => {
    const server = await createApp({
      graphs: { idle },
      storage: "memory:",
      env: {},
      logLevel: "error",
      auth: apiKey(),
      protocols: [stateStore()],
    });
    const listening = await listen(server, { port: 0, host: "127.0.0.1" });
    const network = await startTcpProxy({ port: Number(new URL(listening.url).port) });
    const folder = await mkdtemp(join(tmpdir(), "heddle-page-"));
    await writeFile(join(folder, "index.html"), "<title>A page of another origin</title>");
    const pages = await serveFolder(folder);
    try {
      const { secret } = await server.apiKeys.create({ identity: "ada", permissions: ["*"] });
      const value = `${listening.url}/state-store/v1/state/order/status`;
      const through = value.replace(listening.url, `http://127.0.0.1:${network.port}`);
      const set = async (text: string): Promise<void> => {
        const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
        const { status } = await fetch(value, { method: "POST", headers, body: JSON.stringify({ value: text }) });
        expect(status).toBe(200);
      };
      const page = await browser.newPage();
      await page.goto(pages.url);
      const heard = (): Promise<readonly string[]> => page.evaluate("globalThis.heard ?? []");
      await page.evaluate(`new Promise((resolve, reject) => {
        globalThis.heard = [];
        const source = new EventSource(${JSON.stringify(`${through}/stream?api_key=${secret}`)});
        source.onopen = resolve;
        source.onerror = () => source.readyState === EventSource.CLOSED && reject(new Error("refused"));
        source.onmessage = ({ data, lastEventId }) => heard.push(lastEventId + " " + JSON.parse(data).newValue);
      })`);
      await set("paid");
      await expect.poll(heard, { timeout: 10_000 }).toEqual(["1 paid"]);
      network.cut();
      await set("lost");
      await set("sent");
      network.heal();
      await expect.poll(heard, { timeout: 20_000 }).toEqual(["1 paid", "3 sent"]);
      await page.close();
    } finally {
      await pages.close();
      await rm(folder, { recursive: true });
      await network.close();
      await listening.close();
      await server.close();
    }
  }, 60_000);
});
