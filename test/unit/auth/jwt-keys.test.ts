import * as jose from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createKeyResolver } from "../../../src/auth/jwt-keys.js";
import { jwtSettings } from "../../../src/auth/jwt-options.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { TokenIssuer } from "../../support/token-issuer.js";

let issuer: TokenIssuer;
beforeEach(async () => {
  issuer = await new TokenIssuer().open();
  await issuer.addKey("one");
});
afterEach(() => issuer.close());

const HOUR_MS = 3_600_000;
const CACHE_MS = 600_000;
const COOLDOWN_MS = 30_000;

/** Whether the key of an id is found; an error's name where it is something else than unknown. */
function openResolver() {
  const clock = fakeClock();
  const warnings: object[] = [];
  const logger = { debug() {}, info() {}, error() {}, warn: (fields: object) => void warnings.push(fields) };
  const keyOf = createKeyResolver(jwtSettings({ issuer: issuer.url, audience: "agents" }), { jose, clock, logger });
  const finds = async (kid: string) => {
    try {
      await keyOf({ alg: "ES256", kid }, undefined);
      return true;
    } catch (error) {
      if (error instanceof jose.errors.JWKSNoMatchingKey) return false;
      return (error as Error).message;
    }
  };
  return { clock, finds, warnings };
}

describe("keys of an issuer", () => {
  it("are found after a rotation, once the cool-down has passed", async () => {
    const { clock, finds } = openResolver();
    expect(await finds("one")).toBe(true);
    await issuer.addKey("two");
    expect(await finds("two")).toBe(false);
    clock.advance(COOLDOWN_MS);
    expect(await finds("two")).toBe(true);
    expect(issuer.hits.keys).toBe(2);
  });

  it("are asked for once per cool-down, whatever ids are made up and however many ask at once", async () => {
    const { clock, finds } = openResolver();
    for (let round = 0; round < 4; round += 1) {
      const found = await Promise.all(Array.from({ length: 50 }, (_, n) => finds(`made-up-${round}-${n}`)));
      expect(new Set(found)).toEqual(new Set([false]));
      expect(issuer.hits.keys).toBe(round + 1);
      clock.advance(COOLDOWN_MS);
    }
  });

  it("are forgotten when the issuer no longer has them, with the next look", async () => {
    const { clock, finds } = openResolver();
    await finds("one");
    issuer.removeKey("one");
    clock.advance(CACHE_MS - 1);
    expect(await finds("one")).toBe(true);
    clock.advance(1);
    expect(await finds("one")).toBe(false);
  });

  it("count an hour beyond their age while the issuer is away, and then no more", async () => {
    const { clock, finds, warnings } = openResolver();
    expect(await finds("one")).toBe(true);
    issuer.status = 503;
    clock.advance(CACHE_MS + HOUR_MS - 1);
    expect(await finds("one")).toBe(true);
    expect(warnings).toHaveLength(1);
    clock.advance(1);
    expect(await finds("one")).toMatch(/can't be reached/);
    clock.advance(5_000);
    issuer.status = 200;
    expect(await finds("one")).toBe(true);
  });

  it("are tried again 5 s after a failure, not before", async () => {
    issuer.status = 500;
    const { clock, finds } = openResolver();
    expect(await finds("one")).toMatch(/can't be reached/);
    issuer.status = 200;
    clock.advance(4_999);
    expect(await finds("one")).toMatch(/can't be reached/);
    clock.advance(1);
    expect(await finds("one")).toBe(true);
    expect(issuer.hits.keys).toBe(2);
  });
});
