import { Client } from "@langchain/langgraph-sdk";
import { afterEach, expect, it } from "vitest";
import { until } from "../webhooks/receiver.js";
import { createProject, graphFile, type Project, type RunningHeddle, startHeddle } from "./heddle.js";

const projects: Project[] = [];
const running: RunningHeddle[] = [];
afterEach(() => {
  for (const { child } of running.splice(0)) child.kill("SIGKILL");
  for (const created of projects.splice(0)) created.remove();
});

const embed = (x: number, y: number) =>
  `export const embed = async (texts: string[]) => texts.map((text) => text === "query" ? [${x}, ${y}] : [1, 0]);\n`;

it("heddle dev loads the file of store.index.embed again when it changes", { timeout: 60_000 }, async () => {
  const manifest = {
    graphs: { agent: "./agent.ts:graph" },
    store: { index: { dims: 2, embed: "./embed.ts:embed" } },
  };
  const created = createProject(manifest, { "agent.ts": graphFile("hello"), "embed.ts": embed(1, 0) });
  projects.push(created);
  const server = startHeddle(["dev", "--port", "0", "--no-browser"], { cwd: created.dir });
  running.push(server);
  const { url } = await server.entry(/^listening$/);
  const client = new Client({ apiUrl: String(url), callerOptions: { maxRetries: 0 } });
  await client.store.putItem(["notes"], "a", { text: "one" });
  const score = async () => (await client.store.searchItems(["notes"], { query: "query" })).items[0]?.score;
  await until(async () => (await score()) === 1);
  created.write("embed.ts", embed(0, 1));
  await server.entry(/^Reloaded store\.index\.embed$/);
  expect(await score()).toBe(0);
  expect(await server.stop()).toBe(0);
});
