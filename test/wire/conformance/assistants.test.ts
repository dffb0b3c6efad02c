import { randomUUID } from "node:crypto";
import { Annotation, MessagesValue, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import * as fixtures from "../../fixtures/graphs/index.js";
import { type Call, requester } from "../../support/requests.js";
import { STORAGES, type TestServer, startServer } from "../../support/server.js";

const State = Annotation.Root({ n: Annotation<number> });
const two = (first: string) => new StateGraph(State).addNode(first, () => ({ n: 1 })).addEdge(START, first);
const third = two("d1")
  .addNode("d2", () => ({ n: 1 }))
  .addEdge("d1", "d2")
  .compile();
const second = two("c1").addNode("deep", third).addEdge("c1", "deep").compile();
const first = two("b1").addNode("mid", second).addEdge("b1", "mid").compile();
const threeLevels = two("a1").addNode("top", first).addEdge("a1", "top").compile();
const zod = new StateGraph(z.object({ a: z.string(), b: z.number().optional() }))
  .addNode("n", (s) => ({ a: `${s.a}!` }))
  .addEdge(START, "n")
  .compile();
const schema = new StateGraph(new StateSchema({ messages: MessagesValue, k: z.string().default("d") }))
  .addNode("n", () => ({ k: "v" }))
  .addEdge(START, "n")
  .compile();

describe.each(STORAGES)("assistants over the wire on %s", (storage) => {
  let server: TestServer;
  let call: Call;
  beforeAll(async () => {
    server = await startServer(storage, { graphs: { ...fixtures, threeLevels, zod, schema } });
    call = requester(server.url);
  });
  afterAll(() => server.close());

  const create = async (body: object) => (await call("POST", "/assistants", { graph_id: "who", ...body })).json;

  it("§2.3.1 mirrors context and configurable when only one is given", async () => {
    expect(await create({ context: { a: 1 } })).toMatchObject({
      config: { configurable: { a: 1 } },
      context: { a: 1 },
    });
    expect(await create({ config: { configurable: { b: 1 }, tags: ["t"] } })).toMatchObject({
      config: { configurable: { b: 1 }, tags: ["t"] },
      context: { b: 1 },
    });
  });

  it("§2.3.5 a patch of the context alone keeps the rest of the config", async () => {
    const config = { tags: ["t"], recursion_limit: 7, configurable: { a: 1 } };
    const { assistant_id: id } = await create({ config });
    const patched = await call("PATCH", `/assistants/${id}`, { context: { a: 2 } });
    expect(patched.json).toMatchObject({ version: 2, context: { a: 2 } });
    expect(patched.json.config).toEqual({ ...config, configurable: { a: 2 } });
    const cleared = await call("PATCH", `/assistants/${id}`, { context: {} });
    expect(cleared.json).toMatchObject({ context: {}, config: { tags: ["t"], recursion_limit: 7, configurable: {} } });
    expect((await call("PATCH", `/assistants/${randomUUID()}`, { context: { a: 2 } })).status).toBe(404);
  });

  it("§2.3.5 an empty patch makes a version, null replaces nothing, metadata merges", async () => {
    const { assistant_id: id } = await create({ metadata: { a: 1 }, name: "one", description: "d" });
    expect((await call("PATCH", `/assistants/${id}`, {})).json).toMatchObject({ version: 2, name: "one" });
    const nulls = { name: null, description: null, config: null, context: null, metadata: null, graph_id: null };
    expect((await call("PATCH", `/assistants/${id}`, nulls)).json).toMatchObject({ version: 3, description: "d" });
    expect((await call("PATCH", `/assistants/${id}`, { metadata: { b: 2 } })).json.metadata).toEqual({ a: 1, b: 2 });
  });

  it("§2.3.11 latest restores everything (A14), and the next version is the highest plus one", async () => {
    const { assistant_id: id } = await create({ context: { a: 1 }, description: "first", metadata: { m: 1 } });
    const patch = { graph_id: "echo", context: { a: 2 }, description: "second", name: "n", metadata: { k: 1 } };
    await call("PATCH", `/assistants/${id}`, patch);
    const restored = await call("POST", `/assistants/${id}/latest`, { version: 1 });
    expect(restored.json).toMatchObject({
      version: 1,
      graph_id: "who",
      context: { a: 1 },
      description: "first",
      name: "Untitled",
      metadata: { m: 1 },
    });
    expect((await call("PATCH", `/assistants/${id}`, {})).json.version).toBe(3);
    const versions = await call("POST", `/assistants/${id}/versions`, {});
    expect(versions.json.map((v: { version: number }) => v.version)).toEqual([3, 2, 1]);
    expect(versions.json[0]).not.toHaveProperty("updated_at");
    expect((await call("POST", `/assistants/${id}/versions`, { offset: 9 })).json).toEqual({
      detail: `Assistant "${id}" not found.`,
    });
  });

  it("§2.1.5 a wrong type is 422 and named, never 500", async () => {
    const wrong = { graph_id: 5, config: [], metadata: 3, name: 1, assistant_id: "x", if_exists: "q", description: 5 };
    for (const [field, value] of Object.entries(wrong)) {
      const answer = await call("POST", "/assistants", { graph_id: "who", [field]: value });
      expect([answer.status, answer.json.detail]).toEqual([422, expect.stringContaining(field)]);
    }
    for (const body of ["null", "[]", "5", '"x"']) expect((await call("POST", "/assistants", body)).status).toBe(422);
    expect((await call("POST", "/assistants", "{")).json).toEqual({ detail: "Malformed JSON in request body" });
    for (const id of ["%00", "a%2Fb", "%E0%A4%A", randomUUID()]) {
      expect((await call("GET", `/assistants/${id}`)).status).toBe(404);
    }
  });

  it("§2.3.7 xray is a boolean or a depth", async () => {
    const nodes = async (xray: string) =>
      (await call("GET", `/assistants/threeLevels/graph?xray=${xray}`)).json.nodes.map((n: { id: string }) => n.id);
    const flat = ["__start__", "a1", "top", "__end__"];
    const all = ["__start__", "a1", "top:b1", "top:mid:c1", "top:mid:deep:d1", "top:mid:deep:d2", "__end__"];
    for (const xray of ["false", "0", "no", ""]) expect(await nodes(xray)).toEqual(flat);
    expect(await nodes("1")).toEqual(["__start__", "a1", "top:b1", "top:mid", "__end__"]);
    expect(await nodes("2")).toEqual(["__start__", "a1", "top:b1", "top:mid:c1", "top:mid:deep", "__end__"]);
    for (const xray of ["3", "true", "yes"]) expect(await nodes(xray)).toEqual(all);
  });

  it("§2.3.9 subgraphs: one level, all of them, or one by its name", async () => {
    const keys = async (rest: string) =>
      Object.keys((await call("GET", `/assistants/threeLevels/subgraphs${rest}`)).json);
    expect(await keys("")).toEqual(["top"]);
    expect(await keys("?recurse=true")).toEqual(["top", "top|mid", "top|mid|deep"]);
    expect(await keys("/top")).toEqual(["top"]);
    expect(await keys("/top%7Cmid")).toEqual(["top|mid"]);
    expect(await keys("/nothing")).toEqual([]);
    const { top } = (await call("GET", "/assistants/threeLevels/subgraphs")).json;
    // Both servers' key sets and graph_id (A18).
    for (const key of [
      "state",
      "input",
      "output",
      "config",
      "state_schema",
      "input_schema",
      "output_schema",
      "graph_id",
    ]) {
      expect(top).toHaveProperty(key);
    }
  });

  it("§6 schemas of zod and StateSchema graphs, at run time", async () => {
    const ofZod = (await call("GET", "/assistants/zod/schemas")).json;
    expect(ofZod).toMatchObject({
      graph_id: "zod",
      output_schema: { required: ["a"], properties: { b: { type: "number" } } },
    });
    expect(ofZod.input_schema).not.toHaveProperty("required");
    const ofState = (await call("GET", "/assistants/schema/schemas")).json;
    expect(ofState.state_schema.properties.messages).toMatchObject({ langgraph_type: "messages" });
    expect(ofZod).not.toHaveProperty("note");
    expect((await call("GET", "/assistants/counter/schemas")).json.note).toContain("allow anything");
  });

  it("§2.9.1 context and configurable of assistant and run reach the graph, merged", async () => {
    const { assistant_id: id } = await create({ config: { configurable: { a: "1", b: "1" } } });
    const run = { assistant_id: id, input: {}, context: { b: "2", c: "2" } };
    const seen = (await call("POST", "/runs/wait", run)).json;
    expect(seen.context).toEqual({ a: "1", b: "2", c: "2" });
    expect(seen.configurable).toMatchObject({ a: "1", b: "2", c: "2", graph_id: "who", assistant_id: id });
  });
});
