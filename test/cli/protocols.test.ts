import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createProject, graphFile, heddle, type Project, type RunningHeddle, startHeddle } from "./heddle.js";

const projects: Project[] = [];
const running: RunningHeddle[] = [];
afterEach(() => {
  for (const { child } of running.splice(0)) child.kill("SIGKILL");
  for (const created of projects.splice(0)) created.remove();
});

function project(manifest: object = {}): string {
  const created = createProject(
    { graphs: { agent: "./agent.ts:graph" }, ...manifest },
    { "agent.ts": graphFile("hello") },
  );
  projects.push(created);
  return created.dir;
}

function start(dir: string, flags: readonly string[] = []): RunningHeddle {
  const started = startHeddle(["serve", "--port", "0", "--storage", "memory:", ...flags], { cwd: dir });
  running.push(started);
  return started;
}

const set = (base: unknown) =>
  fetch(`${String(base)}/v1/state/order/status`, { method: "POST", body: JSON.stringify({ value: "paid" }) });

describe("heddle serve with other protocols", { timeout: 60_000 }, () => {
  it("serves those of langgraph.json, and says where", async () => {
    const server = start(project({ protocols: ["state-store", { name: "snapstate", path: "/snap" }] }));
    const { url, protocols } = await server.entry(/^listening$/);
    expect(protocols).toEqual({ "state-store": `${String(url)}/state-store`, snapstate: `${String(url)}/snap` });
    expect(await (await set(`${String(url)}/state-store`)).json()).toEqual({ version: 1 });
    expect((await fetch(`${String(url)}/snap/health`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
  });

  it("--protocol replaces that list: at the root, and on a port of its own that ends with the server", async () => {
    const dir = project({ protocols: ["snapstate"] });
    const server = start(dir, ["--protocol", "state-store@/", "--protocol", "openwop@:0"]);
    const { url, protocols } = await server.entry(/^listening$/);
    const { openwop, "state-store": root } = protocols as Record<string, string>;
    expect(root).toBe(url);
    expect(await (await set(url)).json()).toEqual({ version: 1 });
    expect(openwop).not.toContain(String(url));
    expect((await fetch(`${openwop}/.well-known/openwop`)).status).toBe(200);
    expect((await fetch(`${String(url)}/snapstate/health`)).status).toBe(404);
    expect(await server.stop()).toBe(0);
    await expect(fetch(`${openwop}/.well-known/openwop`)).rejects.toThrow("fetch failed");
  });

  it("a port that is taken, and mounts that overlap, are named, and nothing is served", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => void taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    const dir = project();
    const flags = ["serve", "--port", "0", "--storage", "memory:"];
    const busy = heddle([...flags, "--protocol", `openwop@:${port}`], { cwd: dir });
    taken.close();
    expect([busy.status, busy.stderr]).toEqual([1, expect.stringContaining(`Port ${port} on 127.0.0.1 is in use`)]);
    const overlap = heddle([...flags, "--protocol", "openwop@/x", "--protocol", "snapstate@/x/y"], { cwd: dir });
    expect([overlap.status, overlap.stderr]).toEqual([
      1,
      expect.stringContaining('snapstate at "/x/y" and openwop at "/x" would both answer /x/y'),
    ]);
    const unknown = heddle([...flags, "--protocol", "nothing"], { cwd: dir });
    expect(unknown.status).not.toBe(0);
    expect(unknown.stderr).toContain("state-store, agentex-states, snapstate, openwop");
  });
});
