import { describe, expect, test } from "vitest";
import { HeddleError } from "../../../src/core/errors.js";
import type { JsonObject, JsonValue } from "../../../src/core/json.js";
import { errorSchema, refuse } from "../../../src/protocols/openwop/errors.js";
import { createInterruptRules } from "../../../src/protocols/openwop/interrupts.js";
import { LIMITS } from "../../../src/protocols/openwop/limits.js";
import { type EndedRun, endEvents } from "../../../src/protocols/openwop/run-end.js";
import type { RunRecord } from "../../../src/protocols/openwop/run-record.js";
import { OpenwopRefusal } from "../../../src/protocols/openwop/seams.js";
import type { InterruptFold, RunFold, Suspension } from "../../../src/protocols/openwop/snapshot-types.js";
import { readToken, signToken, type TokenClaims } from "../../../src/protocols/openwop/tokens.js";
import { headersFor } from "../../../src/protocols/openwop/traceparent.js";

const rules = createInterruptRules();

function asked(suspension: Suspension, votes: readonly JsonObject[] = []): InterruptFold {
  return {
    interruptId: "int-1",
    nodeId: "gate",
    taskId: "t",
    langgraphInterruptId: "l",
    suspension,
    status: "pending",
    votes,
    requestedAtSequence: 3,
    requestedAt: "2026-01-01T00:00:00.000Z",
    expiresAt: null,
  };
}

const approval = (data: JsonObject = {}): Suspension => ({
  kind: "approval",
  key: "k",
  data: { artifactId: "a", artifactType: "gate", title: "May I?", actions: ["accept", "reject"], ...data },
});
const judge = (suspension: Suspension, resumeValue: JsonValue, votes: readonly JsonObject[] = []) =>
  rules.judge(asked(suspension, votes), { resumeValue, resolvedBy: "ann" });

describe("what an interrupt asks for", () => {
  test("a value of the suspend shape is what it says", () => {
    const value = { ...approval(), timeoutMs: 5, resumeSchema: { type: "object" } };
    expect(rules.suspensionOf({ ...value }, "n")).toEqual(value);
  });

  test.each<readonly [string, JsonValue]>([
    ["a text", "Are you sure?"],
    ["null", null],
    ["another object", { question: "?" }],
    ["a member too many", { ...approval(), extra: 1 }],
    ["a kind that nobody knows", { ...approval(), kind: "other" }],
    ["a kind that objects have", { ...approval(), kind: "constructor" }],
    ["no key", { ...approval(), key: "" }],
    ["an approval without actions", { ...approval({ actions: [] }) }],
    ["a clarification without questions", { kind: "clarification", key: "k", data: { questions: [{ id: 1 }] } }],
    [
      "an event whose correlation is a text",
      { kind: "external-event", key: "k", data: { eventType: "e", correlation: "c" } },
    ],
    ["a time that is none", { ...approval(), timeoutMs: -1 }],
  ])("%s is a custom interrupt", (_, value) => {
    expect(rules.suspensionOf(value, "n")).toEqual({
      kind: "custom",
      key: "n",
      data: { customKind: "langgraph.interrupt", payload: value },
    });
  });

  test("its events, and the status of who waits for it", () => {
    const types = (suspension: Suspension) => rules.requestedEvents(asked(suspension)).map(({ type }) => type);
    expect(types(approval())).toEqual(["interrupt.requested", "approval.requested"]);
    expect(types({ kind: "clarification", key: "k", data: { questions: [] } })).toContain("clarification.requested");
    expect(types({ kind: "custom", key: "k", data: { customKind: "c" } })).toEqual(["interrupt.requested"]);
    const statuses = ["approval", "clarification", "external-event", "custom", "low-confidence"].map((kind) =>
      rules.statusOf({ kind }),
    );
    expect(statuses).toEqual([
      "waiting-approval",
      "waiting-input",
      "waiting-external",
      "waiting-input",
      "waiting-input",
    ]);
  });
});

describe("what an answer does", () => {
  test("an action that is not among the interrupt's is refused", () => {
    for (const value of [{ action: "refine" }, { action: "ask" }, {}, "accept", null, [], { action: 1 }]) {
      expect(judge(approval(), value)).toMatchObject({ kind: "invalid", status: 400 });
    }
    expect(judge(approval({ actions: ["edit"] }), { action: "edit-accept" })).toMatchObject({ kind: "invalid" });
    const edited = { action: "edit-accept", editedArtifactData: { a: 1 } };
    expect(judge(approval({ actions: ["edit"] }), edited)).toMatchObject({ kind: "resolved" });
  });

  test("a decision says who made it", () => {
    const judged = judge(approval(), { action: "reject", feedback: "no" });
    expect(judged).toEqual({
      kind: "resolved",
      resumeValue: { action: "reject", feedback: "no", decidedBy: "ann" },
      events: [
        {
          type: "approval.received",
          nodeId: "gate",
          payload: { nodeId: "gate", interruptId: "int-1", action: "reject", decidedBy: "ann", feedback: "no" },
        },
      ],
    });
  });

  const vote = (decidedBy: string, action = "accept") => ({ decidedBy, action });

  test("a quorum wants different voters", () => {
    const three = approval({ requiredApprovals: 3, rejectionPolicy: "majority" });
    expect(judge(three, vote("a"))).toMatchObject({ kind: "vote", events: [{ type: "approval.received" }] });
    expect(judge(three, vote("a"), [vote("a")])).toEqual({ kind: "vote", events: [] });
    expect(judge(three, vote("b"), [vote("a")])).toMatchObject({ kind: "vote", events: [{}] });
    const last = judge(three, vote("c"), [vote("a"), vote("b")]);
    expect(last).toMatchObject({ kind: "resolved", resumeValue: { action: "accept", decidedBy: "c" } });
    expect(judge(three, vote("c", "reject"), [vote("a", "reject"), vote("b")])).toMatchObject({ kind: "vote" });
    const rejected = judge(three, vote("d", "reject"), [vote("a", "reject"), vote("b", "reject")]);
    expect(rejected).toMatchObject({ kind: "resolved", resumeValue: { action: "reject" } });
  });

  test("one veto decides unless a majority must, and only approvers vote", () => {
    const veto = approval({ requiredApprovals: 2, approversList: ["a", "b", "c"] });
    expect(judge(veto, vote("a", "reject"))).toMatchObject({ kind: "resolved" });
    expect(judge(veto, vote("x"))).toMatchObject({ kind: "invalid", status: 422 });
    const majority = approval({ requiredApprovals: 2, approversList: ["a", "b", "c"], rejectionPolicy: "majority" });
    expect(judge(majority, vote("a", "reject"))).toMatchObject({ kind: "vote" });
    expect(judge(majority, vote("b", "reject"), [vote("a", "reject")])).toMatchObject({ kind: "resolved" });
  });

  test("fewer approvals than are required never accept, however few approvers there are", () => {
    const few = approval({ requiredApprovals: 3, approversList: ["a", "b"], rejectionPolicy: "majority" });
    expect(judge(few, vote("a"))).toMatchObject({ kind: "vote" });
    expect(judge(few, vote("b"), [vote("a")])).toMatchObject({ kind: "vote" });
    expect(judge(few, vote("b", "reject"), [vote("a")])).toMatchObject({ resumeValue: { action: "reject" } });
    const twice = approval({ requiredApprovals: 2, approversList: ["a", "a", "b"], rejectionPolicy: "majority" });
    expect(judge(twice, vote("b", "reject"))).toMatchObject({ kind: "resolved", resumeValue: { action: "reject" } });
    expect(judge(twice, vote("b"), [vote("a")])).toMatchObject({ kind: "resolved", resumeValue: { action: "accept" } });
    const actions = ["accept", "reject", "abstain"];
    const three = approval({
      requiredApprovals: 2,
      approversList: ["a", "b", "c"],
      actions,
      rejectionPolicy: "majority",
    });
    expect(judge(three, vote("b", "abstain"), [vote("a", "abstain")])).toMatchObject({
      kind: "resolved",
      resumeValue: { action: "abstain" },
    });
  });

  test("a clarification wants each answer, and no others", () => {
    const data = { questions: ["q1", "q2"].map((id) => ({ id, question: "?" })) };
    const clarification = { kind: "clarification", key: "k", data };
    for (const answers of [{}, { q1: "x" }, { q1: "x", q2: "y", q3: "z" }, "x", [{ id: "q1" }]]) {
      expect(judge(clarification, { answers })).toMatchObject({ kind: "invalid", status: 400 });
    }
    const named = { kind: "clarification", key: "k", data: { questions: [{ id: "constructor", question: "?" }] } };
    expect(judge(named, { answers: {} })).toMatchObject({ kind: "invalid", details: { missing: ["constructor"] } });
    const answers = { q1: "x", q2: { deep: [1] } };
    expect(judge(clarification, { answers })).toMatchObject({ kind: "resolved", resumeValue: { answers } });
    const listed = Object.entries(answers).map(([id, answer]) => ({ id, answer }));
    expect(judge(clarification, { answers: listed })).toMatchObject({ kind: "resolved", resumeValue: { answers } });
  });

  test("an external event is the one that is waited for", () => {
    const correlation = { orderId: "1", meta: { a: [1, { b: null }] } };
    const external = { kind: "external-event", key: "k", data: { eventType: "e", correlation } };
    const good = { orderId: "1", meta: { a: [1, { b: null }] }, more: true };
    expect(judge(external, good)).toEqual({ kind: "resolved", resumeValue: good, events: [] });
    for (const value of [null, {}, { orderId: "1" }, { ...good, orderId: 1 }, { ...good, meta: { a: [1, {}] } }]) {
      expect(judge(external, value)).toMatchObject({ kind: "invalid", status: 422 });
    }
  });

  test("a resumeSchema is held to", () => {
    const resumeSchema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
    const custom = { kind: "custom", key: "k", data: { customKind: "c" }, resumeSchema };
    expect(judge(custom, { n: "1" })).toMatchObject({ kind: "invalid", status: 422 });
    expect(judge(custom, { n: 1 })).toMatchObject({ kind: "resolved" });
    expect(judge({ ...custom, resumeSchema: { if: {} } }, "x")).toMatchObject({ kind: "resolved" });
  });
});

describe("the cap of clarifications", () => {
  const clarification = { kind: "clarification", key: "ask", data: { questions: [{ id: "q", question: "?" }] } };
  const endOf = (asked_: number, value: JsonValue) => {
    const task = { taskId: "t", nodeId: "ask", status: "running" } as const;
    const fold: Partial<RunFold> = {
      status: "running",
      tasks: new Map([[task.taskId, task]]),
      interrupts: Array.from({ length: asked_ }, () => ({ ...asked(clarification), status: "resolved" as const })),
      launches: [],
    };
    const held = [{ taskId: "t", node: "ask", langgraphInterruptId: "l", value }];
    const end = { status: "success", error: null } as const;
    const ended: Partial<EndedRun> = { end, langgraphRunId: "r", held, hasNext: true, nextNode: "ask" };
    const record: Partial<RunRecord> = { pause: null, source: null };
    const context = { record: record as RunRecord, fold: fold as RunFold, rules, nowMs: 0 };
    return endEvents(ended as EndedRun, context)?.map(({ type }) => type);
  };

  test("47: a run that asks for more than discovery says fails", () => {
    const { clarificationRounds: limit } = LIMITS;
    expect(endOf(limit - 1, clarification)).toContain("clarification.requested");
    expect(endOf(limit, clarification)).toEqual(["cap.breached", "node.cancelled", "run.failed"]);
    expect(endOf(limit, { ...approval() })).toContain("approval.requested");
  });
});

describe("signed links", () => {
  const key = Buffer.alloc(32, 7);
  const claims: TokenClaims = { runId: "r", nodeId: "n ü", interruptId: "int-1", expiresAt: 5, intent: "resolve" };

  test("say what was signed, and are safe in paths", () => {
    const token = signToken(claims, key);
    expect(token).toMatch(/^[\w-]+\.[\w-]+$/);
    expect(readToken(token, key)).toEqual(claims);
  });

  test("that were changed in any character are none", () => {
    const token = signToken(claims, key);
    for (let i = 0; i < token.length; i++) {
      const other = token[i] === "A" ? "B" : "A";
      expect(readToken(token.slice(0, i) + other + token.slice(i + 1), key)).toBeNull();
    }
    for (const text of ["", ".", "a.b", `${token}.x`, `${token}=`, token.repeat(40)]) {
      expect(readToken(text, key)).toBeNull();
    }
    expect(readToken(token, Buffer.alloc(32, 8))).toBeNull();
  });
});

describe("envelopes", () => {
  const at = { request: new Request("http://h/openwop/v1/x", { method: "PUT" }), requestId: "req-1" };
  const refused = (error: unknown, kind: "error" | "no-route" | "wrong-method" = "error") => {
    const { status, body, headers } = refuse(error, { ...at, kind });
    return { status, headers, body: errorSchema.parse(JSON.parse(body)) };
  };

  test("of unknown paths, wrong methods, refusals", () => {
    const nothing = new HeddleError("NOT_FOUND");
    expect(refused(nothing, "no-route")).toMatchObject({ status: 404, body: { error: "not_found" } });
    expect(refused(nothing, "wrong-method")).toMatchObject({ status: 405, body: { error: "validation_error" } });
    const refusal = new OpenwopRefusal({
      status: 409,
      code: "run_already_active",
      message: "m",
      details: { activeRunId: "r" },
      headers: { "retry-after": "5" },
    });
    expect(refused(refusal)).toEqual({
      status: 409,
      headers: { "retry-after": "5" },
      body: { error: "run_already_active", message: "m", details: { activeRunId: "r" } },
    });
  });

  test("of limits say when to try again, and of what", () => {
    const limited = new HeddleError("RATE_LIMITED", { details: { retryAfterMs: 1_500 } });
    expect(refused(limited).body).toMatchObject({
      error: "rate_limited",
      details: { retryAfterMs: 1_500, scope: "requests" },
    });
  });

  test("of faults keep the inner text to themselves", () => {
    for (const error of [new Error("secret"), new HeddleError("STORAGE_UNAVAILABLE", { message: "secret" })]) {
      const { body, status } = refused(error);
      expect(status).toBeGreaterThanOrEqual(500);
      expect(body.message).toContain("req-1");
      expect(body.message).not.toContain("secret");
    }
  });
});

describe("traceparent", () => {
  const ID = "0af7651916cd43dd8448eb211c80319c";
  const of = (given: string | null) =>
    headersFor(new Request("http://h", { headers: given === null ? {} : { traceparent: given, tracestate: "a=1" } }));

  test("goes on with the request's trace under a span of its own", () => {
    const given = `00-${ID}-b7ad6b7169203331-01`;
    const { traceparent, tracestate } = of(given);
    expect(traceparent).toMatch(new RegExp(`^00-${ID}-[0-9a-f]{16}-01$`));
    expect(traceparent).not.toBe(given);
    expect(tracestate).toBe("a=1");
    expect(of(`01-${ID}-b7ad6b7169203331-01-more`)["traceparent"]).toContain(ID);
  });

  test("is new where there is no valid one", () => {
    const zeros = "0".repeat(32);
    for (const given of [null, "", "00", `00-${zeros}-b7ad6b7169203331-01`, `ff-${ID}-b7ad6b7169203331-01`]) {
      const { traceparent } = of(given);
      expect(traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
      expect(traceparent).not.toContain(ID);
    }
    expect(of(`00-${ID}-b7ad6b7169203331-01-more`)["traceparent"]).not.toContain(ID);
  });
});
