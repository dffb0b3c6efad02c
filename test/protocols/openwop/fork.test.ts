import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { courseOf, type Json, type Served, serve, typesOf, type User } from "./served.js";

const STORAGES = ["memory", "sqlite", "postgres"] as const;

const fork = (user: User, runId: string, body: Json) => user.send("POST", `/v1/runs/${runId}:fork`, body);

const approve = (user: User, runId: string, nodeId = "gate") =>
  user.send("POST", `/v1/runs/${runId}/interrupts/${nodeId}`, { resumeValue: { action: "accept" } });

describe.each(STORAGES)("forks on %s", (storage) => {
  let served: Served;
  beforeAll(async () => {
    served = await serve(storage);
  });
  afterAll(() => served.close());

  test.each([
    ["conformance-multi-node", {}],
    ["conformance-identity", { payload: { a: [1, 2] } }],
    ["conformance-failure", {}],
    ["conformance-stream-text", {}],
    ["counting", { steps: 4, stepMs: 0 }],
  ])("43: a replay of %s is as its source was, and as another replay", async (workflow, inputs) => {
    const { ann } = served;
    const source = await ann.start(workflow, { inputs });
    const { status } = await ann.reaches(source, "completed", "failed");
    const { body, status: code } = await fork(ann, source, { mode: "replay" });
    expect(code).toBe(201);
    expect(body).toMatchObject({ sourceRunId: source, mode: "replay", fromSeq: 0, eventsUrl: expect.any(String) });
    expect(body.runId).not.toBe(source);
    const replay = await ann.reaches(body.runId, "completed", "failed");
    expect(replay.status).toBe(status);
    const other = (await fork(ann, source, { mode: "replay", fromSeq: 0 })).body.runId;
    await ann.reaches(other, "completed", "failed");
    const without = (events: readonly Json[]) =>
      courseOf(events).map(({ type, nodeId, payload }) => [type, nodeId, { ...payload, runId: "*" }]);
    const course = without(await ann.log(source));
    expect(without(await ann.log(body.runId))).toEqual(course);
    expect(without(await ann.log(other))).toEqual(course);
    expect(replay.variables).toEqual((await ann.snapshot(source)).variables);
  });

  test("43: a replay calls no node", async () => {
    const { ann } = served;
    const source = await ann.start("conformance-delay", { inputs: { delayMs: 1_200 } });
    await ann.reaches(source, "completed");
    const began = performance.now();
    const { runId } = (await fork(ann, source, { mode: "replay" })).body;
    await ann.reaches(runId, "completed");
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  test("43: a replay that begins in the middle is as its source was", async () => {
    const { ann } = served;
    const source = await ann.start("conformance-multi-node");
    await ann.reaches(source, "completed");
    const events = await ann.log(source);
    for (let fromSeq = 0; fromSeq < events.length; fromSeq += 1) {
      const { runId } = (await fork(ann, source, { mode: "replay", fromSeq })).body;
      await ann.reaches(runId, "completed");
      expect(courseOf(await ann.log(runId))).toEqual(courseOf(events));
    }
  });

  test("44: forks that can't be are refused", async () => {
    const { ann } = served;
    const source = await ann.start("conformance-noop");
    await ann.reaches(source, "completed");
    const overlay = { runOptionsOverlay: { configurable: { x: 1 } } };
    for (const body of [
      { mode: "replay", ...overlay },
      { mode: "replay", fromSeq: -1 },
      { mode: "replay", fromSeq: 1.5 },
      { mode: "branch" },
      { mode: "sideways", fromSeq: 0 },
      { mode: "branch", fromSeq: 0, other: 1 },
      {},
      [],
    ]) {
      expect(await fork(ann, source, body)).toMatchObject({ status: 400, body: { error: "validation_error" } });
    }
    expect((await fork(ann, source, { mode: "replay", fromSeq: 1_000 })).status).toBe(422);
    const far = await fork(ann, source, { mode: "branch", fromSeq: 10_001 });
    expect([far.status, far.body.error, far.body.message]).toEqual([
      422,
      "validation_error",
      expect.stringContaining("at most 10000"),
    ]);
    expect((await fork(ann, "no-such-run", { mode: "replay" })).status).toBe(404);
    expect((await fork(ann, source, { mode: "replay", runOptionsOverlay: {} })).status).toBe(201);
  });

  test("45: a branch goes on from where it begins", async () => {
    const { ann } = served;
    const source = await ann.start("conformance-multi-node");
    await ann.reaches(source, "completed");
    const events = await ann.log(source);
    const fromSeq = events.findIndex(({ type, nodeId }) => type === "node.completed" && nodeId === "b") + 1;
    const runOptionsOverlay = { configurable: { flavour: "plum" }, tags: ["branch"], metadata: { why: "test" } };
    const { status, body } = await fork(ann, source, { mode: "branch", fromSeq, runOptionsOverlay });
    expect(status).toBe(201);
    const done = await ann.reaches(body.runId, "completed");
    expect(done).toMatchObject({ configurable: { flavour: "plum" }, tags: ["branch"], metadata: { why: "test" } });
    const branch = await ann.log(body.runId);
    expect(courseOf(branch.slice(0, fromSeq))).toEqual(courseOf(events.slice(0, fromSeq)));
    expect(branch.slice(0, fromSeq).map(({ sequence }) => sequence)).toEqual(
      events.slice(0, fromSeq).map(({ sequence }) => sequence),
    );
    expect(branch.slice(0, fromSeq).map(({ causationId }) => causationId)).toEqual(
      events.slice(0, fromSeq).map(({ eventId }) => eventId),
    );
    expect(branch.slice(fromSeq).map(({ type, nodeId }) => [type, nodeId])).toEqual([
      ["node.started", "c"],
      ["node.completed", "c"],
      ["run.completed", undefined],
    ]);
    expect(await ann.log(source)).toEqual(events);
  });

  test("45: a branch at any point comes to an end", async () => {
    const { ann } = served;
    const source = await ann.start("counting", { inputs: { steps: 2, stepMs: 0 } });
    await ann.reaches(source, "completed");
    const events = await ann.log(source);
    for (let fromSeq = 0; fromSeq < events.length; fromSeq += 1) {
      const overlay = { runOptionsOverlay: { inputs: { steps: 4 } } };
      const { body, text, status } = await fork(ann, source, { mode: "branch", fromSeq, ...overlay });
      expect([status, text]).toEqual([201, expect.any(String)]);
      const done = await ann.reaches(body.runId, "completed");
      expect(done.variables).toMatchObject({ steps: 4 });
      const log = await ann.log(body.runId);
      expect(courseOf(log.slice(0, fromSeq))).toEqual(courseOf(events.slice(0, fromSeq)));
      expect(log.map(({ sequence }) => sequence)).toEqual(log.map((_, index) => index));
      const completed = typesOf(log).filter((type) => type === "node.completed");
      expect(completed).toHaveLength(4);
      expect(done.nodeStates.step.status).toBe("completed");
    }
  });

  test("46: a replay of an approved run waits for nobody", async () => {
    const { ann } = served;
    const source = await ann.start("conformance-approval");
    await ann.reaches(source, "waiting-approval");
    expect((await approve(ann, source)).status).toBe(200);
    await ann.reaches(source, "completed");
    const seen = new Set<string>();
    const { runId } = (await fork(ann, source, { mode: "replay" })).body;
    for (let look = 0; look < 500; look += 1) {
      const { status } = await ann.snapshot(runId);
      seen.add(status);
      if (status === "completed") break;
    }
    expect([...seen].filter((status) => status.startsWith("waiting"))).toEqual([]);
    expect(courseOf(await ann.log(runId))).toEqual(courseOf(await ann.log(source)));
  });

  test("46: a branch from before an answer asks again", async () => {
    const { ann } = served;
    const source = await ann.start("conformance-approval");
    await ann.reaches(source, "waiting-approval");
    await approve(ann, source);
    await ann.reaches(source, "completed");
    const events = await ann.log(source);
    const fromSeq = typesOf(events).indexOf("node.suspended");
    const { runId } = (await fork(ann, source, { mode: "branch", fromSeq })).body;
    await ann.reaches(runId, "waiting-approval");
    expect((await approve(ann, runId)).status).toBe(200);
    await ann.reaches(runId, "completed");
  });

  test("46: what is not like its source says so, once, and goes on", async () => {
    const { ann } = served;
    const source = await ann.start("parallel", { inputs: { text: "to be or not to be" } });
    await ann.reaches(source, "completed");
    const { runId } = (await fork(ann, source, { mode: "replay" })).body;
    const replay = await ann.reaches(runId, "completed");
    expect(replay.variables).toEqual((await ann.snapshot(source)).variables);
    const diverged = typesOf(await ann.log(runId)).filter((type) => type === "replay.diverged");
    expect(diverged.length).toBeLessThanOrEqual(1);
  });
});
