import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, serve, type Served } from "./served.js";

/* Of the numbered assertions of docs/wire/openwop.md §3.5: who is refused, and in which words. */

const UNKNOWN = "01890a5d-ac96-8000-8000-000000000000";

/** Status and code; the envelope has nothing beside its three members. */
function refusal({ status, body }: Answer): readonly unknown[] {
  expect(Object.keys(body).filter((key) => !["error", "message", "details"].includes(key))).toEqual([]);
  expect(body.message).toEqual(expect.any(String));
  return [status, body.error];
}

describe.each(["memory", "sqlite", "postgres"] as const)("refusals on %s", (storage) => {
  let served: Served;
  beforeAll(async () => {
    served = await serve(storage);
  }, 60_000);
  afterAll(() => served.close());

  it("4: nobody without a key, or with a wrong one", async () => {
    const stranger = served.as("hdl_wrong");
    for (const user of [served.nobody, stranger]) {
      for (const answer of [
        await user.send("POST", "/v1/runs", { workflowId: "conformance-noop" }),
        await user.send("GET", `/v1/runs/${UNKNOWN}`),
      ]) {
        expect(refusal(answer)).toEqual([401, "unauthenticated"]);
      }
    }
  });

  it("1, 3: but what the server can do, and its document, are for everybody", async () => {
    for (const path of ["/.well-known/openwop", "/v1/openapi.json"]) {
      expect((await served.nobody.send("GET", path)).status).toBe(200);
    }
    const second = { "openwop-version": "2.0" };
    for (const path of ["/.well-known/openwop", "/openapi.json"]) {
      expect((await served.nobody.send("GET", path, undefined, second)).status).toBe(200);
    }
  });

  it("39: and so are links, in both majors; what wants somebody known has none", async () => {
    const { ann, nobody } = served;
    for (const [path, headers] of [
      ["/v1/interrupts/", {}],
      ["/interrupts/", { "openwop-version": "2.0" }],
    ] as const) {
      const runId = await ann.start("conformance-approval");
      const { interrupt } = await ann.reaches(runId, "waiting-approval");
      const link = path + interrupt.interruptToken;
      expect(await nobody.send("GET", link, undefined, headers)).toMatchObject({ status: 200, body: { key: "gate" } });
      const body = { resumeValue: { action: "accept" } };
      const byNode = await nobody.send("POST", `/v1/runs/${runId}/interrupts/gate`, body);
      expect(refusal(byNode)).toEqual([401, "unauthenticated"]);
      expect(await nobody.send("POST", link, body, headers)).toMatchObject({ status: 200, body: { nodeId: "gate" } });
      await ann.reaches(runId, "completed");
      const resolved = (await ann.log(runId)).find(({ type }) => type === "interrupt.resolved");
      expect(resolved.payload.resolvedBy).toBe("link");
    }
    const known = await ann.start("conformance-interrupt-auth-required");
    const { interrupt } = await ann.reaches(known, "waiting-approval");
    expect(JSON.stringify(interrupt)).not.toMatch(/token|url/i);
    const body = { resumeValue: { action: "accept" } };
    const unknown = await nobody.send("POST", `/v1/runs/${known}/interrupts/gate`, body);
    expect(refusal(unknown)).toEqual([401, "unauthenticated"]);
    expect((await ann.send("POST", `/v1/runs/${known}/interrupts/gate`, body)).status).toBe(200);
  });

  it("5: an envelope has an error, a message, and perhaps details", async () => {
    const { ann } = served;
    const mode = await ann.send("GET", `/v1/runs/${await ann.start("conformance-noop")}/events?streamMode=nonsense`);
    expect(refusal(mode)).toEqual([400, "unsupported_stream_mode"]);
    expect(mode.body.details).toMatchObject({ supported: expect.arrayContaining(["updates", "values"]) });
  });

  it("6: a run that is not there is 404, whatever is asked of it", async () => {
    const { ann } = served;
    const answers = [
      await ann.send("GET", `/v1/runs/${UNKNOWN}`),
      await ann.send("GET", "/v1/runs/no-uuid"),
      await ann.send("POST", `/v1/runs/${UNKNOWN}/cancel`, {}),
      await ann.send("GET", `/v1/runs/${UNKNOWN}/events`),
      await ann.send("GET", `/v1/runs/${UNKNOWN}/events/poll`),
      await ann.send("POST", `/v1/runs/${UNKNOWN}:fork`, { mode: "replay" }),
      await ann.send("POST", `/v1/runs/${UNKNOWN}:pause`, {}),
      await ann.send("POST", `/v1/runs/${UNKNOWN}:resume`, {}),
    ];
    for (const answer of answers) expect(refusal(answer)).toEqual([404, "not_found"]);
  });

  it("7: a route that is not there is 404 in the same words", async () => {
    for (const path of ["/v1/nothing", "/v1/runs/a/b/c/d", "/v1"]) {
      expect(refusal(await served.ann.send("GET", path))).toEqual([404, "not_found"]);
    }
  });

  it("9: a body that is none, lacks its workflow or has too much is 400", async () => {
    const workflowId = "conformance-noop";
    const bodies = [
      "{",
      "[]",
      '"x"',
      "",
      {},
      { workflowId: 7 },
      { workflowId, surplus: true },
      { workflowId, tags: Array.from({ length: 101 }, (_, n) => `t${n}`) },
      { workflowId, tags: ["x".repeat(257)] },
    ];
    for (const body of bodies) {
      const answer = await served.ann.send("POST", "/v1/runs", body);
      expect([body, ...refusal(answer)]).toEqual([body, 400, "validation_error"]);
      expect(answer.body.runId).toBeUndefined();
    }
  });

  it("10: a workflow that is not there is 404", async () => {
    const { ann } = served;
    expect(refusal(await ann.send("POST", "/v1/runs", { workflowId: "nobody-knows" }))).toEqual([
      404,
      "workflow_not_found",
    ]);
    expect(refusal(await ann.send("GET", "/v1/workflows/nobody-knows"))[0]).toBe(404);
  });

  it("51: an artifact asks who is there before it is not", async () => {
    const path = `/v1/runs/${UNKNOWN}/artifacts/a`;
    expect(refusal(await served.nobody.send("GET", path))).toEqual([401, "unauthenticated"]);
    expect(refusal(await served.ann.send("GET", path))[0]).toBe(404);
  });
});
