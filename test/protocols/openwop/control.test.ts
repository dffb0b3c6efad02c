import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Served, serve, typesOf, until } from "./served.js";

const STORAGES = ["memory", "sqlite", "postgres"] as const;

describe.each(STORAGES)("control on %s", (storage) => {
  let served: Served;
  beforeAll(async () => {
    served = await serve(storage);
  });
  afterAll(() => served.close());

  test("27: the same key and body start one run", async () => {
    const { ann } = served;
    const headers = { "idempotency-key": `k27-${storage}` };
    const body = { workflowId: "conformance-idempotent", inputs: { nonce: "1" } };
    const first = await ann.send("POST", "/v1/runs", body, headers);
    expect(first.headers.get("openwop-idempotent-replay")).toBeNull();
    const again = await ann.send("POST", "/v1/runs", body, headers);
    expect(again.status).toBe(201);
    expect(again.body).toEqual(first.body);
    expect(again.headers.get("openwop-idempotent-replay")).toBe("true");
    const five = { "idempotency-key": `k27-five-${storage}` };
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => ann.send("POST", "/v1/runs", body, five)));
    const ids = new Set(answers.flatMap(({ status, body: { runId } }) => (status === 201 ? [runId] : [])));
    expect(ids.size).toBe(1);
    for (const { status } of answers) expect([201, 409]).toContain(status);
  });

  test("28: the same key with another body is refused", async () => {
    const { ann } = served;
    const headers = { "idempotency-key": `k28-${storage}` };
    await ann.send("POST", "/v1/runs", { workflowId: "conformance-noop" }, headers);
    const other = await ann.send("POST", "/v1/runs", { workflowId: "conformance-noop", tags: ["x"] }, headers);
    expect(other).toMatchObject({ status: 409, body: { error: "idempotency_key_mismatch" } });
    expect(JSON.stringify(other.body)).not.toContain("runId");
  });

  test("29: a refusal of what is not valid is not kept", async () => {
    const { ann } = served;
    const headers = { "idempotency-key": `k29-${storage}` };
    expect((await ann.send("POST", "/v1/runs", { tags: [] }, headers)).status).toBe(400);
    expect((await ann.send("POST", "/v1/runs", { workflowId: "conformance-noop" }, headers)).status).toBe(201);
  });

  test("30: a key is the caller's and the operation's", async () => {
    const { ann } = served;
    const bob = await served.user("bob");
    const headers = { "idempotency-key": `k30-${storage}` };
    const body = { workflowId: "conformance-cancellable" };
    const { runId } = (await ann.send("POST", "/v1/runs", body, headers)).body;
    const others = (await bob.send("POST", "/v1/runs", body, headers)).body.runId;
    expect(others).not.toBe(runId);
    const cancelled = await ann.send("POST", `/v1/runs/${runId}/cancel`, {}, headers);
    expect(cancelled).toMatchObject({ status: 200, body: { status: "cancelled" } });
    const again = await ann.send("POST", `/v1/runs/${runId}/cancel`, {}, headers);
    expect(again.headers.get("openwop-idempotent-replay")).toBe("true");
    const fork = { mode: "replay" };
    const forks = [1, 2].map(() => ann.send("POST", `/v1/runs/${others}:fork`, fork, headers));
    for (const { status } of await Promise.all(forks)) expect(status).toBe(404);
    const forked = await bob.send("POST", `/v1/runs/${others}:fork`, fork, headers);
    const forkedAgain = await bob.send("POST", `/v1/runs/${others}:fork`, fork, headers);
    expect(forked.status).toBe(201);
    expect([forkedAgain.status, forkedAgain.body]).toEqual([201, forked.body]);
    expect(forkedAgain.headers.get("openwop-idempotent-replay")).toBe("true");
    await bob.send("POST", `/v1/runs/${others}/cancel`, {});
  });

  test("31: a run in a long sleep is cancelled within five seconds", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-cancellable");
    await until(async () => typesOf(await ann.log(runId)).includes("node.started"), "the node to start");
    const began = performance.now();
    const answer = await ann.send("POST", `/v1/runs/${runId}/cancel`, { reason: "enough" });
    expect(answer).toMatchObject({ status: 200, body: { runId, status: "cancelled" } });
    expect((await ann.snapshot(runId)).status).toBe("cancelled");
    expect(performance.now() - began).toBeLessThan(5_000);
    const events = await ann.log(runId);
    expect(events.at(-1)).toMatchObject({ type: "run.cancelled", payload: { reason: "enough" } });
    await until(async () => (await ann.client.threads.get(runId)).status !== "busy", "the LangGraph run to stop");
    const again = await ann.send("POST", `/v1/runs/${runId}/cancel`, {});
    expect(again).toMatchObject({ status: 200, body: { status: "cancelled" } });
    expect(await ann.log(runId)).toEqual(events);
  });

  test("31: cancelling what has ended changes nothing", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-noop");
    await ann.reaches(runId, "completed");
    const events = await ann.log(runId);
    const answer = await ann.send("POST", `/v1/runs/${runId}/cancel`, {});
    expect(answer).toMatchObject({ status: 200, body: { status: "completed" } });
    expect(await ann.log(runId)).toEqual(events);
  });

  test("31: children of a cancelled run are cancelled", async () => {
    const { ann } = served;
    const parent = await ann.start("conformance-cancellable");
    const child = await ann.start("conformance-cancellable", {}, { "x-openwop-parent-run-id": parent });
    expect(await ann.snapshot(parent)).toMatchObject({ childRuns: [{ runId: child }] });
    await ann.send("POST", `/v1/runs/${parent}/cancel`, {});
    expect(await ann.snapshot(child)).toMatchObject({ status: "cancelled", parentRunId: parent });
    expect((await ann.log(child)).at(-1).payload).toMatchObject({ parentRunId: parent });
    expect((await ann.log(parent)).at(-1).payload.parentRunId).toBeUndefined();
  });

  test("31: all children of a cancelled run are cancelled, however many", async () => {
    const { ann } = served;
    const parent = await ann.start("conformance-approval");
    const children: string[] = [];
    for (let child = 0; child < 101; child += 1) {
      children.push(await ann.start("conformance-approval", {}, { "x-openwop-parent-run-id": parent }));
    }
    await ann.send("POST", `/v1/runs/${parent}/cancel`, {});
    for (const child of children) expect((await ann.snapshot(child)).status).toBe("cancelled");
  }, 60_000);

  test("32: several are cancelled in one call", async () => {
    const { ann } = served;
    const sleeping = await ann.start("conformance-cancellable");
    const cancelled = await ann.start("conformance-cancellable");
    await ann.send("POST", `/v1/runs/${cancelled}/cancel`, {});
    const runIds = [sleeping, "no-such-run", cancelled];
    const { status, body } = await ann.send("POST", "/v1/runs:bulk-cancel", { runIds });
    expect(status).toBe(200);
    expect(body.results.map(({ runId, ok }: { runId: string; ok: boolean }) => [runId, ok])).toEqual([
      [sleeping, true],
      ["no-such-run", false],
      [cancelled, true],
    ]);
    expect(body.results[1].error).toMatchObject({ error: "not_found" });
    expect((await ann.send("POST", "/v1/runs%3Abulk-cancel", { runIds })).status).toBe(200);
  });

  test("32: a call without ids, or with too many, is refused", async () => {
    const { ann } = served;
    const many = Array.from({ length: 101 }, (_, index) => `r${index}`);
    for (const body of [{}, { runIds: [] }, { runIds: many }, { runIds: [1] }, { runIds: "r" }, []]) {
      const answer = await ann.send("POST", "/v1/runs:bulk-cancel", body);
      expect(answer).toMatchObject({ status: 400, body: { error: "validation_error" } });
    }
    const { body } = await ann.send("POST", "/v1/runs:bulk-cancel", { runIds: many });
    expect(body.details).toEqual({ maxRunIds: 100 });
  });

  test("33: a paused run does nothing until it is resumed", async () => {
    const { ann } = served;
    const runId = await ann.start("counting", { inputs: { steps: 4, stepMs: 150 } });
    await until(async () => typesOf(await ann.log(runId)).includes("node.started"), "the node to start");
    const paused = await ann.send("POST", `/v1/runs/${runId}:pause`, { reason: "lunch" });
    expect(paused).toMatchObject({ status: 202, body: { runId, status: "paused", pausedAt: expect.any(String) } });
    const events = await ann.log(runId);
    expect(typesOf(events).slice(-2)).toEqual(["node.completed", "run.paused"]);
    expect(events.at(-1).payload).toEqual({ reason: "lunch" });
    expect((await ann.snapshot(runId)).status).toBe("paused");
    const again = await ann.send("POST", `/v1/runs/${runId}:pause`, {});
    expect(again).toMatchObject({ status: 409, body: { details: { runStatus: "paused" } } });
    await until(async () => (await ann.client.threads.get(runId)).status === "interrupted", "the thread to rest");
    expect(await ann.log(runId)).toEqual(events);
    const resumed = await ann.send("POST", `/v1/runs/${runId}%3Aresume`, {});
    expect(resumed).toMatchObject({ status: 202, body: { runId, resumedAt: expect.any(String) } });
    await ann.reaches(runId, "completed");
    const all = await ann.log(runId);
    expect(typesOf(all).filter((type) => type === "node.started")).toHaveLength(4);
    expect(typesOf(all).filter((type) => type === "node.completed")).toHaveLength(4);
    expect(typesOf(all)[events.length]).toBe("run.resumed");
  });

  test("33: at once, a node is stopped and begins again", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-delay", { inputs: { delayMs: 1_500 } });
    await until(async () => typesOf(await ann.log(runId)).includes("node.started"), "the node to start");
    const paused = await ann.send("POST", `/v1/runs/${runId}:pause`, { drainPolicy: "immediate" });
    expect(paused).toMatchObject({ status: 202, body: { status: "paused" } });
    expect(typesOf(await ann.log(runId))).toEqual(["run.started", "node.started", "node.cancelled", "run.paused"]);
    await ann.send("POST", `/v1/runs/${runId}:resume`, {});
    await ann.reaches(runId, "completed");
    expect(typesOf(await ann.log(runId)).slice(4)).toEqual([
      "run.resumed",
      "node.started",
      "node.completed",
      "run.completed",
    ]);
  });

  test("33: a run that is resumed as soon as it rests goes on, and rests once", async () => {
    const { ann } = served;
    for (let round = 0; round < 3; round += 1) {
      const runId = await ann.start("counting", { inputs: { steps: 3, stepMs: 150 } });
      await until(async () => typesOf(await ann.log(runId)).includes("node.started"), "the node to start");
      expect((await ann.send("POST", `/v1/runs/${runId}:pause`, {})).body).toMatchObject({ status: "paused" });
      expect((await ann.send("POST", `/v1/runs/${runId}:resume`, {})).status).toBe(202);
      await ann.reaches(runId, "completed");
      const types = typesOf(await ann.log(runId));
      expect(types.filter((type) => type === "run.paused")).toHaveLength(1);
      expect(types.indexOf("run.resumed")).toBe(types.indexOf("run.paused") + 1);
      expect(types.filter((type) => type === "node.started")).toHaveLength(3);
    }
  });

  test("33: a pause before a run has begun, or gone on from an answer, loses neither input nor answer", async () => {
    const one = await serve(storage, { worker: { concurrency: 1 } });
    const { ann } = one;
    const rest = async (runId: string, busy: string) => {
      const pausing = ann.send("POST", `/v1/runs/${runId}:pause`, {});
      await ann.reaches(busy, "completed");
      expect((await pausing).body).toMatchObject({ status: "paused" });
      expect((await ann.send("POST", `/v1/runs/${runId}:resume`, {})).status).toBe(202);
      return ann.reaches(runId, "completed", "failed", "waiting-approval");
    };
    const waiting = await ann.start("conformance-approval");
    await ann.reaches(waiting, "waiting-approval");
    const first = await ann.start("deaf", { inputs: { stepMs: 1_500 } });
    const runId = await ann.start("conformance-identity", { inputs: { payload: { a: 1 } } });
    expect(await rest(runId, first)).toMatchObject({ status: "completed", variables: { payload: { a: 1 } } });
    expect(typesOf(await ann.log(runId)).slice(0, 3)).toEqual(["run.started", "run.paused", "run.resumed"]);
    const second = await ann.start("deaf", { inputs: { stepMs: 1_500 } });
    await ann.reaches(second, "running");
    const answered = await ann.send("POST", `/v1/runs/${waiting}/interrupts/gate`, {
      resumeValue: { action: "accept" },
    });
    expect(answered.status).toBe(200);
    expect((await rest(waiting, second)).status).toBe("completed");
    const types = typesOf(await ann.log(waiting));
    expect(types.filter((type) => type === "interrupt.requested")).toHaveLength(1);
    expect(types.slice(types.indexOf("approval.received") + 1)).toEqual([
      "run.paused",
      "run.resumed",
      "node.resumed",
      "node.completed",
      "run.completed",
    ]);
    await one.close();
  });

  test("33: a node that is stopped after an answer does not ask again", async () => {
    const { ann } = served;
    const runId = await ann.start("askThenWork");
    await ann.reaches(runId, "waiting-input");
    await ann.send("POST", `/v1/runs/${runId}/interrupts/ask`, { resumeValue: "yes" });
    await until(async () => typesOf(await ann.log(runId)).includes("node.resumed"), "the node to go on");
    const paused = await ann.send("POST", `/v1/runs/${runId}:pause`, { drainPolicy: "immediate" });
    expect(paused).toMatchObject({ status: 202, body: { status: "paused" } });
    await ann.send("POST", `/v1/runs/${runId}:resume`, {});
    const done = await ann.reaches(runId, "completed", "waiting-input");
    expect(done).toMatchObject({ status: "completed", variables: { left: "yes" } });
  });

  test("33: what does not execute can't be paused, and what does not rest not resumed", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-cancellable");
    await until(async () => typesOf(await ann.log(runId)).includes("node.started"), "the node to start");
    const resumed = await ann.send("POST", `/v1/runs/${runId}:resume`, {});
    expect(resumed).toMatchObject({ status: 409, body: { details: { runStatus: "running" } } });
    await ann.send("POST", `/v1/runs/${runId}/cancel`, {});
    const done = await ann.start("conformance-noop");
    await ann.reaches(done, "completed");
    const paused = await ann.send("POST", `/v1/runs/${done}:pause`, {});
    expect(paused).toMatchObject({ status: 409, body: { details: { runStatus: "completed" } } });
    const waiting = await ann.start("conformance-approval");
    await ann.reaches(waiting, "waiting-approval");
    const held = await ann.send("POST", `/v1/runs/${waiting}:pause`, {});
    expect(held).toMatchObject({ status: 409, body: { details: { runStatus: "waiting-approval" } } });
    expect((await ann.send("POST", `/v1/runs/${done}:pause`, { drainPolicy: "never" })).status).toBe(400);
  });

  test("33: a pause under a key is answered again", async () => {
    const { ann } = served;
    const runId = await ann.start("counting", { inputs: { steps: 3, stepMs: 100 } });
    const headers = { "idempotency-key": `k33-${storage}` };
    const first = await ann.send("POST", `/v1/runs/${runId}:pause`, {}, headers);
    expect(first.status).toBe(202);
    const again = await ann.send("POST", `/v1/runs/${runId}:pause`, {}, headers);
    expect(again).toMatchObject({ status: 202, body: first.body });
    await ann.send("POST", `/v1/runs/${runId}/cancel`, {});
  });

  test("49: a scope has one active run where that is asked for", async () => {
    const { ann } = served;
    const bob = await served.user("bob");
    const dedup = { "x-dedup": "enforce" };
    const body = { workflowId: "conformance-cancellable", scopeId: "order-1" };
    const runId = await ann.start(body.workflowId, { scopeId: body.scopeId }, dedup);
    const second = await ann.send("POST", "/v1/runs", body, dedup);
    expect(second).toMatchObject({
      status: 409,
      body: { error: "run_already_active", details: { activeRunId: runId, retryAfter: expect.any(Number) } },
    });
    expect(Number(second.headers.get("retry-after"))).toBeGreaterThan(0);
    const elsewhere = await ann.start(body.workflowId, { scopeId: "order-2" }, dedup);
    const others = await bob.start(body.workflowId, { scopeId: body.scopeId }, dedup);
    await ann.send("POST", `/v1/runs/${runId}/cancel`, {});
    const next = await ann.start(body.workflowId, { scopeId: body.scopeId }, dedup);
    for (const id of [elsewhere, next]) await ann.send("POST", `/v1/runs/${id}/cancel`, {});
    await bob.send("POST", `/v1/runs/${others}/cancel`, {});
  });

  test("49: of many at once, one has the scope", async () => {
    const { ann } = served;
    const body = { workflowId: "conformance-cancellable", scopeId: "race" };
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => ann.send("POST", "/v1/runs", body, { "x-dedup": "enforce" })),
    );
    const started = answers.filter(({ status }) => status === 201);
    expect(started).toHaveLength(1);
    const activeRunId = started[0]?.body.runId;
    for (const { status, body: said } of answers.filter((one) => one.status !== 201)) {
      expect([status, said.error, said.details.activeRunId]).toEqual([409, "run_already_active", activeRunId]);
    }
    await ann.send("POST", `/v1/runs/${activeRunId}/cancel`, {});
  });
});
