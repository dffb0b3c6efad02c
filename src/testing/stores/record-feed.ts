import type { MetadataStore } from "../../core/metadata-store.js";
import { CHANGES_KEPT_MS } from "../../core/record.js";
import { at, json, put } from "./record-places.js";
import type { StoreSuite, WithStore } from "./suite.js";

const ALL_CHANGES = { after: 0, limit: 100 };

/** What becomes of tracked records. */
export function recordFeedCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const { it, expect } = suite.vitest;

  it(
    "tells in order of versions what was and what is, also of a removal",
    withStore(async ({ store: { records }, clock }) => {
      const tracked = true;
      const start = clock.now();
      await put(records, { ...at("k"), value: json(1), tracked });
      clock.advance(5);
      await put(records, { ...at("k"), value: json(2), tracked });
      await put(records, { ...at("other"), value: json("other"), tracked });
      await records.write({ ...at("k"), value: json("stale"), expected: 1, tracked });
      await records.remove({ ...at("k"), tracked });
      await records.remove({ ...at("k"), tracked });
      clock.advance(5);
      await put(records, { ...at("k"), value: json(3), tracked });
      const changes = [
        { key: "k", version: 1, previous: null, value: json(1), at: start },
        { key: "k", version: 2, previous: json(1), value: json(2), at: start + 5 },
        { key: "k", version: 3, previous: json(2), value: null, at: start + 5 },
        { key: "k", version: 4, previous: null, value: json(3), at: start + 10 },
      ];
      expect(await records.changes({ ...at("k"), ...ALL_CHANGES })).toEqual(changes);
      expect(await records.changes({ ...at("k"), after: 1, limit: 2 })).toEqual(changes.slice(1, 3));
      expect(await records.changes({ ...at("k"), after: 4, limit: 2 })).toEqual([]);
      expect(await records.changes({ ...at("unknown"), ...ALL_CHANGES })).toEqual([]);
      expect(await records.changes({ ...at("k"), owner: "bob", ...ALL_CHANGES })).toEqual([]);
    }),
  );

  it(
    "knows the last version, also of what is removed, or expired and not swept",
    withStore(async ({ store: { records }, clock }) => {
      expect(await records.version(at("k"))).toBe(0);
      await put(records, { ...at("k"), value: json(1), tracked: true });
      await put(records, { ...at("k"), value: json(2), ttlMs: 10, tracked: true });
      expect(await records.version(at("k"))).toBe(2);
      expect(await records.version({ ...at("k"), owner: "bob" })).toBe(0);
      clock.advance(10);
      expect(await records.version(at("k"))).toBe(2);
      await records.sweepExpired({ limit: 9 });
      expect(await records.version(at("k"))).toBe(3);
      await put(records, { ...at("k"), value: json(4), tracked: true });
      await records.remove({ ...at("k"), tracked: true });
      expect(await records.version(at("k"))).toBe(5);
      expect(await records.changes({ ...at("k"), after: 5, limit: 9 })).toEqual([]);
    }),
  );

  it(
    "tells nothing of what is not tracked",
    withStore(async ({ store: { records }, clock }) => {
      await put(records, { ...at("k"), value: json(1) });
      await put(records, { ...at("k"), value: json(2), tracked: true });
      await put(records, { ...at("k"), value: json(3), ttlMs: 1 });
      clock.advance(1);
      await records.sweepExpired({ limit: 9 });
      await put(records, { ...at("k"), value: json(4) });
      await records.remove(at("k"));
      expect((await records.changes({ ...at("k"), ...ALL_CHANGES })).map(({ version }) => version)).toEqual([2]);
    }),
  );

  it(
    "tells of an expiry once, when it is swept",
    withStore(async ({ store: { records }, clock }) => {
      await put(records, { ...at("k"), value: json(1), ttlMs: 10, tracked: true });
      clock.advance(50);
      await records.sweepExpired({ limit: 9 });
      await records.sweepExpired({ limit: 9 });
      const expiry = { key: "k", version: 2, previous: json(1), value: null, at: clock.now() };
      expect(await records.changes({ ...at("k"), after: 1, limit: 9 })).toEqual([expiry]);
      await put(records, { ...at("k"), value: json(2), tracked: true });
      expect(await records.changes({ ...at("k"), after: 2, limit: 9 })).toMatchObject([{ version: 3, previous: null }]);
    }),
  );

  it(
    "tells of an expiry first, then of the write that came before the sweep",
    withStore(async ({ store: { records }, clock }) => {
      await put(records, { ...at("k"), value: json(1), ttlMs: 10, tracked: true });
      clock.advance(10);
      await put(records, { ...at("k"), value: json(2), tracked: true });
      await records.sweepExpired({ limit: 9 });
      expect(await records.changes({ ...at("k"), after: 1, limit: 9 })).toEqual([
        { key: "k", version: 2, previous: json(1), value: null, at: clock.now() },
        { key: "k", version: 3, previous: null, value: json(2), at: clock.now() },
      ]);
      await put(records, { ...at("k"), value: json(3), ttlMs: 1, tracked: true });
      clock.advance(1);
      // Whoever writes untracked says nothing of itself, only what it found.
      await put(records, { ...at("k"), value: json(4) });
      expect(await records.changes({ ...at("k"), after: 4, limit: 9 })).toMatchObject([{ version: 5, value: null }]);
    }),
  );

  it(
    "tells of all writes of one step, and of none of a step that did not happen",
    withStore(async ({ store: { records } }) => {
      const write = { ...at("k"), tracked: true };
      await records.writeAll([
        { ...write, value: json(1) },
        { ...write, value: json(2) },
      ]);
      const failed = await records.writeAll([
        { ...write, value: json(3) },
        { ...write, value: json(4), expected: 99 },
      ]);
      expect(failed).toMatchObject({ kind: "conflict", index: 1 });
      const changes = await records.changes({ ...at("k"), ...ALL_CHANGES });
      expect(changes.slice(0, 2).map(({ value }) => value)).toEqual([json(1), json(2)]);
      // A storage that undoes may tell of both; what it says of must end with what is.
      expect(changes.at(-1)?.value).toBe(json(2));
    }),
  );

  it(
    "forgets after its time",
    withStore(async ({ store: { records }, clock }) => {
      await put(records, { ...at("k"), value: json(1), tracked: true });
      await put(records, { ...at("gone"), value: json("secret"), tracked: true });
      await records.remove({ ...at("gone"), tracked: true });
      clock.advance(60_000);
      await put(records, { ...at("k"), value: json(2), tracked: true });
      clock.advance(CHANGES_KEPT_MS - 60_000);
      await records.sweepExpired({ limit: 9 });
      expect(await records.changes({ ...at("k"), ...ALL_CHANGES })).toMatchObject([{ version: 2 }]);
      expect(await records.changes({ ...at("gone"), ...ALL_CHANGES })).toEqual([]);
      expect((await records.get(at("k")))?.version).toBe(2);
    }),
  );
}
