import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Served, serve, typesOf } from "./served.js";

const STORAGES = ["memory", "sqlite", "postgres"] as const;

describe.each(STORAGES)("runs on %s", (storage) => {
  let served: Served;
  beforeAll(async () => {
    served = await serve(storage);
  });
  afterAll(() => served.close());

  test("11: a new run says where it is, and its events are there", async () => {
    const { ann, url } = served;
    const { status, body } = await ann.send("POST", "/v1/runs", { workflowId: "conformance-noop" });
    expect(status).toBe(201);
    expect(["pending", "running"]).toContain(body.status);
    expect(body).toEqual({
      runId: expect.stringMatching(/^[A-Za-z0-9_-]+$/),
      status: expect.any(String),
      eventsUrl: `/openwop/v1/runs/${body.runId}/events`,
      statusUrl: `/openwop/v1/runs/${body.runId}`,
    });
    const headers = { authorization: `Bearer ${ann.secret}` };
    expect((await fetch(url + body.eventsUrl, { headers })).status).toBe(200);
    expect((await fetch(url + body.statusUrl, { headers })).status).toBe(200);
  });

  test("12: a run is completed, after it has started", async () => {
    const { ann } = served;
    const done = await ann.reaches(await ann.start("conformance-noop"), "completed");
    expect(Date.parse(done.completedAt)).toBeGreaterThanOrEqual(Date.parse(done.startedAt));
    expect(done).toMatchObject({ workflowId: "conformance-noop", nodeStates: { noop: { status: "completed" } } });
    expect(done.currentNodeId).toBeUndefined();
  });

  test("13: what goes in comes out", async () => {
    const { ann } = served;
    const payload = { text: "żółw 🐢", list: [1, null, { deep: [true] }], number: 1.5e-7, empty: {} };
    const done = await ann.reaches(await ann.start("conformance-identity", { inputs: { payload } }), "completed");
    expect(done.variables.payload).toEqual(payload);
  });

  test("14: a run fails after its node has", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-failure");
    const failed = await ann.reaches(runId, "failed");
    expect(failed.error).toEqual({ code: "node_execution_failed", message: expect.any(String) });
    const types = typesOf(await ann.log(runId));
    expect(types.slice(-2)).toEqual(["node.failed", "run.failed"]);
  });

  test("15: nodes are completed in their order", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-multi-node");
    await ann.reaches(runId, "completed");
    const events = await ann.log(runId);
    expect(events.filter(({ type }) => type === "node.completed").map(({ nodeId }) => nodeId)).toEqual(["a", "b", "c"]);
    expect(typesOf(events)).toEqual([
      "run.started",
      ...["a", "b", "c"].flatMap(() => ["node.started", "node.completed"]),
      "run.completed",
    ]);
    expect(events[1]).toMatchObject({ nodeId: "a", payload: { nodeId: "a", typeId: expect.any(String) } });
  });

  test("16: a log has no gaps, and each event is whole", async () => {
    const { ann } = served;
    const runId = await ann.start("counting", { inputs: { steps: 20, stepMs: 0 } });
    await ann.reaches(runId, "completed");
    const events = await ann.log(runId);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index));
    const times = events.map(({ timestamp }) => timestamp as string);
    expect(times).toEqual(times.toSorted());
    for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(events.length);
    for (const event of events) {
      expect(Object.hasOwn(event, "payload")).toBe(true);
      expect(event.runId).toBe(runId);
      expect(event.hidden).toBeUndefined();
    }
  });

  test("17: exactly one event ends a run, and it is the last", async () => {
    const { ann } = served;
    for (const workflow of ["conformance-noop", "conformance-failure", "parallel"]) {
      const runId = await ann.start(workflow, workflow === "parallel" ? { inputs: { text: "to be or not" } } : {});
      await ann.reaches(runId, "completed", "failed");
      const ends = typesOf(await ann.log(runId)).map((type) => /^run\.(completed|failed|cancelled)$/.test(type));
      expect(ends.filter(Boolean)).toHaveLength(1);
      expect(ends.at(-1)).toBe(true);
    }
  });

  test("47: a run starts no more nodes than it may", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-cap-breach", { configurable: { recursionLimit: 3 } });
    const failed = await ann.reaches(runId, "failed");
    expect(failed.error.code).toBe("recursion_limit_exceeded");
    const events = await ann.log(runId);
    expect(events.filter(({ type }) => type === "node.started")).toHaveLength(3);
    const breach = events.findIndex(({ type }) => type === "cap.breached");
    expect(events[breach].payload).toEqual({ kind: "node-executions", limit: 3, observed: 4, nodeId: "n4" });
    expect(typesOf(events).at(-1)).toBe("run.failed");
    expect(breach).toBeLessThan(events.length - 1);
  });

  test("47: a run takes no longer than it may", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-run-duration-breach", { configurable: { runTimeoutMs: 300 } });
    const failed = await ann.reaches(runId, "failed");
    expect(failed.error.code).toBe("run_timeout");
    const events = await ann.log(runId);
    expect(events.find(({ type }) => type === "cap.breached")?.payload).toMatchObject({
      kind: "run-duration",
      limit: 300,
    });
  });
});
