import { describe, expect, it } from "vitest";
import { createConfigurableHeaders, createLoggingHeaders } from "../../../src/http/header-rules.js";

const headers = new Headers({
  "x-user-id": "ann",
  "x-organization-id": "o",
  "my-prefix-a": "1",
  "my-prefix-secret": "2",
  authorization: "Bearer t",
  cookie: "c=1",
  "x-api-key": "k",
  "x-tenant-id": "t",
  "x-service-key": "s",
  "x-auth-scheme": "langsmith",
  thread_id: "another",
  langgraph_auth_user: "root",
  langgraph_auth_user_id: "root",
  user_id: "root",
  checkpoint_ns: "x",
  __proto__: "p",
});
const taken = (includes: string[], excludes: string[] = []) =>
  createConfigurableHeaders({ includes, excludes })?.(headers);

describe("headers for configurable", () => {
  it("are none unless they are named", () => {
    expect(createConfigurableHeaders(null)).toBeNull();
    expect(createConfigurableHeaders({ includes: [], excludes: [] })).toBeNull();
    expect(taken(["X-User-Id"])).toEqual({ "x-user-id": "ann" });
    expect(taken(["my-*"], ["*secret"])).toEqual({ "my-prefix-a": "1" });
    expect(taken(["x-*-id"])).toEqual({ "x-user-id": "ann", "x-organization-id": "o" });
  });

  it("never hold keys, the server's own names, or a credential that is not named", () => {
    expect(taken(["*"])).toEqual({
      "x-user-id": "ann",
      "x-organization-id": "o",
      "my-prefix-a": "1",
      "my-prefix-secret": "2",
    });
    expect(taken(["x-api-key", "x-auth-scheme", "langgraph_auth_user", "thread_id", "user_id"])).toEqual({});
    expect(taken(["authorization"])).toEqual({ authorization: "Bearer t" });
    expect(taken(["authorization"], ["auth*"])).toEqual({});
  });

  it("a pattern with many stars is not slow", () => {
    const pattern = `${"a*".repeat(50)}b`;
    const since = performance.now();
    const given = new Headers({ [`${"a".repeat(5_000)}c`]: "1" });
    expect(createConfigurableHeaders({ includes: [pattern], excludes: [] })?.(given)).toEqual({});
    expect(performance.now() - since).toBeLessThan(100);
  });
});

it("headers for log lines hold no credential, not even a named one", () => {
  const log = createLoggingHeaders({ includes: ["authorization", "cookie", "x-user-id", "x-api-key"], excludes: [] });
  expect(log?.(headers)).toEqual({ "x-user-id": "ann" });
});
