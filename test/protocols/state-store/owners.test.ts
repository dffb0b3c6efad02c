import { expect, it } from "vitest";
import { createOwners } from "../../../src/protocols/state-store/owners.js";
import { recordsByKey } from "../../../src/protocols/state-store/records-by-key.js";
import { toJsonText } from "../../../src/core/json.js";
import { createMemoryRecords } from "../../../src/stores/memory/records.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

/** Records that count what is read of them. */
function counted() {
  const records = createMemoryRecords(fakeClock());
  const { list } = records;
  const read = { records: 0, mostChars: 0 };
  records.list = async (params) => {
    const found = await list(params);
    read.records += found.length;
    read.mostChars = Math.max(
      read.mostChars,
      found.reduce((sum, { value }) => sum + value.length, 0),
    );
    return found;
  };
  return { records, read };
}

async function under(owners: ReturnType<typeof createOwners>, prefix: readonly string[]) {
  const found: (readonly string[])[] = [];
  for await (const labels of owners.under(prefix)) found.push(labels);
  return found;
}

it("who looks at his own owners reads none of the thousands of others", async () => {
  const { records, read } = counted();
  const owners = createOwners(records);
  for (let n = 0; n < 1_000; n += 1) await owners.remember(["acme", `user-${n}`, "state", "w"]);
  expect(await under(owners, ["acme", "user-7"])).toEqual([["acme", "user-7"]]);
  expect(read.records).toBeLessThan(10);
  expect(await under(owners, ["acme"])).toHaveLength(1_001);
});

it("owners are found below every prefix, whatever characters and however many their labels have", async () => {
  const { records } = counted();
  const owners = createOwners(records);
  const long = "l".repeat(700);
  const all = [
    ["a"],
    ["a", "b"],
    ["a", "\u{10FFFF}"],
    ["a", "\uFFFF"],
    ["ab"],
    ['a"', "b"],
    ["a", long],
    [long, "z"],
    [long],
  ];
  for (const labels of all) await owners.remember([...labels, "state", "w"]);
  const sorted = (lists: readonly (readonly string[])[]) => lists.map((one) => JSON.stringify(one)).sort();
  for (const prefix of [[], ["a"], ["a", "b"], ["ab"], ['a"'], [long], ["l".repeat(2_000)], ["none"]]) {
    const wanted = all.filter((labels) => prefix.every((label, at) => labels[at] === label));
    expect(sorted(await under(owners, prefix))).toEqual(
      sorted([prefix, ...wanted.filter((labels) => labels.length > prefix.length)]),
    );
  }
});

it("large values are read few at once", async () => {
  const { records, read } = counted();
  const value = toJsonText("x".repeat(500_000));
  const place = { space: "s", owner: "", collection: "c" };
  for (let n = 0; n < 60; n += 1) await records.write({ ...place, key: String(n).padStart(3, "0"), value });
  const keys: string[] = [];
  for await (const { key } of recordsByKey(records, place)) keys.push(key);
  expect(keys).toEqual(Array.from({ length: 60 }, (_, n) => String(n).padStart(3, "0")));
  // All 60 at once before.
  expect(read.mostChars).toBeLessThanOrEqual(26 * 500_002);
});
