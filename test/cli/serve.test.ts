import Database from "better-sqlite3";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createDatabase } from "../support/postgres.js";
import { hasRedis, openTestRedis } from "../support/redis.js";
import { createProject, graphFile, heddle, type Project, type RunningHeddle, runGraph, startHeddle } from "./heddle.js";

const projects: Project[] = [];
const running: RunningHeddle[] = [];
function project(...args: Parameters<typeof createProject>): Project {
  const created = createProject(...args);
  projects.push(created);
  return created;
}
function start(...args: Parameters<typeof startHeddle>): RunningHeddle {
  const started = startHeddle(...args);
  running.push(started);
  return started;
}
afterEach(() => {
  for (const { child } of running.splice(0)) child.kill("SIGKILL");
  for (const created of projects.splice(0)) created.remove();
});

const AGENT = { graphs: { agent: "./agent.ts:graph" } };

describe("heddle serve", () => {
  it("says where it listens, which graphs, which storage and where the docs are; serves; stops on SIGTERM", async () => {
    const { dir } = project(AGENT, { "agent.ts": graphFile("hello") });
    const server = start(["serve", "--port", "0", "--no-browser"], { cwd: dir });
    const { url, graphs, storage, docs } = await server.entry(/^listening$/);
    expect(graphs).toEqual(["agent"]);
    expect(storage).toBe("sqlite:.heddle/heddle.db");
    expect(docs).toBe(`${String(url)}/docs`);
    expect((await fetch(String(docs))).status).toBe(200);
    expect(await (await fetch(`${String(url)}/ok`)).json()).toEqual({ ok: true });
    expect(await runGraph(url, "agent")).toEqual({ answer: "hello" });
    expect(existsSync(join(dir, ".heddle/heddle.db"))).toBe(true);
    expect(await server.stop()).toBe(0);
    expect(server.stderr()).toBe("");
  });

  it("keeps checkpoints where --checkpointer says", { timeout: 60_000 }, async () => {
    const { dir } = project(AGENT, { "agent.ts": graphFile("hello") });
    const flags = ["--storage", "sqlite:runs.db", "--checkpointer", "sqlite:checkpoints.db"];
    const server = start(["serve", "--port", "0", ...flags], { cwd: dir });
    const { url } = await server.entry(/^listening$/);
    expect(await runGraph(url, "agent")).toEqual({ answer: "hello" });
    expect(await server.stop()).toBe(0);
    const tables = (file: string): unknown[] => {
      const database = new Database(join(dir, file), { readonly: true });
      const rows = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all();
      database.close();
      return rows;
    };
    expect(tables("runs.db")).toContain("threads");
    expect(tables("runs.db")).not.toContain("heddle_checkpoints");
    expect(tables("checkpoints.db")).toContain("heddle_checkpoints");
    expect(tables("checkpoints.db")).not.toContain("threads");
  });

  it.runIf(hasRedis())(
    "shares work between processes: --role api takes runs, --role worker executes them, by REDIS_URI",
    { timeout: 90_000 },
    async () => {
      const [database, redis] = [await createDatabase(), await openTestRedis()];
      try {
        const { dir } = project(AGENT, { "agent.ts": graphFile("hello") });
        const env = { DATABASE_URI: database.uri, REDIS_URI: redis.uniqueUri() };
        const api = start(["serve", "--port", "0", "--role", "api"], { cwd: dir, env });
        const { url } = await api.entry(/^listening$/);
        const post = async (path: string, body: object): Promise<Record<string, unknown>> => {
          const headers = { "content-type": "application/json" };
          const answer = await fetch(`${String(url)}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
          return (await answer.json()) as Record<string, unknown>;
        };
        const thread = await post("/threads", {});
        const runs = `/threads/${String(thread["thread_id"])}/runs`;
        const run = await post(runs, { assistant_id: "agent", input: { answer: "" } });
        const ended = fetch(`${String(url)}${runs}/${String(run["run_id"])}/join`).then((answer) => answer.json());
        const status = async (): Promise<unknown> =>
          ((await (await fetch(`${String(url)}${runs}/${String(run["run_id"])}`)).json()) as { status: unknown })
            .status;
        // Nobody is there to do it.
        expect(await status()).toBe("pending");
        const worker = start(["serve", "--port", "0", "--role", "worker"], { cwd: dir, env });
        await worker.entry(/^listening$/);
        expect(await ended).toEqual({ answer: "hello" });
        expect(await status()).toBe("success");
        // Its events came through Redis.
        expect((await redis.admin.keys("*")).length).toBeGreaterThan(0);
        const stoppedAt = performance.now();
        for (const one of [worker, api]) expect(await one.stop()).toBe(0);
        // Nothing keeps them: neither a wait for jobs, nor a timer of a connection that is closed.
        expect(performance.now() - stoppedAt).toBeLessThan(15_000);
        expect(api.stderr() + worker.stderr()).toBe("");
      } finally {
        for (const { child } of running.splice(0)) child.kill("SIGKILL");
        await redis.close();
        await database.drop();
      }
    },
  );

  it("serves under mount_prefix, and hands langgraph.json's env to graphs", async () => {
    const { dir } = project(
      { ...AGENT, env: { ANSWER: "from env" }, http: { mount_prefix: "/api" } },
      { "agent.ts": graphFile("x").replace('"x"', 'process.env["ANSWER"] ?? "none"') },
    );
    const server = start(["serve", "--port", "0", "--storage", "memory:"], { cwd: dir });
    const { url } = await server.entry(/^listening$/);
    expect(String(url)).toMatch(/\/api$/);
    expect(await runGraph(url, "agent")).toEqual({ answer: "from env" });
    expect((await fetch(new URL("/ok", String(url)))).status).toBe(404);
  });

  it("refuses to start when a graph fails, and names it", () => {
    const { dir } = project({ graphs: { agent: "./agent.ts:graph" } }, { "agent.ts": "\n\nthrow new Error('boom')" });
    const { status, stderr } = heddle(["serve", "--port", "0", "--storage", "memory:"], { cwd: dir });
    expect(status).toBe(1);
    expect(stderr).toMatch(/Failed to load graph "agent" .*agent\.ts:3:.*boom/);
  });

  it("says that its port is in use", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    const { dir } = project(AGENT, { "agent.ts": graphFile("x") });
    const server = start(["serve", "--port", String(port), "--storage", "memory:"], { cwd: dir });
    await expect(server.entry(/^listening$/)).rejects.toThrow(`Port ${port} on 127.0.0.1 is in use`);
    other.close();
  });

  it("warns when it listens beyond this machine without authentication", async () => {
    const { dir } = project(AGENT, { "agent.ts": graphFile("x") });
    const server = start(["serve", "--port", "0", "--host", "0.0.0.0", "--storage", "memory:"], { cwd: dir });
    expect(await server.entry(/without authentication/)).toMatchObject({ level: "warn", host: "0.0.0.0" });
    await server.entry(/^listening$/);
  });

  it("keeps threads over a restart", async () => {
    const { dir } = project(AGENT, { "agent.ts": graphFile("x") });
    const first = start(["serve", "--port", "0"], { cwd: dir });
    const { url } = await first.entry(/^listening$/);
    const created = await fetch(`${String(url)}/threads`, { method: "POST", body: "{}" });
    const { thread_id: threadId } = (await created.json()) as { thread_id: string };
    expect(await first.stop("SIGINT")).toBe(0);
    const second = start(["serve", "--port", "0"], { cwd: dir });
    const again = await second.entry(/^listening$/);
    expect((await fetch(`${String(again["url"])}/threads/${threadId}`)).status).toBe(200);
  });
});

describe("heddle dev", () => {
  it("reloads a graph when its source changes, also one that failed at first", async () => {
    const created = project({ graphs: { agent: "./agent.ts:graph" } }, { "agent.ts": "export const graph = {{" });
    const server = start(["dev", "--port", "0", "--storage", "memory:"], { cwd: created.dir });
    expect((await server.entry(/Failed to load graph "agent"/)).msg).toMatch(/agent\.ts:1:/);
    const { url, graphs } = await server.entry(/^listening$/);
    expect(graphs).toEqual([]);
    created.write("agent.ts", graphFile("first"));
    await server.entry(/^Reloaded agent/);
    expect(await runGraph(url, "agent")).toEqual({ answer: "first" });
    created.write("agent.ts", graphFile("second"));
    await server.entry(/^Reloaded agent/);
    expect(await runGraph(url, "agent")).toEqual({ answer: "second" });
    expect(await server.stop()).toBe(0);
  });

  it("starts again when langgraph.json or its env file changes, and keeps serving when the change is wrong", async () => {
    const source = graphFile("x").replace('"x"', 'process.env["ANSWER"] ?? "none"');
    const created = project(
      { ...AGENT, env: ".env" },
      { "agent.ts": source, "other.ts": graphFile("other"), ".env": "ANSWER=one" },
    );
    const server = start(["dev", "--port", "0", "--storage", "memory:"], { cwd: created.dir });
    const first = await server.entry(/^listening$/);
    expect(await runGraph(first["url"], "agent")).toEqual({ answer: "one" });

    created.write(".env", "ANSWER=two");
    const second = await server.entry(/^listening$/);
    expect(await runGraph(second["url"], "agent")).toEqual({ answer: "two" });

    created.write("langgraph.json", '{"graphs": {,}}');
    expect(await server.entry(/former configuration stays/)).toMatchObject({ level: "warn" });
    expect(server.stderr()).toMatch(/langgraph\.json:1: is not valid JSON/);
    expect(await runGraph(second["url"], "agent")).toEqual({ answer: "two" });

    created.write("langgraph.json", JSON.stringify({ graphs: { other: "./other.ts:graph" } }));
    const third = await server.entry(/^listening$/);
    expect(third["graphs"]).toEqual(["other"]);
    expect(await runGraph(third["url"], "other")).toEqual({ answer: "other" });
    expect(await server.stop()).toBe(0);
  });
});
