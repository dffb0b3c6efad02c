import { describe, expect, test } from "vitest";
import { ERROR_MESSAGES, type ErrorCode, HeddleError } from "../../../src/core/errors.js";
import { toJsonText } from "../../../src/core/json.js";
import { AuthRefusal } from "../../../src/core/auth.js";
import { refuse } from "../../../src/protocols/snapstate/errors.js";
import { etagOf, matchesEtag } from "../../../src/protocols/snapstate/etag.js";
import { checkpointId, parseCheckpointId, stepKey, threadIdOf } from "../../../src/protocols/snapstate/places.js";
import { Turns } from "../../../src/protocols/snapstate/turns.js";
import { decodeReplay, decodeSave } from "../../../src/protocols/snapstate/wire.js";

const at = { request: new Request("http://h/snapstate/x"), requestId: "r1", kind: "error" } as const;

describe("ids", () => {
  test.each([
    ["wf-1", 1, "cp_wf-1_001"],
    ["wf-1", 12, "cp_wf-1_012"],
    ["a_1_002", 1234, "cp_a_1_002_1234"],
    ["ü/ \n", 0, "cp_ü/ \n_000"],
    ["x", Number.MAX_SAFE_INTEGER, "cp_x_9007199254740991"],
  ])("%j %d is %j, and back", (workflowId, step, id) => {
    expect(checkpointId(workflowId, step)).toBe(id);
    expect(parseCheckpointId(id)).toEqual({ workflowId, step });
  });

  test.each(["", "cp_x", "cp_x_1", "cp_x_0001", "cp__001", "x_001", "cp_x_9007199254740992", "cp_x_-01", "cp_x_1e3"])(
    "%j is none",
    (id) => {
      expect(parseCheckpointId(id)).toBeNull();
    },
  );

  test("steps as keys sort as numbers", () => {
    const steps = [0, 9, 10, 99, 100, Number.MAX_SAFE_INTEGER];
    expect(steps.map(stepKey).toSorted()).toEqual(steps.map(stepKey));
  });

  test("a workflow's thread is told by its account and name", () => {
    const ref = { owner: "id:ann", workflowId: "w" };
    expect(threadIdOf(ref)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5/);
    expect(threadIdOf(ref)).toBe(threadIdOf({ ...ref }));
    expect(threadIdOf({ ...ref, owner: "id:bob" })).not.toBe(threadIdOf(ref));
  });
});

describe("etags", () => {
  test("are of the state's text", () => {
    // sha256('{"a":1}') begins so.
    expect(etagOf(toJsonText({ a: 1 }))).toBe('"015abd7f5cc57a2d"');
    expect(etagOf(toJsonText({ a: 2 }))).not.toBe(etagOf(toJsonText({ a: 1 })));
  });

  test.each([
    ['"0123456789abcdef"', true],
    ["0123456789abcdef", true],
    ['W/"0123456789abcdef"', true],
    ['w/"0123456789abcdef"', true],
    ["W/0123456789abcdef", true],
    ['"x", "0123456789abcdef"', true],
    ["*", true],
    ['"0123456789abcde"', false],
    ["", false],
    ['"0123456789ABCDEF"', false],
  ])("%s", (header, matches) => {
    expect(matchesEtag(header, '"0123456789abcdef"')).toBe(matches);
  });
});

describe("failures", () => {
  test.each(Object.keys(ERROR_MESSAGES) as ErrorCode[])("%s has the envelope, and a fault tells nothing", (code) => {
    const { status, body } = refuse(new HeddleError(code, { message: "inner words" }), at);
    const { error } = JSON.parse(body) as { error: { code: string; message: string } };
    expect(error.code).toMatch(/^[A-Z_]+$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(error.message.includes("inner words")).toBe(status < 500 || status === 501);
    expect(error.message.includes("r1")).toBe(status >= 500 && status !== 501);
  });

  test("what nobody expects is a 500", () => {
    const refusal = refuse(new Error("password"), at);
    expect(refusal.status).toBe(500);
    expect(refusal.body).toBe('{"error":{"code":"INTERNAL_ERROR","message":"Internal server error (request r1)"}}');
  });

  test("a refusal of its own keeps status and headers", () => {
    const refusal = refuse(
      new AuthRefusal({ status: 401, message: "expired", headers: { "www-authenticate": "Bearer" } }),
      at,
    );
    expect(refusal).toEqual({
      status: 401,
      body: '{"error":{"code":"UNAUTHORIZED","message":"expired"}}',
      headers: { "www-authenticate": "Bearer" },
    });
  });

  test("unknown routes and wrong methods", () => {
    expect(refuse(new HeddleError("NOT_FOUND"), { ...at, kind: "no-route" })).toMatchObject({ status: 404 });
    expect(refuse(new HeddleError("NOT_FOUND"), { ...at, kind: "wrong-method" })).toMatchObject({ status: 405 });
  });
});

describe("a save, decoded", () => {
  const none = { ttl: undefined, ifMatch: undefined };
  const body = { workflow_id: "w", step: 1, state: {} };

  test.each([
    ["3", 3],
    [0, 0],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    [2.0, 2],
  ])("step %j is %d", (step, expected) => {
    expect(decodeSave({ ...body, step }, none).step).toBe(expected);
  });

  test.each([-1, 1.5, "1.0", "-1", "", " 3", true, null, 2 ** 53, "99999999999999999", [], {}])(
    "step %j is refused",
    (step) => {
      expect(() => decodeSave({ ...body, step }, none)).toThrow(/^step/);
    },
  );

  test.each([
    ["60", 60],
    [" 7 ", 7],
    ["0", 604_800],
    ["-5", 604_800],
    ["abc", 604_800],
    ["1.5", 604_800],
    ["", 604_800],
    [undefined, 604_800],
    ["99999999999999999999", 100 * 366 * 86_400],
  ])("a time to live of %j is %d s", (ttl, seconds) => {
    expect(decodeSave(body, { ...none, ttl }).ttlMs).toBe(seconds * 1000);
  });

  test("characters are code points", () => {
    expect(decodeSave({ ...body, workflow_id: "😀".repeat(128) }, none).workflowId).toHaveLength(256);
    expect(() => decodeSave({ ...body, workflow_id: "😀".repeat(129) }, none)).toThrow(/^workflow_id/);
  });

  test("what no key can be is refused", () => {
    expect(() => decodeSave({ ...body, workflow_id: "a\0b" }, none)).toThrow(/^workflow_id/);
    expect(() => decodeSave({ ...body, workflow_id: "\ud800" }, none)).toThrow(/^workflow_id/);
  });

  test.each([undefined, null, [], "x", 1])("%j is no body", (sent) => {
    expect(() => decodeSave(sent, none)).toThrow(HeddleError);
  });
});

test("a replay's query is closed", () => {
  expect(decodeReplay({})).toEqual({ limit: 100 });
  expect(decodeReplay({ from_step: "2", to_step: "4", limit: "1000" })).toEqual({
    fromStep: 2,
    toStep: 4,
    limit: 1000,
  });
  for (const query of [
    { limit: "0" },
    { limit: "1001" },
    { limit: "abc" },
    { limit: "1.5" },
    { from_step: "-1" },
    { step: "1" },
    { limit: ["1", "2"] },
  ]) {
    expect(() => decodeReplay(query)).toThrow(HeddleError);
  }
});

test("turns are taken by key, also after a failure", async () => {
  const turns = new Turns();
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = turns.run("a", async () => {
    await gate.promise;
    order.push("first");
    throw new Error("failed");
  });
  const second = turns.run("a", async () => void order.push("second"));
  await turns.run("b", async () => void order.push("other"));
  gate.resolve();
  await expect(first).rejects.toThrow("failed");
  await second;
  expect(order).toEqual(["other", "first", "second"]);
});
