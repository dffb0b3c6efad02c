import { HTTPException } from "@langchain/langgraph-sdk/auth";
import { Client } from "@langchain/langgraph-sdk";
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { describe, expect, it } from "vitest";
import { bearer, ownersAuth } from "../support/owners-auth.js";
import { openHttpApp } from "./app.js";
import { openOwned, type Row, thread } from "./users.js";

/** Tells what its configuration says of the caller. */
const tells = new StateGraph(Annotation.Root({ seen: Annotation<Row> }))
  .addNode("tell", (_state, { configurable = {} }) => ({
    seen: Object.fromEntries(Object.entries(configurable).filter(([key]) => /^langgraph_auth|^mine$/.test(key))),
  }))
  .addEdge(START, "tell")
  .addEdge("tell", END)
  .compile();

describe("runs", () => {
  it("check the assistant: its own rule and filter, but system assistants are there for all", async () => {
    const { ann, bob } = await openOwned();
    const assistant = await ann("POST", "/assistants", { graph_id: "counter" });
    const own = assistant.body["assistant_id"];
    expect((await ann("POST", "/runs/wait", { assistant_id: own, input: { n: 1 } })).body).toMatchObject({ n: 4 });
    expect((await bob("POST", "/runs/wait", { assistant_id: own })).status).toBe(404);
    expect((await bob("POST", "/runs/wait", { assistant_id: "counter", input: { n: 1 } })).body).toMatchObject({
      n: 4,
    });
    const { ann: refused } = await openOwned({ auth: ownersAuth().on("assistants:read", () => false) });
    expect((await refused("POST", "/runs/wait", { assistant_id: "counter" })).status).toBe(403);
  });

  it("tell the graph who asks, whatever the client says of itself", async () => {
    const { ann } = await openOwned({ graphs: { tells } });
    const spoofed = { langgraph_auth_user: { identity: "root" }, langgraph_auth_user_id: "root", mine: 1 };
    const assistant = await ann("POST", "/assistants", {
      graph_id: "tells",
      config: { configurable: { ...spoofed, langgraph_auth_permissions: ["all"] } },
    });
    const result = await ann("POST", "/runs/wait", {
      assistant_id: assistant.body["assistant_id"],
      input: { seen: {} },
      config: { configurable: spoofed },
    });
    const { seen } = result.body;
    expect(seen).toMatchObject({
      langgraph_auth_user_id: "ann",
      langgraph_auth_permissions: ["ann:all"],
      langgraph_auth_user: { identity: "ann", team: "anns", display_name: "ann", is_authenticated: true },
      mine: 1,
    });
  });

  it("take no client's word for an identity without auth either", async () => {
    const app = await openHttpApp({ graphs: { tells } });
    const { body } = await app.json("POST", "/runs/wait", {
      assistant_id: "tells",
      input: { seen: {} },
      config: { configurable: { langgraph_auth_user_id: "root", mine: 1 } },
    });
    const seen = (body as Row)["seen"] as Row;
    expect(seen).toMatchObject({ mine: 1 });
    expect(Object.keys(seen).filter((key) => key.startsWith("langgraph_auth"))).toEqual([]);
  });

  it("show the caller's identity to nobody who reads them", async () => {
    const { ann } = await openOwned();
    const threadId = await thread(ann);
    const run = await ann("POST", `/threads/${threadId}/runs`, { assistant_id: "counter", input: { n: 1 } });
    const runId = run.body["run_id"] as string;
    await ann("GET", `/threads/${threadId}/runs/${runId}/join`);
    for (const path of [`runs/${runId}`, "state", "history", ""]) {
      expect(JSON.stringify((await ann("GET", `/threads/${threadId}/${path}`.replace(/\/$/, ""))).body)).not.toMatch(
        /anns/,
      );
    }
  });

  it("let a handler see and change what a run is made of", async () => {
    const auth = ownersAuth().on("threads:create_run", ({ value, user }) => {
      if (value.kwargs["command"] !== undefined) throw new HTTPException(403, { message: "No commands" });
      value.kwargs["input"] = { n: 10 };
      (value.kwargs["config"] as { configurable: Row }).configurable["plan"] = "free";
      value.metadata = { owner: user.identity, billed: true };
    });
    const { ann } = await openOwned({ auth });
    const threadId = await thread(ann);
    const run = await ann("POST", `/threads/${threadId}/runs`, { assistant_id: "counter", input: { n: 1 } });
    expect(run.body).toMatchObject({
      metadata: { billed: true },
      kwargs: { config: { configurable: { plan: "free" } } },
    });
    const result = await ann("GET", `/threads/${threadId}/runs/${String(run.body["run_id"])}/join`);
    expect(result.body).toMatchObject({ n: 13 });
    const refused = await ann("POST", "/runs/wait", { assistant_id: "counter", command: { goto: "three" } });
    expect(refused).toMatchObject({ status: 403, body: { detail: "No commands" } });
  });

  it("are cancelled by leaving only by those who may cancel", async () => {
    const auth = ownersAuth().on("threads:update", () => false);
    const { ann } = await openOwned({ auth });
    const threadId = await thread(ann);
    const run = await ann("POST", `/threads/${threadId}/runs`, { assistant_id: "counter", input: { n: 1 } });
    const path = `/threads/${threadId}/runs/${String(run.body["run_id"])}`;
    expect((await ann("GET", `${path}/join?cancel_on_disconnect=1`)).status).toBe(403);
    expect((await ann("GET", `${path}/stream?cancel_on_disconnect=1`)).status).toBe(403);
    expect((await ann("GET", `${path}/join`)).status).toBe(200);
  });
});

describe("graphs that ask the server", () => {
  const State = Annotation.Root({ seen: Annotation<string>, headers: Annotation<Record<string, string>> });
  const asking = new StateGraph(State)
    .addNode("look", async ({ headers }) => {
      const client = new Client({ apiKey: "from the environment", defaultHeaders: headers ?? {} });
      const threads = await client.threads.search();
      return { seen: threads.map(({ metadata }) => String(metadata?.["of"])).join() };
    })
    .addEdge(START, "look")
    .addEdge("look", END)
    .compile();

  it("do so as the caller of their run, or with credentials of their own", async () => {
    const { ann, bob } = await openOwned({ graphs: { asking } });
    await thread(ann, { of: "ann" });
    await thread(bob, { of: "bob" });
    const seen = async (user: typeof ann, input: object = {}) =>
      (await user("POST", "/runs/wait", { assistant_id: "asking", input, on_completion: "delete" })).body;
    expect(await seen(ann)).toMatchObject({ seen: expect.stringContaining("ann") as string });
    expect(JSON.stringify(await seen(ann))).not.toContain("bob");
    expect(await seen(ann, { headers: bearer("bob") })).toMatchObject({
      seen: expect.stringContaining("bob") as string,
    });
    expect(JSON.stringify(await seen(ann, { headers: { authorization: "Bearer" } }))).toMatch(/401/);
  });

  it("outside of runs are nobody", async () => {
    const made = async () => {
      const status = await new Client().threads.search().then(
        () => 200,
        (error: { status?: number }) => error.status ?? 0,
      );
      return new StateGraph(State)
        .addNode(`status ${status}`, () => ({}))
        .addEdge(START, `status ${status}`)
        .compile();
    };
    const { ann } = await openOwned({ graphs: { made } });
    const own = (await ann("POST", "/assistants", { graph_id: "made" })).body["assistant_id"];
    const { body } = await ann("GET", `/assistants/${String(own)}/graph`);
    expect(JSON.stringify(body)).toContain("status 401");
  });
});
