import { Client } from "@langchain/langgraph-sdk";
import path from "node:path";
import type { Browser, BrowserContext } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe } from "vitest";
import { answeringScenarios } from "../scenarios/answering.js";
import { branchScenarios } from "../scenarios/branches.js";
import { connectionScenarios } from "../scenarios/connection.js";
import { reviewScenarios } from "../scenarios/review.js";
import { subagentScenarios } from "../scenarios/subagents.js";
import { type ChatPage, openChat, type Transport } from "./chat-page.js";
import { hasChromium, startChromium } from "./chromium.js";
import type { Servers } from "./servers.js";
import { serveFolder } from "./static-server.js";

/** What a scenario has: a fresh page without a thread, over the transport of its suite. */
export interface Stage {
  chat: ChatPage;
  servers: Servers;
  client: Client;
}

const TRANSPORTS: readonly Transport[] = ["runs", "sse", "websocket"];

/** The whole suite on one storage: every scenario over every transport. */
export function chatSuite(storage: string, serve: () => Promise<Servers>): void {
  describe.skipIf(!hasChromium())(`the React chat on ${storage}`, () => {
    const stage = {} as Stage;
    let browser: Browser;
    let site: { readonly url: string; close(): Promise<void> };

    beforeAll(async () => {
      [browser, site, stage.servers] = await Promise.all([
        startChromium(),
        serveFolder(path.join(process.env["CHAT_EXAMPLE"] as string, "dist")),
        serve(),
      ]);
      stage.client = new Client({ apiUrl: stage.servers.url });
    });

    afterAll(async () => {
      await browser.close();
      await site.close();
      await stage.servers.close();
    });

    describe.each(TRANSPORTS)("over %s", (transport) => {
      let context: BrowserContext;

      beforeAll(async () => {
        context = await browser.newContext({ viewport: { width: 1000, height: 800 } });
        context.setDefaultTimeout(15_000);
      });

      afterAll(() => context.close());

      beforeEach(async () => {
        stage.chat = await openChat({ context, site: site.url, api: stage.servers.url, transport });
      });

      afterEach(async () => {
        stage.servers.network.heal();
        await stage.chat.close();
      });

      answeringScenarios(stage);
      reviewScenarios(stage);
      branchScenarios(stage);
      connectionScenarios(stage);
      subagentScenarios(stage);
    });
  });
}
