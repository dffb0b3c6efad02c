import { v7 } from "uuid";
import { describe, expect, it } from "vitest";
import { SERVER } from "../../src/core/auth.js";
import { ownersAuth } from "../support/owners-auth.js";
import { openOwned, thread } from "./users.js";

describe("what is hidden", () => {
  it("is answered as what is missing: status, body and headers", async () => {
    const { ann, bob } = await openOwned();
    const threadId = await thread(ann);
    const run = await ann("POST", `/threads/${threadId}/runs`, { assistant_id: "counter", input: { n: 1 } });
    const runId = run.body["run_id"] as string;
    await ann("GET", `/threads/${threadId}/runs/${runId}/join`);
    const assistant = await ann("POST", "/assistants", { graph_id: "counter" });
    const assistantId = assistant.body["assistant_id"] as string;
    const paths = (t: string, r: string, a: string): readonly (readonly [string, string, unknown?])[] => [
      ["GET", `/threads/${t}`],
      ["PATCH", `/threads/${t}`, { metadata: { x: 1 } }],
      ["DELETE", `/threads/${t}`],
      ["POST", `/threads/${t}/copy`],
      ["GET", `/threads/${t}/state`],
      ["POST", `/threads/${t}/state`, { values: { n: 2 } }],
      ["GET", `/threads/${t}/history`],
      ["POST", `/threads/${t}/history`, {}],
      ["POST", `/threads/${t}/state/checkpoint`, { checkpoint: { checkpoint_id: v7() } }],
      ["GET", `/threads/${t}/stream`],
      ["POST", `/threads/${t}/runs`, { assistant_id: "counter" }],
      ["POST", `/threads/${t}/runs/wait`, { assistant_id: "counter" }],
      ["POST", `/threads/${t}/runs/stream`, { assistant_id: "counter" }],
      ["GET", `/threads/${t}/runs`],
      ["GET", `/threads/${t}/runs/${r}`],
      ["GET", `/threads/${t}/runs/${r}/join`],
      ["GET", `/threads/${t}/runs/${r}/stream`],
      ["GET", `/threads/${t}/runs/${r}/explain`],
      ["POST", `/threads/${t}/runs/${r}/cancel`],
      ["DELETE", `/threads/${t}/runs/${r}`],
      ["GET", `/runs/${r}/stream`],
      ["GET", `/runs/${r}/explain`],
      ["POST", "/runs/cancel", { thread_id: t, run_ids: [r] }],
      ["POST", `/threads/${t}/commands`, { id: 1, method: "state.get", params: {} }],
      ["POST", `/threads/${t}/commands`, { id: 1, method: "agent.getTree", params: {} }],
      ["POST", `/threads/${t}/commands`, { id: 1, method: "agent.getTree", params: { run_id: r } }],
      ["POST", `/threads/${t}/commands`, { id: 1, method: "state.listCheckpoints", params: {} }],
      ["POST", `/threads/${t}/commands`, { id: 1, method: "nothing.known", params: {} }],
      ["GET", `/assistants/${a}`],
      ["GET", `/assistants/${a}/graph`],
      ["GET", `/assistants/${a}/schemas`],
      ["GET", `/assistants/${a}/subgraphs`],
      ["POST", `/assistants/${a}/versions`, {}],
      ["POST", `/assistants/${a}/latest`, { version: 1 }],
      ["PATCH", `/assistants/${a}`, { name: "mine" }],
      ["DELETE", `/assistants/${a}`],
      ["POST", "/runs/wait", { assistant_id: a }],
    ];
    const missing = paths(v7(), v7(), v7());
    for (const [index, [method, path, body]] of paths(threadId, runId, assistantId).entries()) {
      const [, otherPath = "", otherBody] = missing[index] ?? [];
      const hidden = await bob(method, path, body);
      const gone = await bob(method, otherPath, otherBody);
      const comparable = ({ status, body: answer, headers }: typeof hidden) => ({
        status,
        body: JSON.stringify(answer).replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "<id>"),
        headers: [...headers].filter(([name]) => name !== "x-request-id"),
      });
      expect([method, path, comparable(hidden)]).toEqual([method, path, comparable(gone)]);
      expect([method, path, hidden.status >= 400]).toEqual([method, path, !path.endsWith("/commands")]);
    }
    expect((await ann("GET", `/threads/${threadId}`)).body["metadata"]).not.toHaveProperty("x");
    expect((await ann("GET", `/threads/${threadId}/runs`)).body).toHaveLength(1);
  });

  it("is told only where §7.5 says so: 409 for an id that is taken, 404 for a run on another's thread", async () => {
    const { ann, bob } = await openOwned();
    const threadId = await thread(ann);
    const assistant = await ann("POST", "/assistants", { graph_id: "counter" });
    for (const ifExists of ["raise", "do_nothing"]) {
      const again = await bob("POST", "/threads", { thread_id: threadId, if_exists: ifExists });
      expect(again).toMatchObject({ status: 409, body: { detail: "Thread already exists" } });
      const { assistant_id: assistantId } = assistant.body;
      const other = { assistant_id: assistantId, graph_id: "counter", if_exists: ifExists };
      expect((await bob("POST", "/assistants", other)).status).toBe(409);
    }
    const created = { assistant_id: "counter", if_not_exists: "create" };
    expect((await bob("POST", `/threads/${threadId}/runs`, created)).status).toBe(404);
    expect((await ann("GET", `/threads/${threadId}/runs`)).body).toEqual([]);
  });

  it("is neither listed nor counted", async () => {
    const { ann, bob } = await openOwned();
    await thread(ann, { topic: "tea" });
    for (const kind of ["threads", "assistants"]) {
      const found = await bob("POST", `/${kind}/search`, {});
      expect([kind, found.body, found.headers.get("x-pagination-total")]).toEqual([kind, [], "0"]);
      expect((await bob("POST", `/${kind}/count`, {})).body).toBe(0);
    }
    expect((await ann("POST", "/threads/count", { metadata: { topic: "tea" } })).body).toBe(1);
  });
});

describe("the long-term store", () => {
  it("answers as §7.6 says", async () => {
    const { ann, bob } = await openOwned();
    const put = (user: typeof ann, namespace: string[]) =>
      user("PUT", "/store/items", { namespace, key: "k", value: { text: "x" } });
    const get = (user: typeof ann, namespace: string, key = "k") =>
      user("GET", `/store/items?namespace=${namespace}&key=${key}`);
    const remove = (user: typeof ann, namespace: string[], key = "k") =>
      user("DELETE", "/store/items", { namespace, key });
    expect((await put(ann, ["ann", "notes"])).status).toBe(204);
    expect(await put(bob, ["ann", "notes"])).toMatchObject({ status: 404, body: { detail: "Item not found" } });
    expect(await put(bob, ["ann", "other"])).toMatchObject({ status: 403, body: { detail: "Not authorized" } });
    expect((await get(ann, "ann.notes")).body).toMatchObject({ value: { text: "x" } });
    expect(await get(bob, "ann.notes")).toMatchObject({ status: 404, body: { detail: "Item not found" } });
    expect(await get(ann, "ann.notes", "missing")).toMatchObject({ status: 200, body: null });
    expect((await remove(bob, ["ann", "notes"])).status).toBe(404);
    expect((await remove(bob, ["ann", "notes"], "missing")).status).toBe(403);
    expect((await remove(bob, ["bob", "notes"], "missing")).status).toBe(204);
    expect((await bob("POST", "/store/items/search", { namespace_prefix: [] })).body).toEqual({ items: [] });
    expect((await bob("POST", "/store/namespaces", {})).body).toEqual({ namespaces: [] });
    expect((await ann("POST", "/store/namespaces", {})).body).toEqual({ namespaces: [["ann", "notes"]] });
    expect((await remove(ann, ["ann", "notes"])).status).toBe(204);
  });

  it("keeps callers apart whose handler puts them below their name", async () => {
    const auth = ownersAuth().on("store", ({ value, user }) => {
      value.namespace = [user.identity, ...(value.namespace ?? [])];
    });
    const { ann, bob } = await openOwned({ auth });
    for (const user of [ann, bob]) {
      await user("PUT", "/store/items", {
        namespace: ["notes"],
        key: "k",
        value: { of: user === ann ? "ann" : "bob" },
      });
    }
    expect((await ann("GET", "/store/items?namespace=notes&key=k")).body).toMatchObject({ value: { of: "ann" } });
    expect((await bob("POST", "/store/items/search", { namespace_prefix: [] })).body).toMatchObject({
      items: [{ namespace: ["bob", "notes"] }],
    });
    expect((await bob("GET", "/store/items?namespace=ann.notes&key=k")).body).toBeNull();
  });
});

it("a thread that could not be given its first state is gone, also where its filter was not stamped on it", async () => {
  const auth = ownersAuth().on("threads:create", ({ user }) => ({ owner: user.identity }));
  const { ann, app } = await openOwned({ auth });
  const threadId = v7();
  const body = {
    thread_id: threadId,
    metadata: { graph_id: "counter" },
    supersteps: [{ updates: [{ values: { n: 1 }, as_node: "no such node" }] }],
  };
  expect((await ann("POST", "/threads", body)).status).toBe(422);
  expect(await app.services.threads.count(SERVER, {})).toBe(0);
  expect((await ann("POST", "/threads", { thread_id: threadId, metadata: {} })).status).toBe(200);
});
