import { expect, test } from "vitest";
import { StreamPermits } from "../../../src/http/stream-permits.js";
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
