import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { interrupt, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import { createApp } from "../../../src/app.js";
import type { Logger } from "../../../src/core/logger.js";
import { openwop } from "../../../src/protocols/openwop/index.js";
import { createInterruptLinks } from "../../../src/protocols/openwop/interrupts-snapshot.js";
import { tokenKey } from "../../../src/protocols/openwop/token-key.js";
import { signToken } from "../../../src/protocols/openwop/tokens.js";
import { createMemoryMetadataStore } from "../../../src/stores/memory/index.js";
import { createStoreRegistry } from "../../../src/stores/registry.js";
import { systemClock } from "../../../src/runtime/system-clock.js";
import { listen } from "../../../src/node/listen.js";
import { createStorage, until } from "../../support/server.js";
import { conformanceGraphs } from "./conformance-graphs.js";
import { wop } from "./wop.js";

/** An approval that must be given within half a second. */
const brief = new StateGraph(new StateSchema({}))
  .addNode("gate", () => {
    const data = { artifactId: "a", artifactType: "gate", title: "Quick!", actions: ["accept"] };
    interrupt({ kind: "approval", key: "gate", data, timeoutMs: 500 });
    return {};
  })
  .addEdge(START, "gate")
  .compile();

/** Lines of a server's log. */
function recorder(): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const write = (...said: unknown[]): void => void lines.push(JSON.stringify(said));
  const logger: Logger = { debug: write, info: write, warn: write, error: write };
  return { logger, lines };
}

async function serve(storage: string, logger: Logger) {
  const options = { graphs: { ...conformanceGraphs }, storage, env: {}, logger, protocols: [openwop()] };
  const app = await createApp(options);
  const listening = await listen(app, { port: 0, host: "127.0.0.1" });
  const close = async (): Promise<void> => {
    await listening.close();
    await app.close();
  };
  return { client: wop(`${listening.url}/openwop`), close };
}

describe("links to interrupts", () => {
  it("mount rule 1: begin with every prefix that the request came through", async () => {
    const app = await createApp({
      graphs: { ...conformanceGraphs },
      storage: "memory:",
      env: {},
      logLevel: "error",
      http: { basePath: "/agents" },
      protocols: [openwop({ path: "/wop" })],
    });
    const around = new Hono().route("/outer", app.app);
    const ask = async (path: string, init?: RequestInit) => (await around.request(`http://h${path}`, init)).json();
    const created = await ask("/outer/agents/wop/v1/runs", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ workflowId: "conformance-approval" }),
    });
    expect(created.eventsUrl).toBe(`/outer/agents/wop/v1/runs/${created.runId}/events`);
    await until(async () => (await ask(created.statusUrl)).status === "waiting-approval", "the approval");
    const waiting = await ask(created.statusUrl);
    expect(await ask(waiting.interrupt.callbackUrl)).toMatchObject({ kind: "approval" });
    await app.close();
  });

  it("39: their tokens are in no log line, whatever is done with them", async () => {
    const { logger, lines } = recorder();
    const { client, close } = await serve("memory:", logger);
    const runId = await client.start("approval");
    const token = (await client.reach(runId, "waiting-approval")).interrupt.interruptToken as string;
    await client.get(`/v1/interrupts/${token}`);
    await client.send("PUT", `/v1/interrupts/${token}`);
    await client.get(`/v1/interrupts/${token}/`);
    await client.get(`/v1/%69nterrupts/${token}/answer`);
    await client.post(`/v1/interrupts/${token}`, { resumeValue: { action: "explode" } });
    await client.post(`/v1/interrupts/${token}`, { resumeValue: { action: "accept" } });
    await client.reach(runId, "completed");
    await close();
    const requests = lines.filter((line) => line.includes("/v1/interrupts/"));
    expect(requests).toHaveLength(6);
    for (const line of lines) expect(line).not.toContain(token.slice(0, 40));
    for (const line of requests) expect(line).toContain("/openwop/v1/interrupts/{token}");
  });

  it("39: hold in another process and after a restart", async () => {
    const dir = mkdtempSync(join(tmpdir(), "heddle-test-"));
    const storage = `sqlite:${join(dir, "heddle.db")}`;
    const { logger } = recorder();
    const first = await serve(storage, logger);
    const runId = await first.client.start("approval");
    const token = (await first.client.reach(runId, "waiting-approval")).interrupt.interruptToken as string;
    await first.close();
    const second = await serve(storage, logger);
    const other = await serve(storage, logger);
    for (const { client } of [second, other]) expect((await client.get(`/v1/interrupts/${token}`)).status).toBe(200);
    const answered = await other.client.post(`/v1/interrupts/${token}`, { resumeValue: { action: "accept" } });
    expect(answered.status).toBe(200);
    await second.client.reach(runId, "completed");
    await second.close();
    await other.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it("39: the key is made once, by whoever comes first", async () => {
    const { records } = createMemoryMetadataStore(systemClock);
    const keys = await Promise.all(Array.from({ length: 5 }, () => tokenKey(records)));
    expect(new Set(keys.map((key) => key.toString("hex"))).size).toBe(1);
    const links = createInterruptLinks({ records, clock: { now: () => 0 } });
    const claims = { runId: "r", nodeId: "n", interruptId: "i", expiresAt: 1, intent: "resolve" } as const;
    expect(await links.read(signToken(claims, keys[0] ?? Buffer.alloc(0)))).toEqual(claims);
  });

  it("39: one whose time is over is 410, also while its interrupt may still be answered", async () => {
    const { uri, drop } = await createStorage("sqlite");
    const { logger } = recorder();
    const { client, close } = await serve(uri, logger);
    const runId = await client.start("approval");
    await client.reach(runId, "waiting-approval");
    const { metadata } = await createStoreRegistry([]).open(uri, { cwd: process.cwd(), logger });
    const claims = { runId, nodeId: "gate", interruptId: "int-1", intent: "resolve" } as const;
    const key = await tokenKey(metadata.records);
    const late = signToken({ ...claims, expiresAt: Date.now() - 1 }, key);
    const inTime = signToken({ ...claims, expiresAt: Date.now() + 60_000 }, key);
    const accept = { resumeValue: { action: "accept" } };
    for (const answer of [
      await client.get(`/v1/interrupts/${late}`),
      await client.post(`/v1/interrupts/${late}`, accept),
    ]) {
      expect([answer.status, answer.json.error]).toEqual([410, "interrupt_expired"]);
    }
    await client.reach(runId, "waiting-approval");
    expect((await client.post(`/v1/interrupts/${inTime}`, accept)).status).toBe(200);
    // It has been answered: that is what there is to say.
    expect((await client.post(`/v1/interrupts/${late}`, accept)).status).toBe(409);
    await metadata.close();
    await close();
    await drop();
  });

  it("39: one whose interrupt's time is over is 410, before and after the run has failed of it", async () => {
    const { logger } = recorder();
    const app = await createApp({ graphs: { brief }, storage: "memory:", env: {}, logger, protocols: [openwop()] });
    const listening = await listen(app, { port: 0, host: "127.0.0.1" });
    const client = wop(`${listening.url}/openwop`);
    const { json } = await client.post("/v1/runs", { workflowId: "brief" });
    const waiting = await client.reach(json.runId, "waiting-approval");
    const link = `/v1/interrupts/${waiting.interrupt.interruptToken}`;
    await until(async () => (await client.get(link)).status !== 200, "the end of the time");
    for (const when of ["before", "after"]) {
      const shown = await client.get(link);
      expect([when, shown.status, shown.json.error]).toEqual([when, 410, "interrupt_expired"]);
      const { error } = await client.reach(json.runId, "failed");
      expect(error.code).toBe("approval_timeout");
    }
    const late = await client.resolve(json.runId, "gate", { action: "accept" });
    expect(late.status).toBe(410);
    await listening.close();
    await app.close();
  });
});
