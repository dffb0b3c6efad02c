import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openwop } from "../../../src/protocols/openwop/index.js";
import type { TestServer } from "../../support/server.js";
import { startServer } from "../../support/server.js";
import { conformanceGraphs } from "./conformance-graphs.js";
import { type Wop, wop } from "./wop.js";

/* Of the numbered assertions of docs/wire/openwop.md §3.5: discovery, headers, interrupts. */

describe.each(["memory", "sqlite", "postgres"] as const)("the edges of OpenWOP on %s", (storage) => {
  let server: TestServer;
  let client: Wop;

  beforeAll(async () => {
    server = await startServer(storage, { graphs: { ...conformanceGraphs }, protocols: [openwop()] });
    client = wop(`${server.url}/openwop`);
  }, 60_000);
  afterAll(() => server.close());

  describe("discovery", () => {
    it("1: is there for everybody, and says what the server keeps to", async () => {
      const { status, json, headers } = await client.get("/.well-known/openwop");
      expect(status).toBe(200);
      expect(json.protocolVersion).toBe("1.0");
      expect(headers.get("cache-control")).toBe("public, max-age=300");
      for (const name of ["clarificationRounds", "schemaRounds", "envelopesPerTurn"]) {
        expect(Number.isInteger(json.limits[name]) && json.limits[name] >= 0).toBe(true);
      }
      expect(json.supportedEnvelopes).toContain("clarification.request");
      expect(new Set(json.fixtures)).toEqual(new Set(Object.keys(conformanceGraphs)));
    });

    it("2: is not sent again to who has it", async () => {
      const { headers } = await client.get("/.well-known/openwop");
      const etag = headers.get("etag") ?? "";
      for (const known of [etag, `"x", W/${etag}`, "*"]) {
        const again = await client.get("/.well-known/openwop", { "if-none-match": known });
        expect([again.status, again.text, again.headers.get("etag")]).toEqual([304, "", etag]);
      }
      expect((await client.get("/.well-known/openwop", { "if-none-match": '"x"' })).status).toBe(200);
    });

    it("a snapshot of a run that has ended is not sent again to who has it, unless its thread has changed", async () => {
      const runId = await client.start("identity", { inputs: { payload: 1 } });
      await client.reach(runId, "completed");
      const path = `/v1/runs/${runId}`;
      const etag = (await client.get(path)).headers.get("etag") ?? "";
      for (const known of [etag, `"x", W/${etag}`]) {
        const again = await client.get(path, { "if-none-match": known });
        expect([again.status, again.headers.get("etag")]).toEqual([304, etag]);
      }
      await server.client.threads.updateState(runId, { values: { payload: 2 } });
      const changed = await client.get(path, { "if-none-match": etag });
      expect([changed.status, changed.json.variables.payload]).toEqual([200, 2]);
      const waiting = await client.start("approval");
      await client.reach(waiting, "waiting-approval");
      expect((await client.get(`/v1/runs/${waiting}`)).headers.get("etag")).toBeNull();
    });

    it("3: the OpenAPI document describes every route of this major", async () => {
      const { status, json } = await client.get("/v1/openapi.json");
      expect([status, json.openapi]).toEqual([200, "3.1.0"]);
      const described = Object.entries<object>(json.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method} ${path}`),
      );
      expect(new Set(described)).toEqual(
        new Set([
          "get /.well-known/openwop",
          "get /v1/openapi.json",
          "get /v1/workflows/{workflow_id}",
          "post /v1/runs",
          "get /v1/runs/{run_id}",
          "get /v1/runs/{run_id}/events",
          "get /v1/runs/{run_id}/events/poll",
          "post /v1/runs/{run_id}/cancel",
          "post /v1/runs:bulk-cancel",
          "post /v1/runs/{run_id}:pause",
          "post /v1/runs/{run_id}:resume",
          "post /v1/runs/{run_id}:fork",
          "post /v1/runs/{run_id}/interrupts/{node_id}",
          "get /v1/interrupts/{token}",
          "post /v1/interrupts/{token}",
          "get /v1/runs/{run_id}/artifacts/{artifact_id}",
          "post /v1/webhooks",
          "delete /v1/webhooks/{subscription_id}",
        ]),
      );
      expect(json.components.schemas.OpenwopError.required).toEqual(["error", "message"]);
    });

    it("8: a traceparent is on every answer, of the request's trace", async () => {
      const traceId = "0af7651916cd43dd8448eb211c80319c";
      for (const path of ["/.well-known/openwop", "/v1/runs/none", "/v1/nothing"]) {
        const { headers } = await client.get(path, { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
        expect(headers.get("traceparent")).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
        const fresh = await client.get(path);
        expect(fresh.headers.get("traceparent")).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
      }
    });

    it("a workflow has nodes with types, edges, variables and the schema of its options", async () => {
      const { status, json } = await client.get("/v1/workflows/conformance-multi-node");
      expect(status).toBe(200);
      const node = (id: string) => ({ id, typeId: "core.noop" });
      expect(json).toMatchObject({ id: "conformance-multi-node", nodes: ["a", "b", "c"].map(node), triggers: [] });
      expect(json.edges.map((edge: { source: string; target: string }) => [edge.source, edge.target])).toEqual([
        ["a", "b"],
        ["b", "c"],
      ]);
      const identity = (await client.get("/v1/workflows/conformance-identity")).json;
      expect(identity.variables).toMatchObject([{ name: "payload", defaultValue: null }]);
      const options = (await client.get("/v1/workflows/conformance-configurable-schema")).json;
      expect(options.configurableSchema).toMatchObject({ additionalProperties: false });
      for (const id of ["nothing", "00000000-0000-4000-8000-000000000000", "a%2Fb"]) {
        expect((await client.get(`/v1/workflows/${id}`)).status).toBe(404);
      }
    });
  });

  describe("interrupts", () => {
    it("34: an approval waits, and its snapshot says for what", async () => {
      const runId = await client.start("approval");
      const snapshot = await client.reach(runId, "waiting-approval");
      expect(snapshot.currentNodeId).toBe("gate");
      expect(snapshot.interrupt).toMatchObject({
        kind: "approval",
        nodeId: "gate",
        data: { artifactId: "gate", actions: ["accept", "reject"] },
      });
      expect(snapshot.interrupt.callbackUrl).toBe(`/openwop/v1/interrupts/${snapshot.interrupt.interruptToken}`);
    });

    it("35: accepted it goes on, and the log has both ends of the interrupt", async () => {
      const runId = await client.start("approval");
      await client.reach(runId, "waiting-approval");
      const { status, json } = await client.resolve(runId, "gate", { action: "accept" });
      expect(status).toBe(200);
      expect(json).toEqual({ runId, nodeId: "gate", status: expect.any(String) });
      await client.reach(runId, "completed");
      const types = (await client.events(runId)).map(({ type }) => type);
      expect(types).toEqual([
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
    });

    it("36: rejected it ends; an action that nobody offers changes nothing", async () => {
      const runId = await client.start("approval");
      await client.reach(runId, "waiting-approval");
      for (const value of [{ action: "explode" }, {}, "accept"]) {
        const { status, json } = await client.resolve(runId, "gate", value);
        expect([status, json.error]).toEqual([400, "validation_error"]);
      }
      expect((await client.post(`/v1/runs/${runId}/interrupts/gate`, {})).status).toBe(400);
      await client.reach(runId, "waiting-approval");
      expect((await client.resolve(runId, "gate", { action: "reject", feedback: "no" })).status).toBe(200);
      const { error } = await client.reach(runId, "failed");
      expect(error).toMatchObject({ code: "node_execution_failed", message: expect.stringContaining("Rejected: no.") });
    });

    it("37: another node 404, a second answer 409, one after the cancel 410", async () => {
      const runId = await client.start("approval");
      await client.reach(runId, "waiting-approval");
      const wrong = await client.resolve(runId, "nowhere", { action: "accept" });
      expect([wrong.status, wrong.json.error]).toEqual([404, "interrupt_not_found"]);
      expect((await client.resolve(crypto.randomUUID(), "gate", { action: "accept" })).json.error).toBe("not_found");
      await client.resolve(runId, "gate", { action: "accept" });
      const again = await client.resolve(runId, "gate", { action: "accept" });
      expect([again.status, again.json.error]).toEqual([409, "interrupt_already_resolved"]);
      const other = await client.start("approval");
      await client.reach(other, "waiting-approval");
      await client.post(`/v1/runs/${other}/cancel`);
      const late = await client.resolve(other, "gate", { action: "accept" });
      expect([late.status, late.json.error]).toEqual([410, "interrupt_gone"]);
    });

    it("38: of ten answers at once one is taken; answer and cancel end the run once", async () => {
      const runId = await client.start("approval");
      await client.reach(runId, "waiting-approval");
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => client.resolve(runId, "gate", { action: "accept" })),
      );
      const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
      expect(statuses).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
      await client.reach(runId, "completed");
      const racing = await client.start("approval");
      await client.reach(racing, "waiting-approval");
      await Promise.all([
        client.resolve(racing, "gate", { action: "accept" }),
        client.post(`/v1/runs/${racing}/cancel`),
      ]);
      await client.reach(racing, "completed", "cancelled");
      const ends = (await client.events(racing)).filter(({ type }) =>
        /^run\.(?:completed|failed|cancelled)$/.test(type),
      );
      expect(ends).toHaveLength(1);
    });

    it("39: a link shows and answers its interrupt to whoever has it", async () => {
      const runId = await client.start("approval");
      const { interrupt } = await client.reach(runId, "waiting-approval");
      const token = interrupt.interruptToken as string;
      const shown = await client.get(`/v1/interrupts/${token}`);
      expect(shown.status).toBe(200);
      expect(shown.json).toEqual({
        kind: "approval",
        key: "gate",
        data: interrupt.data,
        expiresAt: expect.stringMatching(/^\d{4}-.*Z$/),
      });
      const inspecting = interrupt.inspectUrl.split("/").at(-1) as string;
      expect((await client.get(`/v1/interrupts/${inspecting}`)).status).toBe(200);
      const forbidden = await client.post(`/v1/interrupts/${inspecting}`, { resumeValue: { action: "accept" } });
      expect([forbidden.status, forbidden.json.error]).toEqual([403, "forbidden"]);
      const other = token.startsWith("e") ? `f${token.slice(1)}` : `e${token.slice(1)}`;
      for (const tampered of [other, `${token}x`, "nonsense", `${token.split(".")[0]}.`]) {
        expect((await client.get(`/v1/interrupts/${tampered}`)).status).toBe(404);
        expect((await client.post(`/v1/interrupts/${tampered}`, { resumeValue: {} })).status).toBe(404);
      }
      const invalid = await client.post(`/v1/interrupts/${token}`, { resumeValue: { action: "explode" } });
      expect(invalid.status).toBe(400);
      const resolved = await client.post(`/v1/interrupts/${token}`, { resumeValue: { action: "accept" } });
      expect([resolved.status, resolved.json.runId]).toEqual([200, runId]);
      expect((await client.post(`/v1/interrupts/${token}`, { resumeValue: { action: "accept" } })).status).toBe(409);
      expect((await client.get(`/v1/interrupts/${token}`)).status).toBe(409);
      await client.reach(runId, "completed");
    });

    it("39: a link whose run has ended is 409", async () => {
      const runId = await client.start("approval");
      const { interrupt } = await client.reach(runId, "waiting-approval");
      await client.post(`/v1/runs/${runId}/cancel`);
      expect((await client.get(`/v1/interrupts/${interrupt.interruptToken}`)).status).toBe(409);
      const late = await client.post(`/v1/interrupts/${interrupt.interruptToken}`, {
        resumeValue: { action: "accept" },
      });
      expect([late.status, late.json.error]).toEqual([409, "interrupt_gone"]);
    });

    it("39: an interrupt that wants a signed-in answer has no link", async () => {
      const runId = await client.start("interrupt-auth-required");
      const { interrupt } = await client.reach(runId, "waiting-approval");
      expect(interrupt).toMatchObject({ kind: "approval", nodeId: "gate" });
      expect(interrupt).not.toHaveProperty("interruptToken");
      expect((await client.resolve(runId, "gate", { action: "accept" })).status).toBe(200);
    });

    it("40: a clarification waits for input, and its answers are the run's", async () => {
      const runId = await client.start("clarification");
      const snapshot = await client.reach(runId, "waiting-input");
      expect(snapshot.interrupt.data.questions).toEqual([{ id: "q1", question: expect.any(String) }]);
      expect((await client.resolve(runId, "ask", { answers: {} })).status).toBe(400);
      await client.resolve(runId, "ask", { answers: { q1: "paint it blue" } });
      const { variables } = await client.reach(runId, "completed");
      expect(variables.answers).toEqual({ q1: "paint it blue" });
      expect((await client.events(runId)).find(({ type }) => type === "clarification.resolved").payload).toMatchObject({
        nodeId: "ask",
        answers: { q1: "paint it blue" },
      });
    });

    it("41: an external event is taken only with the right correlation", async () => {
      const runId = await client.start("interrupt-external-event");
      await client.reach(runId, "waiting-external");
      const wrong = await client.resolve(runId, "wait-for-external", { orderId: "order-1", status: "open" });
      expect([wrong.status, wrong.json.error]).toEqual([422, "validation_error"]);
      await client.reach(runId, "waiting-external");
      const right = { orderId: "order-1", status: "paid", amount: 3 };
      expect((await client.resolve(runId, "wait-for-external", right)).status).toBe(200);
      const { variables } = await client.reach(runId, "completed");
      expect(variables.event).toEqual(right);
    });

    it("42: a quorum of three wants three different voters", async () => {
      const runId = await client.start("interrupt-quorum");
      await client.reach(runId, "waiting-approval");
      for (const decidedBy of ["ann", "ann", "bob"]) {
        const { status, json } = await client.resolve(runId, "gate", { action: "accept", decidedBy });
        expect([status, json.status]).toEqual([200, "waiting-approval"]);
      }
      expect((await client.resolve(runId, "gate", { action: "accept", decidedBy: "cid" })).json.status).not.toBe(
        "waiting-approval",
      );
      await client.reach(runId, "completed");
      const votes = (await client.events(runId)).filter(({ type }) => type === "approval.received");
      expect(votes.map(({ payload }) => payload.decidedBy)).toEqual(["ann", "bob", "cid"]);
    });
  });
});
