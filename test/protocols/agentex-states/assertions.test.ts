import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { agentexStates } from "../../../src/protocols/agentex-states/index.js";
import { ownersAuth } from "../../support/owners-auth.js";
import type { TestServer } from "../../support/server.js";
import { startServer, until } from "../../support/server.js";
import { type Agentex, agentexClient, PROTOCOL_STORAGES, type State } from "./client.js";

/* The numbered assertions of docs/wire/agentex-states.md §2.3. Number 34 is test/python/test_agentex_states.py, which counts the requests of number 35, too. */

const NOTHING = randomUUID();
const numbers = (rows: readonly State[]): readonly unknown[] => rows.map(({ state }) => state["n"]);
const ids = (rows: readonly State[]): readonly string[] => rows.map(({ id }) => id);

describe.each(PROTOCOL_STORAGES)("states on %s", (storage) => {
  let server: TestServer;
  let agentex: Agentex;
  const task = () => `task-${randomUUID()}`;

  beforeAll(async () => {
    server = await startServer(storage, { protocols: [agentexStates()] });
    agentex = agentexClient(`${server.url}/agentex`);
  }, 60_000);
  afterAll(() => server.close());

  const invalid = { status: 422, body: { status_code: 10_422, message: expect.any(String) as string, data: null } };
  const missing = (id: string) => ({
    status: 404,
    body: { message: `Item with id '${id}' does not exist.`, code: 404, data: null },
  });

  it("1: POST answers 200 with all keys, and updated_at", async () => {
    const taskId = task();
    const sent = { task_id: taskId, agent_id: "agent-1", state: { a: 1 } };
    const { status, body } = await agentex.send("POST", "/states", sent);
    expect(status).toBe(200);
    const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string;
    expect(body).toEqual({ id: expect.any(String) as string, ...sent, created_at: iso, updated_at: iso });
    expect(Object.keys(body as State)).toEqual(["id", "task_id", "agent_id", "state", "created_at", "updated_at"]);
  });

  it("2: a missing task_id, agent_id or state is 422 with status_code 10422", async () => {
    const whole = { task_id: "t", agent_id: "a", state: {} };
    for (const field of Object.keys(whole)) {
      const answer = await agentex.send("POST", "/states", { ...whole, [field]: undefined });
      expect(answer).toMatchObject(invalid);
      expect(answer.body).toMatchObject({ message: expect.stringContaining(field) as string });
    }
  });

  it("3: a state that is no object is 422", async () => {
    for (const state of [[], "text", 1, null, true]) {
      expect(await agentex.send("POST", "/states", { task_id: "t", agent_id: "a", state })).toMatchObject(invalid);
    }
  });

  it("mount rule 6: a body that is no JSON object is 422, never 500", async () => {
    for (const body of ["[]", '"x"', "", "{", "null", "\u0000"]) {
      expect(await agentex.send("POST", "/states", body)).toMatchObject(invalid);
    }
  });

  it("4: unknown keys of the body are ignored", async () => {
    const sent = { task_id: task(), agent_id: "a", state: {}, id: "mine", created_at: "never", more: [1] };
    const { status, body } = await agentex.send("POST", "/states", sent);
    expect(status).toBe(200);
    expect(body).not.toHaveProperty("more");
    expect(body).not.toMatchObject({ id: "mine" });
  });

  it("5: an empty state stays one", async () => {
    const { id } = await agentex.create(task(), {});
    expect((await agentex.retrieve(id)).state).toEqual({});
  });

  it("6: nested values, Unicode and numbers come back as they were sent", async () => {
    const deep = JSON.parse('{"a":'.repeat(100) + "1" + "}".repeat(100)) as object;
    const state = { deep, text: 'ünï \u{1F600} \n" \\ ﷽', list: [[], {}, null, -0.5, 1e300], "": 0, "a.b": 1, $c: 2 };
    const { id } = await agentex.create(task(), state);
    expect((await agentex.retrieve(id)).state).toEqual(state);
    // Python tells 1.0 from 1 and has larger integers; as text nothing of it is lost.
    const text = '{"float":1.0,"big":123456789012345678901234567890,"small":-0.0,"__proto__":{"a":1}}';
    const sent = await agentex.send("POST", "/states", `{"task_id":"t","agent_id":"a","state":${text}}`);
    const raw = await fetch(`${server.url}/agentex/states/${(sent.body as State).id}`);
    expect(await raw.text()).toContain(`"state":${text},`);
  });

  it("7: two states of one task and agent have two ids", async () => {
    const taskId = task();
    const [a, b] = [await agentex.create(taskId, {}), await agentex.create(taskId, {})];
    expect(a.id).not.toBe(b.id);
    expect(await agentex.list({ task_id: taskId })).toHaveLength(2);
  });

  it("8: GET by id equals what was created", async () => {
    const created = await agentex.create(task(), { a: [1] });
    expect(await agentex.retrieve(created.id)).toEqual(created);
  });

  it("9, 10: GET of an unknown id is 404 with code, data and the id in the message", async () => {
    for (const id of [NOTHING, "507f1f77bcf86cd799439011", "a b", "x".repeat(2000), "%00", "\ud83d\ude00"]) {
      const answer = await agentex.send("GET", `/states/${encodeURIComponent(id)}`);
      expect(answer).toMatchObject(missing(id));
    }
  });

  it("11: an unfiltered list is a bare array", async () => {
    await agentex.create(task(), {});
    const { status, body } = await agentex.send("GET", "/states");
    expect(status).toBe(200);
    expect(Array.isArray(body)).toBe(true);
  });

  it("12, 13, 14, 15: filters by task, by agent, by both, and none that match", async () => {
    const [one, two, agent, other] = [task(), task(), `agent-${randomUUID()}`, `agent-${randomUUID()}`];
    await agentex.create(one, { n: 1 }, agent);
    await agentex.create(one, { n: 2 }, other);
    await agentex.create(two, { n: 3 }, agent);
    expect(numbers(await agentex.list({ task_id: one }))).toEqual([1, 2]);
    expect(numbers(await agentex.list({ agent_id: agent }))).toEqual([1, 3]);
    expect(numbers(await agentex.list({ task_id: one, agent_id: agent }))).toEqual([1]);
    expect(await agentex.list({ task_id: two, agent_id: other })).toEqual([]);
    expect(await agentex.list({ task_id: task() })).toEqual([]);
    expect(await agentex.list({ task_id: "" })).toEqual([]);
  });

  it("16, 17, 18, 19, 24: 60 states are pages of 50 and 10 in order of creation, disjoint and complete", async () => {
    const taskId = task();
    for (let n = 0; n < 60; n += 1) await agentex.create(taskId, { n });
    const first = await agentex.list({ task_id: taskId });
    const second = await agentex.list({ task_id: taskId, page_number: "2" });
    expect(first).toHaveLength(50);
    expect(second).toHaveLength(10);
    expect(await agentex.list({ task_id: taskId, page_number: "3" })).toEqual([]);
    expect(await agentex.list({ task_id: taskId, page_number: String(2 ** 31 - 1), limit: "1000" })).toEqual([]);
    expect(numbers([...first, ...second])).toEqual(Array.from({ length: 60 }, (_, n) => n));
    expect(new Set(ids([...first, ...second])).size).toBe(60);
    const sevens: unknown[] = [];
    for (let page = 1; page <= 9; page += 1) {
      sevens.push(...numbers(await agentex.list({ task_id: taskId, limit: "7", page_number: String(page) })));
    }
    expect(sevens).toEqual(Array.from({ length: 60 }, (_, n) => n));
  });

  it("20: limits and pages that are no numbers from 1 on are 422", async () => {
    for (const query of [
      "limit=0",
      "page_number=0",
      "limit=abc",
      "limit=",
      "limit=1.5",
      "page_number=-1",
      "limit=1001",
    ]) {
      const answer = await agentex.send("GET", `/states?${query}`);
      expect(answer).toMatchObject(invalid);
      expect(answer.body).toMatchObject({ message: expect.stringContaining(query.split("=")[0] ?? "") as string });
    }
    expect(await agentex.send("GET", "/states?limit=1&limit=2")).toMatchObject(invalid);
  });

  it("21: order_by=created_at, in both directions", async () => {
    const taskId = task();
    for (let n = 0; n < 5; n += 1) {
      const { created_at: last } = await agentex.create(taskId, { n });
      await until(async () => new Date().toISOString() > last, "another millisecond");
    }
    const by = { task_id: taskId, order_by: "created_at" };
    expect(numbers(await agentex.list({ ...by, order_direction: "asc" }))).toEqual([0, 1, 2, 3, 4]);
    expect(numbers(await agentex.list({ ...by, order_direction: "desc" }))).toEqual([4, 3, 2, 1, 0]);
    expect(numbers(await agentex.list(by))).toEqual([4, 3, 2, 1, 0]);
    const [first] = await agentex.list({ task_id: taskId });
    await agentex.update(first?.id ?? "", { n: 9 });
    expect(numbers(await agentex.list({ task_id: taskId, order_by: "updated_at", limit: "2" }))).toEqual([9, 4]);
  });

  it("21: every field of a state may be ordered by", async () => {
    const taskId = task();
    for (const agent of ["b", "a"]) await agentex.create(taskId, { agent }, agent);
    for (const field of ["id", "task_id", "agent_id", "state", "created_at", "updated_at"]) {
      for (const direction of ["asc", "desc"]) {
        const rows = await agentex.list({ task_id: taskId, order_by: field, order_direction: direction });
        expect(rows).toHaveLength(2);
        if (field !== "agent_id" && field !== "state") continue;
        const agents = rows.map(({ agent_id: agent }) => agent);
        expect(agents).toEqual(direction === "asc" ? ["a", "b"] : ["b", "a"]);
      }
    }
  });

  it("22: order_by of an unknown field is 422", async () => {
    for (const field of ["nothing", "__proto__", "ID", ""]) {
      expect(await agentex.send("GET", `/states?order_by=${field}`)).toMatchObject(invalid);
    }
  });

  it("23: order_direction alone has no effect", async () => {
    const taskId = task();
    for (let n = 0; n < 3; n += 1) await agentex.create(taskId, { n });
    for (const direction of ["asc", "desc"]) {
      expect(numbers(await agentex.list({ task_id: taskId, order_direction: direction }))).toEqual([0, 1, 2]);
    }
  });

  it("25: PUT replaces the state and keeps everything else, updated_at is later", async () => {
    const before = await agentex.create(task(), { old: 1, both: 1 });
    await until(async () => new Date().toISOString() > before.created_at, "another millisecond");
    const after = await agentex.update(before.id, { both: 2 });
    expect(after).toEqual({ ...before, state: { both: 2 }, updated_at: after.updated_at });
    expect(Date.parse(after.updated_at)).toBeGreaterThan(Date.parse(before.updated_at));
    expect(await agentex.retrieve(before.id)).toEqual(after);
  });

  it("26: PUT ignores a task_id and an agent_id", async () => {
    const before = await agentex.create(task(), {});
    const sent = { state: { a: 1 }, task_id: "other", agent_id: "other", id: NOTHING };
    const { status, body } = await agentex.send("PUT", `/states/${before.id}`, sent);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: before.id, task_id: before.task_id, agent_id: before.agent_id, state: { a: 1 } });
    expect(await agentex.list({ task_id: before.task_id })).toHaveLength(1);
  });

  it("27: PUT of an unknown id is 404", async () => {
    expect(await agentex.send("PUT", `/states/${NOTHING}`, { state: {} })).toMatchObject(missing(NOTHING));
  });

  it("28: PUT without a state is 422", async () => {
    const { id } = await agentex.create(task(), {});
    for (const body of [{}, { state: null }, { state: [] }]) {
      expect(await agentex.send("PUT", `/states/${id}`, body)).toMatchObject(invalid);
    }
  });

  it("29, 30: DELETE answers with the state; then it is gone for GET, DELETE, PUT and lists", async () => {
    const kept = await agentex.create(task(), { n: 1 });
    const { id, task_id: taskId } = await agentex.create(kept.task_id, { n: 2 });
    const { status, body } = await agentex.send("DELETE", `/states/${id}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id, task_id: taskId, state: { n: 2 } });
    for (const method of ["GET", "DELETE"]) {
      expect(await agentex.send(method, `/states/${id}`)).toMatchObject(missing(id));
    }
    expect(await agentex.send("PUT", `/states/${id}`, { state: {} })).toMatchObject(missing(id));
    expect(ids(await agentex.list({ task_id: taskId }))).toEqual([kept.id]);
  });

  it("31: no Authorization is needed where the server asks for none, and any is ignored", async () => {
    const headers = { authorization: "Bearer of-nothing" };
    const sent = { task_id: task(), agent_id: "a", state: {} };
    expect((await agentex.send("POST", "/states", sent)).status).toBe(200);
    expect((await agentex.send("POST", "/states", sent, headers)).status).toBe(200);
  });

  it("33: a slash at the end is no redirect", async () => {
    const { id } = await agentex.create(task(), {});
    for (const path of ["/states/", `/states/${id}/`, "//states"]) {
      const response = await fetch(`${server.url}/agentex${path}`, { redirect: "manual" });
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ code: 404, data: null });
    }
  });

  it("36: of concurrent PUTs one stays whole, and all are answered", async () => {
    const { id } = await agentex.create(task(), {});
    const parts = Array.from({ length: 25 }, (_, n) => ({ a: n, b: "x".repeat(1000 + n), c: { n } }));
    const answers = await Promise.all(parts.map((state) => agentex.update(id, state)));
    expect(answers.map(({ state }) => state)).toEqual(parts);
    expect(parts).toContainEqual((await agentex.retrieve(id)).state);
  });

  it("mount rule 4: unknown routes and wrong methods have the protocol's envelope", async () => {
    expect(await agentex.send("GET", "/nothing")).toMatchObject({
      status: 404,
      body: { message: "Not Found", code: 404, data: null },
    });
    expect(await agentex.send("PATCH", "/states", {})).toMatchObject({
      status: 405,
      body: { message: "Method Not Allowed", code: 405, data: null },
    });
  });

  it("says that it is well, and that its storage is", async () => {
    for (const path of ["/healthz", "/readyz"]) expect((await agentex.send("GET", path)).status).toBe(200);
  });
});

describe.each(PROTOCOL_STORAGES)("states of two users on %s", (storage) => {
  let server: TestServer;
  let ann: Agentex;
  let bob: Agentex;

  beforeAll(async () => {
    server = await startServer(storage, { protocols: [agentexStates()], auth: ownersAuth() });
    [ann, bob] = ["ann", "bob"].map((name) =>
      agentexClient(`${server.url}/agentex`, { authorization: `Bearer ${name}` }),
    ) as [Agentex, Agentex];
  }, 60_000);
  afterAll(() => server.close());

  const threadOf = async (name: string): Promise<string> => {
    const headers = { authorization: `Bearer ${name}`, "content-type": "application/json" };
    const response = await fetch(`${server.url}/threads`, { method: "POST", headers, body: "{}" });
    return ((await response.json()) as { readonly thread_id: string }).thread_id;
  };

  it("31: a wrong key is 401, and so is none", async () => {
    const nobody = agentexClient(`${server.url}/agentex`);
    for (const headers of [{}, { authorization: "Bearer not right" }, { authorization: "Basic ann" }]) {
      const answer = await nobody.send("GET", "/states", undefined, headers);
      expect(answer).toMatchObject({ status: 401, body: { detail: expect.any(String) as string } });
    }
    expect((await nobody.send("GET", "/healthz")).status).toBe(200);
  });

  it("32: another's state is 404 and in none of the lists", async () => {
    const taskId = `task-${randomUUID()}`;
    const { id } = await ann.create(taskId, { secret: 1 });
    const answers = [
      await bob.send("GET", `/states/${id}`),
      await bob.send("PUT", `/states/${id}`, { state: {} }),
      await bob.send("DELETE", `/states/${id}`),
    ];
    for (const { status, body } of answers) {
      expect(status).toBe(404);
      expect(body).toEqual({ message: `Item with id '${id}' does not exist.`, code: 404, data: null });
    }
    expect(await bob.list({})).toEqual([]);
    expect(await bob.list({ task_id: taskId })).toEqual([]);
    // An id that is no thread's is not taken: both have their own.
    const his = await bob.create(taskId, { n: 1 });
    expect(ids(await bob.list({ task_id: taskId }))).toEqual([his.id]);
    expect(ids(await ann.list({ task_id: taskId }))).toEqual([id]);
  });

  it("35: a failure that no retry cures says so, one of a request does not", async () => {
    const auth = ownersAuth().on("threads:search", () => {
      throw new Error("a handler of the deployer's fails");
    });
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const failing = await startServer(storage, { protocols: [agentexStates()], auth, logger });
    try {
      const ask = agentexClient(`${failing.url}/agentex`, { authorization: "Bearer ann" });
      const { status, headers } = await ask.send("GET", "/states");
      expect([status, headers.get("x-should-retry")]).toEqual([500, "false"]);
      const missing = await ask.send("GET", `/states/${NOTHING}`);
      expect([missing.status, missing.headers.get("x-should-retry")]).toEqual([404, null]);
    } finally {
      await failing.close();
    }
  }, 60_000);

  it("32: nobody makes a state of a task that is another's thread", async () => {
    const threadId = await threadOf("ann");
    await ann.create(threadId, { n: 1 });
    for (const id of [threadId, threadId.toUpperCase()]) {
      const sent = { task_id: id, agent_id: "a", state: {} };
      expect(await bob.send("POST", "/states", sent)).toMatchObject({ status: 404, body: { code: 404 } });
      expect(await bob.list({ task_id: id })).toEqual([]);
    }
    expect(await ann.list({ task_id: threadId })).toHaveLength(1);
  });
});
