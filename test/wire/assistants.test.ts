import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, startServer, statusOf } from "../support/server.js";

describe.each(STORAGES)("assistants by the JS SDK on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  it("has a system assistant for each graph, under the id of the wire", async () => {
    const { assistants } = server.client;
    const echo = await assistants.get("echo");
    expect(echo).toMatchObject({ graph_id: "echo", name: "echo", version: 1, metadata: { created_by: "system" } });
    expect(await assistants.get(echo.assistant_id)).toEqual(echo);
    const system = await assistants.search({ metadata: { created_by: "system" }, limit: 100 });
    expect(system.map((a) => a.graph_id)).toEqual(expect.arrayContaining(["echo", "ask", "made", "functional"]));
  });

  it("creates, updates by versions, goes back and deletes", async () => {
    const { assistants, runs } = server.client;
    const created = await assistants.create({
      graphId: "made",
      config: { configurable: { greeting: "one" } },
      metadata: { a: 1 },
      name: "Greeter",
      description: "greets",
    });
    expect(created).toMatchObject({ version: 1, name: "Greeter", description: "greets", graph_id: "made" });
    const id = created.assistant_id;
    expect(await runs.wait(null, id, { input: {} })).toEqual({ text: "one" });
    const second = await assistants.update(id, {
      config: { configurable: { greeting: "two" } },
      metadata: { b: 2 },
      description: "greets twice",
    });
    expect(second).toMatchObject({ version: 2, metadata: { a: 1, b: 2 }, description: "greets twice" });
    expect(await runs.wait(null, id, { input: {} })).toEqual({ text: "two" });
    expect((await assistants.getVersions(id)).map((v) => v.version)).toEqual([2, 1]);
    const back = await assistants.setLatest(id, 1);
    expect(back).toMatchObject({ version: 1, description: "greets", metadata: { a: 1 } });
    expect(await runs.wait(null, id, { input: {} })).toEqual({ text: "one" });
    expect((await assistants.update(id, {})).version).toBe(3);
    expect(await statusOf(assistants.setLatest(id, 9))).toBe(404);
    await assistants.delete(id);
    expect(await statusOf(assistants.get(id))).toBe(404);
    expect(await statusOf(assistants.getVersions(id))).toBe(404);
  });

  it("answers taken ids and unknown graphs", async () => {
    const { assistants, runs, threads } = server.client;
    const assistantId = randomUUID();
    await assistants.create({ graphId: "echo", assistantId, metadata: { first: true } });
    expect(await statusOf(assistants.create({ graphId: "echo", assistantId }))).toBe(409);
    const again = await assistants.create({ graphId: "echo", assistantId, ifExists: "do_nothing" });
    expect(again.metadata).toEqual({ first: true });
    expect(await statusOf(assistants.create({ graphId: "nonsense" }))).toBe(404);
    const { thread_id } = await threads.create();
    expect(await statusOf(runs.create(thread_id, randomUUID(), {}))).toBe(404);
  });

  it("searches with sort, paging headers, select, and counts", async () => {
    const { assistants } = server.client;
    const tag = randomUUID();
    for (const name of ["beta", "Alpha", "gamma"]) {
      await assistants.create({ graphId: "echo", name, metadata: { tag } });
    }
    const metadata = { tag };
    expect(await assistants.count({ metadata })).toBe(3);
    const page = await assistants.search({
      metadata,
      sortBy: "name",
      sortOrder: "asc",
      limit: 2,
      includePagination: true,
    });
    expect(page.assistants.map((a) => a.name)).toEqual(["Alpha", "beta"]);
    expect(page.next).toBe("2");
    expect((await assistants.search({ metadata, name: "ALPH" })).map((a) => a.name)).toEqual(["Alpha"]);
    const selected = await assistants.search({ metadata, select: ["name"], sortBy: "name", sortOrder: "asc" });
    expect(selected).toEqual([{ name: "Alpha" }, { name: "beta" }, { name: "gamma" }]);
  });

  it("draws graphs, gives schemas and subgraphs", async () => {
    const { assistants } = server.client;
    const drawing = await assistants.getGraph("nested");
    expect(drawing.nodes.map((n) => n.id)).toEqual(["__start__", "sub", "after", "__end__"]);
    expect(drawing.edges).toContainEqual(expect.objectContaining({ source: "sub", target: "after" }));
    const open = await assistants.getGraph("nested", { xray: true });
    expect(open.nodes.map((n) => n.id)).toContain("sub:innerOne");
    const schemas = await assistants.getSchemas("echo");
    expect(schemas.graph_id).toBe("echo");
    expect(JSON.stringify(schemas.state_schema)).toContain("messages");
    const subgraphs = await assistants.getSubgraphs("nested", { recurse: true });
    expect(Object.keys(subgraphs)).toEqual(["sub"]);
    expect(Object.keys(await assistants.getSubgraphs("nested", { namespace: "sub" }))).toEqual(["sub"]);
    expect(await statusOf(assistants.getGraph(randomUUID()))).toBe(404);
  });

  it("removes threads together with their assistant on demand", async () => {
    const { assistants, threads, runs } = server.client;
    const { assistant_id } = await assistants.create({ graphId: "echo" });
    const { thread_id } = await threads.create();
    await runs.wait(thread_id, assistant_id, { input: { messages: [{ role: "user", content: "x" }] } });
    await assistants.delete(assistant_id, { deleteThreads: true });
    expect(await statusOf(threads.get(thread_id))).toBe(404);
  });
});
