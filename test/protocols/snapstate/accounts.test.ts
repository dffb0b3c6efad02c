import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openReceiver, type Receiver } from "../../webhooks/receiver.js";
import { errorOf, fresh, type Json, PROTOCOL_STORAGES, type Served, serve, until, type User } from "./served.js";

describe.each(PROTOCOL_STORAGES)("SnapState's agents, webhooks and accounts on %s", (storage) => {
  let served: Served;
  let ann: User;
  let receiver: Receiver;
  beforeAll(async () => {
    served = await serve(storage);
    ann = await served.user("ann");
    receiver = await openReceiver();
  });
  afterAll(async () => {
    await served.close();
    await receiver.close();
  });

  /** What was told of a workflow. */
  const told = (workflow: string) =>
    receiver.received.filter(({ body }) => (body["data"] as Json)["workflow_id"] === workflow);
  const hook = (events: readonly string[], more: Json = {}, user = ann) =>
    user.send("POST", "/webhooks", { url: `${receiver.url}/in`, events, ...more });

  test("34: agents: 201, replaced by a second POST, read, patched, deleted", async () => {
    const user = await served.user(fresh("agents"));
    const first = await user.send("POST", "/agents", {
      agent_id: "a_1",
      name: "<b>Ada</b>\u0007",
      description: "d",
      capabilities: ["x", "y"],
      metadata: { k: 1 },
    });
    expect(first.status).toBe(201);
    expect(first.body).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4/) as string,
      agent_id: "a_1",
      name: "Ada",
      description: "d",
      capabilities: ["x", "y"],
      metadata: { k: 1 },
      last_seen_at: null,
      created_at: expect.stringMatching(/Z$/) as string,
    });
    const second = await user.send("POST", "/agents", { agent_id: "a_1", name: "Bob" });
    expect(second.status).toBe(201);
    expect(second.body).toEqual({ ...first.body, name: "Bob", description: null, capabilities: [], metadata: {} });
    expect((await user.send("GET", "/agents/a_1")).body).toEqual(second.body);
    const patched = await user.send("PATCH", "/agents/a_1", { description: "new", metadata: { z: 1 } });
    expect([patched.status, patched.body]).toEqual([200, { ...second.body, description: "new", metadata: { z: 1 } }]);
    expect(errorOf(await user.send("PATCH", "/agents/a_1", {}))).toEqual([400, "VALIDATION_ERROR"]);
    expect(errorOf(await user.send("PATCH", "/agents/a_1", { agent_id: "b" }))).toEqual([400, "VALIDATION_ERROR"]);
    const deleted = await user.send("DELETE", "/agents/a_1");
    expect([deleted.status, deleted.text]).toEqual([204, ""]);
    for (const [method, body] of [["GET"], ["DELETE"], ["PATCH", { name: "x" }]] as const) {
      expect(errorOf(await user.send(method, "/agents/a_1", body))).toEqual([404, "AGENT_NOT_FOUND"]);
    }
  });

  test("34: ids of agents that are none are 400", async () => {
    for (const id of ["", "a b", "ü", "a/b", "x".repeat(256), 1, undefined]) {
      expect(errorOf(await ann.send("POST", "/agents", { agent_id: id }))).toEqual([400, "VALIDATION_ERROR"]);
    }
    expect((await ann.send("POST", "/agents", { agent_id: "x".repeat(255) })).status).toBe(201);
  });

  // Sixty requests take FerretDB fifteen seconds; what is told apart by storages is in bounded-set.test.ts.
  test.skipIf(storage === "mongodb")(
    "34: the 51st agent is refused, also when many come at once, and an old one is still replaced",
    async () => {
      const user = await served.user(fresh("many"));
      const ids = Array.from({ length: 60 }, (_, n) => `agent-${n}`);
      const answers = await Promise.all(ids.map((id) => user.send("POST", "/agents", { agent_id: id })));
      const made = ids.filter((_, n) => answers[n]?.status === 201);
      expect(made).toHaveLength(50);
      const refused = answers.find(({ status }) => status !== 201);
      expect(refused && errorOf(refused)).toEqual([400, "MAX_AGENTS_REACHED"]);
      expect((await user.send("POST", "/agents", { agent_id: made[0], name: "again" })).status).toBe(201);
      expect((await user.send("GET", "/agents")).body["agents"]).toHaveLength(50);
      await user.send("DELETE", `/agents/${made[1]}`);
      expect((await user.send("POST", "/agents", { agent_id: "one-more" })).status).toBe(201);
      expect(errorOf(await user.send("POST", "/agents", { agent_id: "two-more" }))).toEqual([
        400,
        "MAX_AGENTS_REACHED",
      ]);
    },
  );

  test("35: saving stamps last_seen_at; the list has those seen last first, then those made last", async () => {
    const user = await served.user(fresh("seen"));
    for (const id of ["a", "b", "c", "d"]) await user.send("POST", "/agents", { agent_id: id });
    const workflow = fresh();
    const order = async () =>
      ((await user.send("GET", "/agents")).body["agents"] as Json[]).map((one) => one["agent_id"]);
    expect(await order()).toEqual(["d", "c", "b", "a"]);
    await user.save({ workflow_id: workflow, step: 1, agent_id: "b" });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { body } = await user.save({ workflow_id: workflow, step: 2, agent_id: "a" });
    await user.save({ workflow_id: workflow, step: 3, agent_id: "nobody" });
    expect(await order()).toEqual(["a", "b", "d", "c"]);
    expect((await user.send("GET", "/agents/a")).body["last_seen_at"]).toBe(body["created_at"]);
    expect(errorOf(await user.send("GET", "/agents/nobody"))).toEqual([404, "AGENT_NOT_FOUND"]);
  });

  test("36: webhooks are made and deleted; the secret is never told", async () => {
    const { status, body, text } = await hook(["checkpoint.saved"], { secret: "s3cret" });
    expect(status).toBe(201);
    expect(body).toEqual({
      webhook_id: expect.stringMatching(/^wh_[0-9a-f]{24}$/) as string,
      url: `${receiver.url}/in`,
      events: ["checkpoint.saved"],
      created_at: expect.stringMatching(/Z$/) as string,
    });
    expect(text).not.toContain("s3cret");
    for (const bad of [
      { events: [] },
      { events: ["checkpoint.deleted"] },
      { url: "nonsense" },
      { url: "/own/path" },
      { url: "ftp://x/y" },
      { url: `http://h/${"x".repeat(2048)}` },
      { extra: 1 },
      { secret: "x".repeat(257) },
    ]) {
      expect(errorOf(await hook(["checkpoint.saved"], bad))).toEqual([400, "VALIDATION_ERROR"]);
    }
    const other = await served.user("ann");
    const path = `/webhooks/${String(body["webhook_id"])}`;
    // Of another key, of the same account or not.
    expect(errorOf(await other.send("DELETE", path))).toEqual([404, "NOT_FOUND"]);
    expect(errorOf(await (await served.user("bob")).send("DELETE", path))).toEqual([404, "NOT_FOUND"]);
    const deleted = await ann.send("DELETE", path);
    expect([deleted.status, deleted.text]).toEqual([204, ""]);
    expect(errorOf(await ann.send("DELETE", path))).toEqual([404, "NOT_FOUND"]);
    expect(errorOf(await ann.send("DELETE", "/webhooks/nonsense"))).toEqual([404, "NOT_FOUND"]);
  });

  test("37: a save is told, signed over the raw body", async () => {
    const user = await served.user("ann");
    const made = await hook(["checkpoint.saved"], { secret: "s3cret" }, user);
    const workflow = fresh("ü");
    const { body: saved } = await user.save({ workflow_id: workflow, step: 7 });
    await until(async () => told(workflow).length === 1, "the webhook");
    const [got] = told(workflow);
    expect(got?.body).toEqual({
      event: "checkpoint.saved",
      webhook_id: made.body["webhook_id"],
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      data: { workflow_id: workflow, checkpoint_id: saved["checkpoint_id"], step: 7 },
    });
    const signature = createHmac("sha256", "s3cret")
      .update(got?.text ?? "")
      .digest("hex");
    expect(got?.headers).toMatchObject({
      "x-checkpoint-signature": `sha256=${signature}`,
      "user-agent": "CheckpointService/1.0",
      "content-type": "application/json",
    });
    // Nothing is written, so nothing is told.
    await user.save({ workflow_id: workflow, step: 7 }, { "if-match": String(saved["etag"]) });
    await user.save({ workflow_id: workflow, step: 7 });
    await user.save({ workflow_id: workflow, step: 8 });
    await until(async () => told(workflow).length >= 2, "the next webhook");
    expect(told(workflow).map(({ body }) => (body["data"] as Json)["step"])).toEqual([7, 8]);
  });

  test("37: without a secret there is no signature; a receiver that fails does not matter, and is asked once", async () => {
    const broken = await openReceiver();
    broken.answers((response) => void response.writeHead(500).end());
    const user = await served.user("ann");
    await user.send("POST", "/webhooks", { url: broken.url, events: ["checkpoint.saved"] });
    await user.send("POST", "/webhooks", { url: "http://127.0.0.1:1/", events: ["checkpoint.saved"] });
    await hook(["checkpoint.saved"], {}, user);
    const workflow = fresh();
    expect((await user.save({ workflow_id: workflow })).status).toBe(201);
    await broken.got(1);
    await until(async () => told(workflow).length === 1, "the other webhook");
    expect(told(workflow)[0]?.headers).not.toHaveProperty("x-checkpoint-signature");
    expect(broken.received).toHaveLength(1);
    await broken.close();
  });

  test("37: a receiver that never answers holds up no save", async () => {
    const silent = await openReceiver();
    const held: (() => void)[] = [];
    silent.answers((response) => void held.push(() => response.writeHead(204).end()));
    const user = await served.user("ann");
    await user.send("POST", "/webhooks", { url: silent.url, events: ["checkpoint.saved"] });
    const workflow = fresh();
    for (const step of [1, 2, 3]) expect((await user.save({ workflow_id: workflow, step })).status).toBe(201);
    await silent.got(1);
    // All three are saved, and nobody has been answered.
    expect((await user.send("GET", `/workflows/${workflow}/resume`)).body["total_checkpoints"]).toBe(3);
    for (const answer of held) answer();
    await silent.close();
  });

  test("a resume and an expiry are told to who asked for them, and to nobody else", async () => {
    const user = await served.user("ann");
    await hook(["workflow.resumed", "workflow.expired"], {}, user);
    const silent = await served.user("ann");
    const workflow = fresh();
    await user.save({ workflow_id: workflow, step: 1 }, { "x-checkpoint-ttl": "2" });
    await user.send("GET", `/workflows/${workflow}/resume`);
    // Of another key: told to its own webhooks, of which there are none.
    await silent.send("GET", `/workflows/${workflow}/resume`);
    await until(async () => told(workflow).length === 2, "the expiry");
    expect(told(workflow).map(({ body }) => [body["event"], (body["data"] as Json)["step"]])).toEqual([
      ["workflow.resumed", 1],
      ["workflow.expired", 1],
    ]);
    const metadata = { snapstate: { workflow_id: workflow } };
    await until(async () => (await user.client.threads.search({ metadata })).length === 0, "the thread to go");
    expect(told(workflow)).toHaveLength(2);
  });

  test("38: another account sees nothing; two keys of one account see the same", async () => {
    const workflow = fresh();
    const { body } = await ann.save({ workflow_id: workflow, state: { secret: 1 }, agent_id: "mine" });
    await ann.send("POST", "/agents", { agent_id: "mine" });
    const bob = await served.user("bob");
    expect(errorOf(await bob.send("GET", `/checkpoints/${String(body["checkpoint_id"])}`))).toEqual([404, "NOT_FOUND"]);
    expect(errorOf(await bob.send("GET", `/workflows/${workflow}/resume`))).toEqual([404, "NOT_FOUND"]);
    expect((await bob.send("GET", `/workflows/${workflow}/replay`)).body).toMatchObject({
      checkpoints: [],
      total: 0,
    });
    expect((await bob.send("GET", "/agents")).body).toEqual({ agents: [] });
    expect(errorOf(await bob.send("GET", "/agents/mine"))).toEqual([404, "AGENT_NOT_FOUND"]);
    // The same names are free to him, and change nothing of hers.
    const his = await bob.save({ workflow_id: workflow, state: { his: 2 } });
    expect([his.status, his.body["diff_from_previous"]]).toMatchObject([201, { added: ["his"] }]);
    const other = await served.user("ann");
    const read = await other.send("GET", `/checkpoints/${String(body["checkpoint_id"])}`);
    expect([read.status, read.body["state"]]).toEqual([200, { secret: 1 }]);
    expect((await other.save({ workflow_id: workflow, step: 2 })).status).toBe(201);
    expect((await ann.send("GET", `/workflows/${workflow}/resume`)).body["total_checkpoints"]).toBe(2);
    const seen = (await other.send("GET", "/agents")).body["agents"] as Json[];
    expect(seen.map((one) => one["agent_id"])).toContain("mine");
  });

  test("39: too many requests are 429 with a whole number of seconds", async () => {
    const limited = await serve(storage, { limits: { requestsPerCaller: { perSecond: 0.1, burst: 2 } } });
    try {
      const user = await limited.user("ann");
      for (let i = 0; i < 2; i += 1) expect((await user.send("GET", "/agents")).status).toBe(200);
      const refused = await user.send("GET", "/agents");
      expect(errorOf(refused)).toEqual([429, "RATE_LIMITED"]);
      expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
      expect((await limited.nobody.send("GET", "/health")).status).toBe(200);
    } finally {
      await limited.close();
    }
  });
});
