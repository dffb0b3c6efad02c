import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeConfig, secretsOf } from "../../src/config/describe.js";
import { redactText, redactUri } from "../../src/config/redact.js";
import { resolveConfig } from "../../src/config/resolve.js";

/** Long and odd enough to occur nowhere by chance; with the characters that break naive parsers. */
const secret = fc
  .string({ minLength: 4, maxLength: 24, unit: fc.constantFrom(..."abcXYZ019-_.~!$'()*+,;:@/?#[]%&=".split("")) })
  .map((text) => `s3cr${text}3t`);
const word = fc.stringMatching(/^[a-z]{1,8}$/);
const scheme = fc.constantFrom("postgres", "postgresql", "mongodb", "mongodb+srv", "redis", "rediss", "https", "mysql");

describe("redactUri", () => {
  it.each([
    ["postgres://u:p@h:5432/db?sslmode=require&x=1", "postgres://u:***@h:5432/db?sslmode=require&x=***"],
    ["mongodb://u:p@a:1,b:2/db?replicaSet=r", "mongodb://u:***@a:1,b:2/db?replicaSet=r"],
    ["redis://:p@h/0", "redis://***@h/0".replace("***@", ":***@")],
    ["https://token@h/x#frag", "https://***@h/x#***"],
    ["https://sk_live:@h", "https://***@h"],
    ["postgres://h/db?password=p", "postgres://h/db?password=***"],
    ["sqlite:./.heddle/heddle.db", "sqlite:./.heddle/heddle.db"],
    ["sqlite:./a@b.db?key=p", "sqlite:./a@b.db?key=***"],
    ["memory:", "memory:"],
    ["mysql:u:p@h/db", "mysql:u:***@h/db"],
  ])("%s → %s", (uri, redacted) => {
    expect(redactUri(uri)).toBe(redacted);
  });

  it("lets no password, token, query value or fragment through", () => {
    const place = fc.constantFrom<(s: string, w: string) => string>(
      (s, w) => `//${w}:${s}@${w}:5432/${w}`,
      (s, w) => `//:${s}@${w}`,
      (s, w) => `//${encodeURIComponent(s)}@${w}/${w}`,
      (s, w) => `//${w}/${w}?password=${encodeURIComponent(s)}`,
      (s, w) => `//${w}:1/${w}?sslmode=require&x_${w}=${encodeURIComponent(s)}&ssl=true`,
      (s, w) => `//${w}:${s}@${w}/${w}?authSource=admin#${w}`,
      (s, w) => `//${w}/#${s}`,
      (s, w) => `${w}:${s}@${w}/${w}`,
    );
    fc.assert(
      fc.property(scheme, place, secret, word, (name, put, value, w) => {
        const redacted = redactUri(`${name}:${put(value, w)}`);
        expect(redacted).not.toContain(value);
        expect(redacted).not.toContain(encodeURIComponent(value));
        expect(redacted).not.toMatch(/s3cr|3t(?!\w)/);
        expect(redacted.startsWith(`${name}:`)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("may be applied twice", () => {
    fc.assert(
      fc.property(scheme, word, secret, (name, user, value) => {
        const once = redactUri(`${name}://${user}:${value}@host/db`);
        expect(redactUri(once)).toBe(once);
      }),
    );
  });
});

describe("redactText", () => {
  it("finds URIs in the middle of a message", () => {
    expect(redactText('connect "postgres://u:p4ss@h/db" failed, see https://h/x')).toBe(
      'connect "postgres://u:***@h/db" failed, see https://h/x',
    );
  });
  it("replaces given secrets, the longest first", () => {
    fc.assert(
      fc.property(secret, secret, (a, b) => {
        const text = redactText(`${a} and ${b} and ${a}${b}`, [a, b, `${a}${b}`]);
        expect(text).not.toContain(a);
        expect(text).not.toContain(b);
      }),
    );
  });
});

describe("a whole configuration", () => {
  it("is described without any of its secrets", async () => {
    await fc.assert(
      fc.asyncProperty(secret, secret, secret, async (password, value, other) => {
        const config = await resolveConfig({
          options: {
            graphs: { agent: () => null },
            storage: `postgres://user:${password}@host/db`,
            checkpointer: `mongodb://user:${other}@host/db`,
            env: {
              LANGSMITH_API_KEY: value,
              LANGGRAPH_CONFIG: JSON.stringify({ agent: { configurable: { key: value } } }),
            },
          },
        });
        const printed = JSON.stringify(describeConfig({ ...config, graphEnv: { API_KEY: value } }));
        expect(printed).toContain("API_KEY=***");
        for (const text of [password, value, other]) expect(printed).not.toContain(JSON.stringify(text).slice(1, -1));
        expect(secretsOf({ ...config, graphEnv: { API_KEY: value } })).toContain(value);
      }),
      { numRuns: 50 },
    );
  });
});
