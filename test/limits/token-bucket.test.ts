import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createConcurrencyGauge } from "../../src/limits/concurrency.js";
import { createTokenBuckets } from "../../src/limits/token-bucket.js";
import type { JsonObject } from "../../src/core/json.js";
import { addressKey, callerKey } from "../../src/core/limits.js";

describe("token buckets in memory", () => {
  it("lets a burst in, then as many as flow in, and says when to come again", async () => {
    let now = 0;
    const buckets = createTokenBuckets({ perSecond: 2, burst: 3 }, { clock: { now: () => now } });
    for (let i = 0; i < 3; i += 1) expect(await buckets.take("a")).toEqual({ admitted: true });
    expect(await buckets.take("a")).toEqual({ admitted: false, retryAfterMs: 500 });
    expect(await buckets.take("b")).toEqual({ admitted: true });
    now = 499;
    expect(await buckets.take("a")).toMatchObject({ admitted: false });
    now = 500;
    expect(await buckets.take("a")).toEqual({ admitted: true });
    now = 1_000_000;
    for (let i = 0; i < 3; i += 1) expect(await buckets.take("a")).toEqual({ admitted: true });
    expect(await buckets.take("a")).toMatchObject({ admitted: false });
    // A clock that is set back neither gives nor takes.
    now = 0;
    expect(await buckets.take("a")).toMatchObject({ admitted: false, retryAfterMs: 500 });
  });

  it("never lets in more than burst + time × rate, nor less than the rate", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 }),
        (burst, perSecond, pausesMs) => {
          let now = 0;
          const buckets = createTokenBuckets({ perSecond, burst }, { clock: { now: () => now } });
          let admitted = 0;
          for (const pauseMs of pausesMs) {
            now += pauseMs;
            if ((buckets.take("a") as { admitted: boolean }).admitted) admitted += 1;
          }
          expect(admitted).toBeLessThanOrEqual(burst + (now * perSecond) / 1000 + 1e-6);
          expect(admitted).toBeGreaterThanOrEqual(Math.min(pausesMs.length, burst));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("forgets full buckets, and keeps no more than it may", () => {
    let now = 0;
    const clock = { now: () => now };
    const buckets = createTokenBuckets({ perSecond: 1_000, burst: 1 }, { clock });
    for (let i = 0; i < 4_000; i += 1) void buckets.take(`k${i}`);
    expect(buckets.size).toBe(4_000);
    now = 10;
    for (let i = 0; i < 200; i += 1) void buckets.take("same");
    expect(buckets.size).toBe(1);
    const bounded = createTokenBuckets({ perSecond: 0.001, burst: 1 }, { clock, maxBuckets: 100 });
    for (let i = 0; i < 10_000; i += 1) void bounded.take(`k${i}`);
    expect(bounded.size).toBe(100);
  });
});

describe("what a caller has open", () => {
  it("is given back once, and per caller", () => {
    const gauge = createConcurrencyGauge(2);
    const first = gauge.acquire("a");
    expect(gauge.acquire("a")).not.toBeNull();
    expect(gauge.acquire("a")).toBeNull();
    expect(gauge.acquire("b")).not.toBeNull();
    first?.();
    first?.();
    expect(gauge.acquire("a")).not.toBeNull();
    expect(gauge.acquire("a")).toBeNull();
  });
});

describe("under which name a caller is counted", () => {
  it("is its identity, else its address; a network of IPv6 is one", () => {
    expect(callerKey({ identity: "ann", user: { identity: "ann", team: "x" } }, "10.0.0.1")).toBe("id:ann");
    expect(callerKey({ identity: "ann", user: null }, "10.0.0.1")).toBe("id:ann");
    expect(callerKey({ identity: null, user: null }, "10.0.0.1")).toBe("address:10.0.0.1");
    // An identity can't be made to look like an address.
    const posed = callerKey({ identity: "address:10.0.0.1", user: null }, null);
    expect(posed).not.toBe(callerKey({ identity: null, user: null }, "10.0.0.1"));
    expect(addressKey("::ffff:10.0.0.1")).toBe("address:10.0.0.1");
    expect(addressKey("2001:db8:0:1:aaaa::1")).toBe(addressKey("2001:0DB8::1:0:0:0:2"));
    expect(addressKey("2001:db8:0:2::1")).not.toBe(addressKey("2001:db8:0:1::1"));
    expect(addressKey("fe80::1%eth0")).toBe("address:fe80:0:0:0::/64");
    expect(addressKey("::1")).toBe("address:0:0:0:0::/64");
  });

  it("is another for another tenant's caller of the same name, and for other marks", () => {
    const key = (user: JsonObject, identity = "ann") => callerKey({ identity, user }, null);
    const users: JsonObject[] = [
      {},
      { tenant: "acme" },
      { tenant: "other" },
      { metadata: { team: "acme" } },
      { metadata: { team: "acme", site: "b" } },
      { tenant: "acme", metadata: { team: "acme" } },
    ];
    const keys = users.map((user) => key(user));
    expect(new Set(keys).size).toBe(users.length);
    expect(users.map((user) => key({ ...user, key_id: "another", display_name: "Ann" }))).toEqual(keys);
    expect(key({ metadata: { site: "b", team: "acme" } })).toBe(keys[4]);
    // Nor can an identity be made to look like another tenant's.
    expect(keys).not.toContain(key({}, String(keys[1])));
    expect(keys).not.toContain(key({}, String(keys[1]).replace(/^id:/, "")));
  });
});
