import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openwop } from "../../../src/protocols/openwop/index.js";
import { headersForEither } from "../../../src/protocols/openwop/v2/face.js";
import { bound, partsOf, projected, unprojected } from "../../../src/protocols/openwop/v2/wire-id.js";
import { framesOf } from "../../support/requests.js";
import type { TestServer } from "../../support/server.js";
import { startServer } from "../../support/server.js";
import { conformanceGraphs } from "./conformance-graphs.js";
import { type Wop, wop } from "./wop.js";

/* docs/wire/openwop.md §3.9: the façade of the second major. The published client is driven by test/python/test_openwop.py. */

const VERSION = { "openwop-version": "2.0" };

describe("ids on the wire", () => {
  it("v2: are one segment, and come back from each of their forms", () => {
    for (const id of ["acme/r-9f3c", "ä b/r", "a~2Fb/r", "a/b/r"]) {
      expect(projected(id)).toMatch(/^[\w.~-]+$/);
      expect(unprojected(projected(id))).toBe(id);
    }
    expect(projected("acme/r-9f3c")).toBe("acme~2Fr-9f3c");
    expect(unprojected("acme/r")).toBe("acme/r");
    expect(unprojected("~FF")).toBeNull();
    expect(partsOf(bound("a/b", "r"))).toEqual({ tenant: "a/b", own: "r" });
    for (const id of ["r", "/r", "r/", ""]) expect(partsOf(id)).toBeNull();
  });
});

it("v2: a path of an app around that has a /v1 of its own makes no request one of the first major", () => {
  const at = (path: string, headers: Record<string, string>) =>
    headersForEither(new Request(`http://h${path}`, { headers }));
  expect(at("/api/v1/openwop/runs/acme~2Fx", VERSION)).toMatchObject(VERSION);
  for (const path of ["/openwop/v1/runs/x", "/api/v1/openwop/v1/runs:bulk-cancel"]) {
    expect(at(path, VERSION)).not.toHaveProperty("openwop-version");
    expect(at(path, {})).not.toHaveProperty("openwop-version");
  }
});

describe.each(["memory", "sqlite", "postgres"] as const)("the second major on %s", (storage) => {
  let server: TestServer;
  let one: Wop;
  let two: Wop;

  beforeAll(async () => {
    server = await startServer(storage, { graphs: { ...conformanceGraphs }, protocols: [openwop()] });
    one = wop(`${server.url}/openwop`);
    two = wop(`${server.url}/openwop`, VERSION);
  }, 60_000);
  afterAll(() => server.close());

  const start = async (fixture: string, more: object = {}): Promise<string> =>
    (await two.post("/runs", { workflowId: `conformance-${fixture}`, ...more })).json.runId as string;

  it("v2: every request says its version, and every answer does", async () => {
    const missing = await one.post("/runs", { workflowId: "conformance-noop" });
    expect([missing.status, missing.json.error]).toEqual([400, "validation_error"]);
    const other = await one.get("/runs/default~2Fx", { "openwop-version": "3.0" });
    expect([other.status, other.json]).toMatchObject([
      406,
      { error: "protocol_version_unsupported", details: { protocolVersions: ["2.0"] } },
    ]);
    const runId = await start("noop");
    const answers = [
      missing,
      other,
      await two.get(`/runs/${projected(runId)}`),
      await two.get("/runs/default~2Fnothing"),
      await two.get("/nothing"),
      await two.get(`/runs/${projected(runId)}/events`),
      await two.get("/.well-known/openwop"),
    ];
    expect(answers.map(({ status }) => status)).toEqual([400, 406, 200, 404, 404, 200, 200]);
    for (const { headers } of answers) expect(headers.get("openwop-version")).toBe("2.0");
    expect((await one.get(`/v1/runs/${partsOf(runId)?.own}`)).headers.get("openwop-version")).toBeNull();
  });

  it("v2: discovery is closed, a record for each family", async () => {
    const { json, headers } = await two.get("/.well-known/openwop");
    expect(json).toMatchObject({ protocolVersions: ["2.0"], preferredVersion: "2.0", eventLogSchemaVersion: 3 });
    expect(json.webhooks).toMatchObject({ status: "stable", since: "2.0" });
    expect(json).not.toHaveProperty("supportedTransports");
    expect(headers.get("vary")).toContain("openwop-version");
    expect((await one.get("/.well-known/openwop")).json.protocolVersion).toBe("1.0");
    expect((await one.get("/.well-known/openwop", { "openwop-version": "9.0" })).status).toBe(406);
  });

  it("v2: an id is taken in all three forms, and only bound", async () => {
    const runId = await start("noop");
    const { own = "" } = partsOf(runId) ?? {};
    for (const path of [`default~2F${own}`, `default%2F${own}`, `default/${own}`, `default~2f${own}`]) {
      const { status, json } = await two.get(`/runs/${path}`);
      expect([path, status, json.runId]).toEqual([path, 200, runId]);
    }
    for (const path of [own, `other~2F${own}`, `default~2F`, "~FF"]) {
      expect((await two.get(`/runs/${path}`)).status).toBe(404);
    }
    expect((await two.get(`/runs/default/${own}/events/poll`)).status).toBe(200);
    expect((await two.post(`/runs/default/${own}:pause`)).status).toBe(409);
  });

  it("v2: a snapshot has an owner, a poll its own shape", async () => {
    const runId = await start("identity", {
      inputs: { payload: 7 },
      configurable: { version: 1, run: { recursionLimit: 9 } },
    });
    const { own = "" } = partsOf(runId) ?? {};
    await one.reach(own, "completed");
    const snapshot = (await two.get(`/runs/${projected(runId)}`)).json;
    expect(snapshot).toMatchObject({
      runId,
      owner: { tenant: "default", subject: { tenant: "default", kind: "anonymous" } },
      eventLogSchemaVersion: 3,
      engineVersion: 1,
      configurable: { version: 1, run: { recursionLimit: 9 } },
      variables: { payload: 7 },
    });
    const polled = (await two.get(`/runs/${projected(runId)}/events/poll?afterSequence=0`)).json;
    expect(Object.keys(polled)).toEqual(["runId", "events", "lastSequence", "status", "isTerminal"]);
    expect(polled).toMatchObject({ runId, lastSequence: 3, status: "completed", isTerminal: true });
    expect(polled.events.map(({ sequence }: { sequence: number }) => sequence)).toEqual([1, 2, 3]);
    expect(polled.events[0]).toMatchObject({ runId, schemaVersion: 3, engineVersion: 1 });
    const past = (await two.get(`/runs/${projected(runId)}/events/poll?afterSequence=3`)).json;
    expect(past).toMatchObject({ events: [], lastSequence: 3, isTerminal: true });
    const bad = await two.get(`/runs/${projected(runId)}/events/poll?afterSequence=x`);
    expect(bad.status).toBe(400);
  });

  it("v2: a poll begins anew after -1, which a client of an empty log has", async () => {
    const runId = await start("noop");
    await one.reach(partsOf(runId)?.own ?? "", "completed");
    const path = `/runs/${projected(runId)}/events/poll`;
    const { status, json } = await two.get(`${path}?afterSequence=-1`);
    expect([status, json.events?.[0]?.sequence]).toEqual([200, 0]);
    for (const query of ["afterSequence=-2", "afterSequence=1.5", "timeout=0", "timeout=61"]) {
      expect((await two.get(`${path}?${query}`)).status).toBe(400);
    }
  });

  it("v2: several are cancelled by their bound ids, and by no others", async () => {
    const [first, second] = [await start("cancellable"), await start("cancellable")];
    const own = partsOf(second)?.own ?? "";
    const runIds = [first, own, `other/${own}`, "default/unknown"];
    const { status, json } = await two.post("/runs:bulk-cancel", { runIds });
    expect(status).toBe(200);
    expect(json.results.map(({ runId, ok }: { runId: string; ok: boolean }) => [runId, ok])).toEqual([
      [first, true],
      [own, false],
      [`other/${own}`, false],
      ["default/unknown", false],
    ]);
    expect(json.results[1].error.error).toBe("not_found");
    expect(["pending", "running"]).toContain((await two.get(`/runs/${projected(second)}`)).json.status);
    await two.post(`/runs/${projected(second)}/cancel`);
  });

  it("v2: a refusal that is kept under a key has the codes of this major, the first time and again", async () => {
    const runId = await start("approval");
    await one.reach(partsOf(runId)?.own ?? "", "waiting-approval");
    await two.post(`/runs/${projected(runId)}/cancel`);
    const cases = [
      [`/runs/${projected(runId)}/interrupts/gate`, { resumeValue: { action: "accept" } }, 410, "interrupt_cancelled"],
      ["/runs", { workflowId: "nobody-knows" }, 404, "not_found"],
    ] as const;
    for (const [path, body, status, code] of cases) {
      for (const replayed of [null, "true"]) {
        const answer = await two.post(path, body, { "idempotency-key": `kept ${code}` });
        const said = [answer.status, answer.json.error, answer.headers.get("openwop-idempotent-replay")];
        expect(said).toEqual([status, code, replayed]);
        expect(answer.headers.get("traceparent")).toMatch(/^00-/);
      }
    }
  });

  it("v2: a run is a child of the one that its header names", async () => {
    const parent = await start("cancellable");
    const header = (id: string) => ({ "x-openwop-parent-run-id": id });
    const body = { workflowId: "conformance-cancellable" };
    const child = (await two.post("/runs", body, header(parent))).json.runId;
    const snapshot = (await two.get(`/runs/${projected(child)}`)).json;
    expect(snapshot.parentRunId).toBe(parent);
    expect((await two.get(`/runs/${projected(parent)}`)).json.childRuns).toMatchObject([{ runId: child }]);
    const own = partsOf(parent)?.own ?? "";
    for (const id of [own, `other/${own}`]) expect((await two.post("/runs", body, header(id))).status).toBe(400);
    await two.post(`/runs/${projected(parent)}/cancel`);
    expect((await two.get(`/runs/${projected(child)}`)).json.status).toBe("cancelled");
  });

  it("v2: a subscription is removed by its bound id, and by no other", async () => {
    const { subscriptionId } = (
      await two.post("/webhooks", { url: "https://example.com/hook", events: ["run.completed"] })
    ).json;
    const { tenant, own } = partsOf(subscriptionId) ?? {};
    expect(tenant).toBe("default");
    for (const id of [own, `other~2F${own}`, "default~2Fwh_00000000000000000000000000000000"]) {
      const { status, json } = await two.send("DELETE", `/webhooks/${id}`);
      expect([status, json.error]).toEqual([404, "not_found"]);
    }
    expect((await two.send("DELETE", `/webhooks/${projected(subscriptionId)}`)).status).toBe(204);
  });

  it("v2: options that have no effect here are refused", async () => {
    for (const configurable of [
      { run: {} },
      { version: 2 },
      { version: 1, budget: {} },
      { version: 1, ai: { provider: "x" } },
      { version: 1, recursionLimit: 3 },
      { version: 1, extensions: { acme: {} } },
      "x",
    ]) {
      const { status, json } = await two.post("/runs", { workflowId: "conformance-noop", configurable });
      expect([status, json.error]).toEqual([400, "validation_error"]);
    }
  });

  it("v2: the end of a run cannot be cancelled, nor what is not in its log forked", async () => {
    const runId = await start("noop");
    await one.reach(partsOf(runId)?.own ?? "", "completed");
    const cancelled = await two.post(`/runs/${projected(runId)}/cancel`);
    expect([cancelled.status, cancelled.json.error]).toEqual([409, "run_terminal"]);
    expect(cancelled.json.details).toEqual({ runStatus: "completed" });
    const fork = await two.post(`/runs/${projected(runId)}:fork`, { mode: "replay", fromSeq: 99 });
    expect([fork.status, fork.json.error]).toEqual([422, "fork_point_invalid"]);
  });

  it("v2: both majors see one run, and one stream of its events", async () => {
    const runId = await start("approval");
    const { own = "" } = partsOf(runId) ?? {};
    const waiting = await one.reach(own, "waiting-approval");
    const seen = (await two.get(`/runs/${projected(runId)}`)).json;
    for (const member of ["status", "workflowId", "currentNodeId", "nodeStates", "variables", "startedAt"]) {
      expect(seen[member]).toEqual(waiting[member]);
    }
    const { callbackUrl } = seen.interrupt;
    expect(callbackUrl).toMatch(/^\/openwop\/interrupts\//);
    const answered = await two.post(callbackUrl.replace("/openwop", ""), { resumeValue: { action: "accept" } });
    expect([answered.status, answered.json.runId]).toEqual([200, runId]);
    await one.reach(own, "completed");
    const first = framesOf((await one.get(`/v1/runs/${own}/events?streamMode=debug`)).text);
    const second = framesOf((await two.get(`/runs/${projected(runId)}/events?streamMode=debug`)).text);
    expect(second.map(({ id, event }) => [id, event])).toEqual(first.map(({ id, event }) => [id, event]));
    expect(second.map(({ data }) => data.eventId)).toEqual(first.map(({ data }) => data.eventId));
    for (const { data } of second) expect(data).toMatchObject({ runId, schemaVersion: 3 });
    const batched = framesOf((await two.get(`/runs/${projected(runId)}/events?streamMode=debug&bufferMs=50`)).text);
    expect(batched.flatMap(({ data }) => data).map((event: { runId: string }) => event.runId)).toEqual(
      second.map(() => runId),
    );
    const values = framesOf((await two.get(`/runs/${projected(runId)}/events?streamMode=values`)).text);
    expect(values.at(-1)?.data.payload).toMatchObject({ runId, owner: { tenant: "default" }, status: "completed" });
  });

  it("v2: is not served where it would share the LangGraph API's root", async () => {
    const atRoot = await startServer("memory", {
      graphs: { ...conformanceGraphs },
      protocols: [openwop({ path: "" })],
    });
    try {
      const root = wop(atRoot.url, VERSION);
      expect((await root.get("/.well-known/openwop")).json.protocolVersion).toBe("1.0");
      expect((await root.post("/v1/runs", { workflowId: "conformance-noop" })).status).toBe(201);
      expect((await root.post("/runs", { workflowId: "conformance-noop" })).status).toBe(422);
    } finally {
      await atRoot.close();
    }
  });
});
