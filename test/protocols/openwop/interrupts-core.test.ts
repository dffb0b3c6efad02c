import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Json, type Served, serve, typesOf, type User, until } from "./served.js";

const STORAGES = ["memory", "sqlite", "postgres"] as const;

const answer = (user: User, runId: string, nodeId: string, resumeValue: Json, more: Json = {}) =>
  user.send("POST", `/v1/runs/${runId}/interrupts/${nodeId}`, { resumeValue, ...more });

const ends = (events: readonly Json[]) =>
  typesOf(events).filter((type) => /^run\.(completed|failed|cancelled)$/.test(type));

describe.each(STORAGES)("runs that wait, on %s", (storage) => {
  let served: Served;
  beforeAll(async () => {
    served = await serve(storage);
  });
  afterAll(() => served.close());

  test("35: what an answer leads to, in its order", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-approval");
    const waiting = await ann.reaches(runId, "waiting-approval");
    expect(waiting).toMatchObject({ currentNodeId: "gate", interrupt: { kind: "approval", nodeId: "gate" } });
    const answered = await answer(ann, runId, "gate", { action: "accept" });
    expect(answered).toMatchObject({ status: 200, body: { runId, nodeId: "gate" } });
    await ann.reaches(runId, "completed");
    const events = await ann.log(runId);
    expect(typesOf(events)).toEqual([
      "run.started",
      "node.started",
      "node.suspended",
      "interrupt.requested",
      "approval.requested",
      "interrupt.resolved",
      "approval.received",
      "node.resumed",
      "node.completed",
      "run.completed",
    ]);
    expect(events[5].payload).toMatchObject({ nodeId: "gate", interruptId: events[3].payload.interruptId });
  });

  test("38: of ten answers at once one is taken", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-approval");
    await ann.reaches(runId, "waiting-approval");
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => answer(ann, runId, "gate", { action: "accept" })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(9);
    await ann.reaches(runId, "completed");
    expect(typesOf(await ann.log(runId)).filter((type) => type === "interrupt.resolved")).toHaveLength(1);
  });

  test("38: an answer and a cancel at once end the run once", async () => {
    const { ann } = served;
    for (let round = 0; round < 5; round += 1) {
      const runId = await ann.start("conformance-approval");
      await ann.reaches(runId, "waiting-approval");
      const [answered, cancelled] = await Promise.all([
        answer(ann, runId, "gate", { action: "accept" }),
        ann.send("POST", `/v1/runs/${runId}/cancel`, {}),
      ]);
      expect([200, 409, 410]).toContain(answered.status);
      expect(cancelled.status).toBe(200);
      await ann.reaches(runId, "completed", "cancelled");
      await until(async () => (await ann.client.threads.get(runId)).status !== "busy", "the thread to rest");
      expect(ends(await ann.log(runId))).toHaveLength(1);
    }
  });

  test("37: an answer after a cancel comes too late", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-approval");
    await ann.reaches(runId, "waiting-approval");
    await ann.send("POST", `/v1/runs/${runId}/cancel`, {});
    expect((await ann.snapshot(runId)).status).toBe("cancelled");
    const late = await answer(ann, runId, "gate", { action: "accept" });
    expect(late).toMatchObject({ status: 410, body: { error: "interrupt_gone" } });
  });

  test("34: any interrupt() of a graph is an interrupt; two at once are answered one by one", async () => {
    const { ann } = served;
    const runId = await ann.start("twoGates");
    const waiting = await ann.reaches(runId, "waiting-input");
    expect(waiting.interrupt).toMatchObject({ kind: "custom", data: { customKind: "langgraph.interrupt" } });
    expect((await answer(ann, runId, "askRight", "R")).status).toBe(200);
    await ann.reaches(runId, "waiting-input");
    expect((await answer(ann, runId, "askRight", "R2")).status).toBe(409);
    expect((await answer(ann, runId, "askLeft", { deep: ["L"] })).status).toBe(200);
    const done = await ann.reaches(runId, "completed");
    expect(done.variables).toMatchObject({ left: { deep: ["L"] }, right: "R" });
    const started = typesOf(await ann.log(runId)).filter((type) => type === "node.started");
    expect(started).toHaveLength(2);
  });

  test("34: two answers at once are both taken", async () => {
    const { ann } = served;
    const runId = await ann.start("twoGates");
    await ann.reaches(runId, "waiting-input");
    const both = await Promise.all([answer(ann, runId, "askRight", "R"), answer(ann, runId, "askLeft", "L")]);
    for (const { status } of both) expect(status).toBe(200);
    const done = await ann.reaches(runId, "completed", "failed");
    expect(done.variables).toMatchObject({ left: "L", right: "R" });
    const events = await ann.log(runId);
    expect(ends(events)).toEqual(["run.completed"]);
    expect(typesOf(events)).not.toContain("run.paused");
  });

  test("34: two questions of a nested graph are answered one by one", async () => {
    const { ann } = served;
    const runId = await ann.start("nestedGates");
    const waiting = await ann.reaches(runId, "waiting-input");
    expect(waiting).toMatchObject({ currentNodeId: "inner", interrupt: { interruptId: "int-1" } });
    expect((await answer(ann, runId, "inner", 1, { interruptId: "int-1" })).status).toBe(200);
    const again = await ann.reaches(runId, "waiting-input", "completed");
    expect(again.interrupt?.interruptId).toBe("int-2");
    expect((await answer(ann, runId, "inner", 2, { interruptId: "int-2" })).status).toBe(200);
    const done = await ann.reaches(runId, "completed");
    expect(new Set(Object.values(done.variables))).toEqual(new Set([1, 2]));
    const types = typesOf(await ann.log(runId));
    expect(types.filter((type) => type === "interrupt.requested")).toHaveLength(2);
    expect(types.filter((type) => type === "node.resumed")).toHaveLength(2);
    expect(types.filter((type) => type === "node.suspended")).toHaveLength(3);
  });

  test("42: a vote counts for the interrupt that it is given to, and for no other one of its node", async () => {
    const { ann } = served;
    const runId = await ann.start("ballots");
    await ann.reaches(runId, "waiting-approval");
    const vote = async (interruptId: string, decidedBy: string) =>
      (await answer(ann, runId, "vote", { action: "accept", decidedBy }, { interruptId })).status;
    const resolved = async () =>
      (await ann.log(runId))
        .filter(({ type }) => type === "interrupt.resolved")
        .map(({ payload }) => payload.interruptId);
    expect(await vote("int-2", "a")).toBe(200);
    expect(await vote("int-1", "b")).toBe(200);
    expect(await resolved()).toEqual([]);
    expect(await vote("int-2", "c")).toBe(200);
    expect(await resolved()).toEqual(["int-2"]);
    expect(await vote("int-1", "c")).toBe(200);
    expect(await resolved()).toEqual(["int-2", "int-1"]);
    await ann.reaches(runId, "completed");
  });

  test("34: a node that asks twice has two interrupts", async () => {
    const { ann } = served;
    const runId = await ann.start("twice");
    const first = await ann.reaches(runId, "waiting-input");
    await answer(ann, runId, "ask", 1);
    await until(async () => (await ann.snapshot(runId)).interrupt?.interruptId === "int-2", "the second question");
    expect(first.interrupt.interruptId).toBe("int-1");
    expect((await answer(ann, runId, "ask", 2, { interruptId: "int-1" })).status).toBe(409);
    await answer(ann, runId, "ask", 2, { interruptId: "int-2" });
    const done = await ann.reaches(runId, "completed");
    expect(done.variables).toMatchObject({ left: 1, right: 2 });
    expect(typesOf(await ann.log(runId)).filter((type) => type === "node.started")).toHaveLength(1);
  });

  test("54: the same run is a LangGraph thread", async () => {
    const { ann } = served;
    const runId = await ann.start("reviewed", { inputs: { messages: [{ role: "user", content: "the bill" }] } });
    await ann.reaches(runId, "waiting-input");
    const thread = await ann.client.threads.get(runId);
    expect(thread).toMatchObject({ status: "interrupted", metadata: { openwop: { runId, workflowId: "reviewed" } } });
    const state = await ann.client.threads.getState(runId);
    expect(state.next).toEqual(["review"]);
    expect((await answer(ann, runId, "review", { type: "approve" })).status).toBe(200);
    const done = await ann.reaches(runId, "completed");
    const after = await ann.client.threads.get(runId);
    expect(after.status).toBe("idle");
    expect(done.variables).toMatchObject({ sent: (after.values as Json).sent });
    const history = await ann.client.threads.getHistory(runId);
    expect(history.length).toBeGreaterThan(3);
    const runs = await ann.client.runs.list(runId);
    expect(runs.map(({ status }) => status)).toEqual(["success", "success"]);
  });

  test("54: a LangGraph client may follow a run, and answer it", async () => {
    const { ann } = served;
    const runId = await ann.start("reviewed", { inputs: { messages: [{ role: "user", content: "the bill" }] } });
    await ann.reaches(runId, "waiting-input");
    const values: Json[] = [];
    const stream = ann.client.runs.stream(runId, "reviewed", {
      command: { resume: { type: "edit", text: "Hello" } },
      streamMode: "values",
    });
    for await (const { event, data } of stream) if (event === "values") values.push(data);
    expect(values.at(-1).sent).toEqual(["Hello"]);
    const done = await ann.reaches(runId, "completed");
    expect(done.variables.sent).toEqual(["Hello"]);
    const events = await ann.log(runId);
    const resolved = events.find(({ type }) => type === "interrupt.resolved");
    expect(resolved.payload).toMatchObject({
      nodeId: "review",
      interruptId: "int-1",
      resumeValue: { type: "edit", text: "Hello" },
      resolvedBy: "langgraph",
    });
    const types = typesOf(events);
    expect(types.indexOf("node.resumed")).toBe(types.indexOf("interrupt.resolved") + 1);
    expect(ends(events)).toEqual(["run.completed"]);
    expect(types.filter((type) => type === "node.started")).toHaveLength(3);
  });

  test("54: a LangGraph client that cancels the run ends it", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-cancellable");
    await until(async () => typesOf(await ann.log(runId)).includes("node.started"), "the node to start");
    const [run] = await ann.client.runs.list(runId);
    await ann.client.runs.cancel(runId, run?.run_id ?? "", true);
    await ann.reaches(runId, "cancelled");
    expect(ends(await ann.log(runId))).toEqual(["run.cancelled"]);
  });

  test("54: a stream of the LangGraph API shows a run that OpenWOP started", async () => {
    const { ann } = served;
    const runId = await ann.start("counting", { inputs: { steps: 4, stepMs: 60 } });
    await until(async () => (await ann.client.runs.list(runId)).length > 0, "the run");
    const [run] = await ann.client.runs.list(runId);
    const seen: Json[] = [];
    for await (const { event, data } of ann.client.runs.joinStream(runId, run?.run_id ?? "")) {
      if (event === "values") seen.push(data);
    }
    expect(seen.at(-1)).toMatchObject({ done: 4 });
    await ann.reaches(runId, "completed");
  });

  test("52: another tenant sees none of it", async () => {
    const { ann } = served;
    const bob = await served.user("bob");
    const runId = await ann.start("conformance-approval");
    await ann.reaches(runId, "waiting-approval");
    for (const [method, path, body] of [
      ["GET", ""],
      ["GET", "/events"],
      ["GET", "/events/poll?timeout=1"],
      ["POST", "/cancel", {}],
      ["POST", ":pause", {}],
      ["POST", ":resume", {}],
      ["POST", ":fork", { mode: "replay" }],
      ["POST", "/interrupts/gate", { resumeValue: { action: "accept" } }],
    ] as const) {
      const refused = await bob.send(method, `/v1/runs/${runId}${path}`, body);
      expect([method, path, refused.status]).toEqual([method, path, 404]);
      expect((await served.nobody.send(method, `/v1/runs/${runId}${path}`, body)).status).toBe(401);
    }
    const bulk = await bob.send("POST", "/v1/runs:bulk-cancel", { runIds: [runId] });
    expect(bulk.body.results).toEqual([
      expect.objectContaining({ runId, ok: false, error: expect.objectContaining({ error: "not_found" }) }),
    ]);
    expect((await ann.snapshot(runId)).status).toBe("waiting-approval");
  });
});
