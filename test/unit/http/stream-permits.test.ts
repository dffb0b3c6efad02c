import { expect, test } from "vitest";
import { releasedBody, StreamPermits } from "../../../src/http/stream-permits.js";
import { createConcurrencyGauge } from "../../../src/limits/concurrency.js";

test("nothing is taken once all were given back", () => {
  const gauge = createConcurrencyGauge(2);
  const permits = new StreamPermits(gauge, "ann");
  permits.open();
  const leave = permits.subscribe();
  permits.subscribe();
  expect(gauge.acquire("ann")).toBeNull();
  permits.closeAll();
  // Those that were under way.
  for (let i = 0; i < 3; i += 1) permits.subscribe();
  permits.open();
  leave();
  expect(permits.holds).toBe(false);
  const both = [gauge.acquire("ann"), gauge.acquire("ann")];
  expect(both).not.toContain(null);
});

test("a body that fails while nobody reads it has ended, and its reader is told", async () => {
  const source = Promise.withResolvers<ReadableStreamDefaultController<Uint8Array>>();
  const body = new ReadableStream<Uint8Array>({ start: (controller) => source.resolve(controller) });
  let ends = 0;
  const released = releasedBody(body, () => (ends += 1));
  const controller = await source.promise;
  controller.enqueue(Buffer.from("a"));
  const reader = released.getReader();
  expect(await reader.read()).toMatchObject({ done: false });
  // As an event stream does whose client takes nothing any more.
  controller.error(new Error("stalled"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(ends).toBe(1);
  await expect(reader.read()).rejects.toThrow("stalled");
});

test("a body that ends or is cancelled has ended", async () => {
  let ends = 0;
  const text = await new Response(releasedBody(new Blob(["abc"]).stream(), () => (ends += 1))).text();
  expect(text).toBe("abc");
  expect(ends).toBe(1);
  ends = 0;
  let reason: unknown;
  const endless = new ReadableStream<Uint8Array>({ cancel: (given) => void (reason = given) });
  await releasedBody(endless, () => (ends += 1)).cancel("left");
  expect([ends, reason]).toEqual([1, "left"]);
});
