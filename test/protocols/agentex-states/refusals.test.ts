import { describe, expect, it } from "vitest";
import { AuthRefusal } from "../../../src/core/auth.js";
import type { ErrorCode } from "../../../src/core/errors.js";
import { ERROR_MESSAGES, HeddleError } from "../../../src/core/errors.js";
import { errorSchema, refuse } from "../../../src/protocols/agentex-states/refusals.js";

const at = { request: new Request("http://localhost/states"), requestId: "r-1", kind: "error" } as const;

describe("refusals", () => {
  it("35: every 409 and every 5xx that no retry can cure says so, and nothing else does", () => {
    const curable: ErrorCode[] = [];
    for (const code of Object.keys(ERROR_MESSAGES) as ErrorCode[]) {
      const { status, body, headers } = refuse(new HeddleError(code), at);
      expect(errorSchema.safeParse(JSON.parse(body)).success).toBe(true);
      const isFinal = headers?.["x-should-retry"] === "false";
      expect(headers?.["x-should-retry"]).toBe(isFinal ? "false" : undefined);
      const mayBeFinal = status === 409 || status >= 500;
      expect({ code, isWrong: isFinal && !mayBeFinal }).toEqual({ code, isWrong: false });
      if (mayBeFinal && !isFinal) curable.push(code);
    }
    expect(curable).toEqual(["SHUTTING_DOWN", "STORAGE_UNAVAILABLE"]);
    expect(refuse(new Error("inner"), at).headers).toMatchObject({ "x-should-retry": "false" });
  });

  it("words each as the original does, and tells nothing of what is unexpected", () => {
    const bodyOf = (error: unknown) => JSON.parse(refuse(error, at).body) as unknown;
    expect(bodyOf(new HeddleError("INVALID_REQUEST", { message: "limit: x" }))).toEqual({
      status_code: 10_422,
      message: "limit: x",
      data: null,
    });
    expect(refuse(new HeddleError("MALFORMED_JSON"), at).status).toBe(422);
    expect(bodyOf(new HeddleError("UNAUTHENTICATED"))).toEqual({ detail: "Unauthorized" });
    const refusal = new AuthRefusal({ status: 403, message: "not today", headers: { "x-why": "sunday" } });
    expect(refuse(refusal, at)).toMatchObject({ status: 403, headers: { "x-why": "sunday" } });
    expect(bodyOf(refusal)).toEqual({ message: "not today", code: 403, data: null });
    const inner = refuse(new Error("the password is x"), at);
    expect(inner.status).toBe(500);
    expect(inner.body).not.toContain("password");
    expect(inner.body).toContain("r-1");
  });
});
