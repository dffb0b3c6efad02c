import { expect, test } from "vitest";
import { RefusedAddresses } from "../../../src/http/refused-addresses.js";

test("an address is blocked for a time, and a clock that is set back does not make it longer", () => {
  let now = 1_000;
  const addresses = new RefusedAddresses({ now: () => now });
  addresses.block("a", 500);
  expect([addresses.blockedForMs("a"), addresses.blockedForMs("b")]).toEqual([500, 0]);
  now = 1_499;
  expect(addresses.blockedForMs("a")).toBe(1);
  now = 1_500;
  expect(addresses.blockedForMs("a")).toBe(0);
  addresses.block("a", 500);
  now = 0;
  expect(addresses.blockedForMs("a")).toBe(0);
});

test("so many are remembered; the one that was refused longest ago is forgotten", () => {
  const addresses = new RefusedAddresses({ now: () => 0 }, 3);
  for (const key of ["a", "b", "c", "a", "d"]) addresses.block(key, 500);
  expect(["a", "b", "c", "d"].map((key) => addresses.blockedForMs(key))).toEqual([500, 0, 500, 500]);
});
