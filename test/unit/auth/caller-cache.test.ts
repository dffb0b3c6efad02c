import { expect, it } from "vitest";
import { withCallerCache } from "../../../src/auth/caller-cache.js";
import type { Caller } from "../../../src/core/auth.js";
import { HeddleError } from "../../../src/core/errors.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

function cached(options: { ttlMs?: number; maxEntries?: number; headers?: string[] } = {}) {
  const asked: string[] = [];
  let refuses = false;
  let closed = 0;
  const clock = fakeClock();
  const provider = withCallerCache(
    {
      async authenticate(request): Promise<Caller> {
        const identity = request.headers.get("authorization") ?? "nobody";
        asked.push(identity);
        if (refuses) throw new HeddleError("UNAUTHENTICATED");
        return { identity, permissions: [], user: { identity } };
      },
      authorizer: null,
      close: async () => void (closed += 1),
    },
    clock,
    { headers: ["authorization", "x-tenant"], ttlMs: 1_000, maxEntries: 2, ...options },
  );
  const ask = async (headers: Record<string, string>) =>
    (await provider.authenticate(new Request("http://x/", { headers }))).identity;
  return { ask, asked, clock, provider, refuse: (on: boolean) => void (refuses = on), closed: () => closed };
}

it("asks once for the same headers until the time is over", async () => {
  const { ask, asked, clock } = cached();
  expect(await ask({ authorization: "a" })).toBe("a");
  expect(await ask({ authorization: "a", cookie: "other" })).toBe("a");
  expect(asked).toEqual(["a"]);
  clock.advance(999);
  await ask({ authorization: "a" });
  expect(asked).toEqual(["a"]);
  clock.advance(1);
  await ask({ authorization: "a" });
  expect(asked).toEqual(["a", "a"]);
});

it("tells apart whatever one of the headers tells apart", async () => {
  const { ask, asked } = cached({ maxEntries: 10 });
  await ask({ authorization: "a" });
  await ask({ authorization: "a", "x-tenant": "t" });
  await ask({ "x-tenant": "t" });
  await ask({ authorization: 'a","t' });
  expect(asked).toEqual(["a", "a", "nobody", 'a","t']);
});

it("asks each time without any of the headers", async () => {
  const { ask, asked } = cached();
  await ask({});
  await ask({ cookie: "c" });
  expect(asked).toEqual(["nobody", "nobody"]);
});

it("keeps no refusal, and gives one answer to requests that come together", async () => {
  const { ask, asked, refuse } = cached();
  refuse(true);
  const together = await Promise.allSettled([ask({ authorization: "a" }), ask({ authorization: "a" })]);
  expect(together.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(asked).toEqual(["a"]);
  refuse(false);
  expect(await ask({ authorization: "a" })).toBe("a");
  expect(asked).toEqual(["a", "a"]);
});

it("forgets the least recently used beyond its size", async () => {
  const { ask, asked } = cached();
  await ask({ authorization: "a" });
  await ask({ authorization: "b" });
  await ask({ authorization: "a" });
  await ask({ authorization: "c" });
  expect(asked).toEqual(["a", "b", "c"]);
  await ask({ authorization: "a" });
  expect(asked).toEqual(["a", "b", "c"]);
  await ask({ authorization: "b" });
  expect(asked).toEqual(["a", "b", "c", "b"]);
});

it("closes what it wraps", async () => {
  const { provider, closed } = cached();
  await provider.close?.();
  expect(closed()).toBe(1);
});
