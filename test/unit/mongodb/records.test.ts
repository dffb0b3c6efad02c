import { MongoNetworkError } from "mongodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type JsonText, toJsonText } from "../../../src/core/json.js";
import type { MetadataStore } from "../../../src/core/metadata-store.js";
import type { RecordStore } from "../../../src/core/record.js";
import { openMongo, type MongoDatabase } from "../../../src/databases/mongodb/open.js";
import { createMongoMetadataStore } from "../../../src/stores/mongodb/index.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { createMongoDatabase, hasMongo } from "../../support/mongodb.js";
import { crashingDatabase } from "./crashing-database.js";
import { losingAnswers } from "./losing-answers.js";

const json = (value: number | string): JsonText => toJsonText(value);
let count = 0;
/** A place that no other test has. */
const place = () => ({ space: "test", owner: "ada", collection: `c${(count += 1)}`, key: "k" });

describe.skipIf(!hasMongo())("records in MongoDB", () => {
  const clock = fakeClock();
  let database: MongoDatabase;
  let store: MetadataStore;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    const created = await createMongoDatabase();
    drop = created.drop;
    database = await openMongo(created.uri, { cwd: "/", clock });
    store = await createMongoMetadataStore(database, { clock });
  });

  afterAll(async () => {
    await store.close();
    await drop();
  });

  const another = (changed: MongoDatabase): Promise<MetadataStore> =>
    createMongoMetadataStore({ ...changed, close: async () => {} }, { clock });
  const told = async ({ changes }: RecordStore, at: ReturnType<typeof place>) =>
    (await changes({ ...at, after: 0, limit: 99 })).map(({ version, value }) => [version, value]);

  it("writes, removes and sweeps once what is repeated because its answer was lost", { timeout: 60_000 }, async () => {
    const errorOf = () => new MongoNetworkError("connection lost");
    const losing = await another(losingAnswers(database, errorOf));
    const { records } = losing;
    const at = place();
    for (const version of [1, 2, 3, 4, 5]) {
      const outcome = await records.write({ ...at, value: json(version), expected: version - 1, tracked: true });
      expect(outcome).toMatchObject({ kind: "written", record: { version } });
    }
    expect(await records.remove({ ...at, expected: 5, tracked: true })).toMatchObject({ kind: "removed", version: 6 });
    expect(await records.write({ ...at, value: json(7), ttlMs: 1, tracked: true })).toMatchObject({
      record: { version: 7 },
    });
    clock.advance(1);
    expect(await records.sweepExpired({ limit: 9 })).toEqual([at]);
    expect(await told(store.records, at)).toEqual([
      ...[1, 2, 3, 4, 5].map((version) => [version, json(version)]),
      [6, null],
      [7, json(7)],
      [8, null],
    ]);
    await losing.close();
  });

  it("has a change with its write or neither, whichever of its writes a process dies after", async () => {
    for (let writes = 1; writes <= 4; writes += 1) {
      const at = place();
      for (const n of [1, 2]) await store.records.write({ ...at, value: json(n), tracked: true });
      const dying = crashingDatabase(database);
      const victim = await another(dying.database);
      dying.dieAfter(writes);
      await victim.records.write({ ...at, value: json(3), tracked: true }).catch((error: unknown) => {
        if (!dying.isDead()) throw error;
      });
      const { version, value } = (await store.records.get(at)) ?? {};
      const before = [1, 2].map((n) => [n, json(n)]);
      expect(await told(store.records, at)).toEqual(version === 2 ? before : [...before, [3, json(3)]]);
      expect(value).toBe(json(version ?? 0));
      expect(await store.records.write({ ...at, value: json(9), expected: version ?? 0, tracked: true })).toMatchObject(
        { kind: "written" },
      );
      expect((await told(store.records, at)).map(([each]) => each)).toEqual(
        Array.from({ length: (version ?? 0) + 1 }, (_, n) => n + 1),
      );
    }
  });

  it("undoes the first writes of a step whose later one meets somebody else's", async () => {
    const [old, fresh, contested] = [place(), place(), place()];
    await store.records.write({ ...old, value: json("old"), labels: { a: "1" }, tracked: true });
    await store.records.write({ ...contested, value: json("theirs"), tracked: true });
    // Somebody writes after everything was looked at, and before the last write.
    let replaced = 0;
    const meddling = <T extends object>(target: T): T =>
      new Proxy(target, {
        get(object, key): unknown {
          const value: unknown = Reflect.get(object, key);
          if (typeof value !== "function") return value;
          const method = value as (...args: unknown[]) => unknown;
          if (key === "collection") return (...args: unknown[]) => meddling(method.apply(object, args) as object);
          if (key !== "replaceOne") return method.bind(object);
          return async (...args: unknown[]) => {
            const answer = await method.apply(object, args);
            replaced += 1;
            if (replaced === 1) await store.records.write({ ...contested, value: json("meddled"), tracked: true });
            return answer;
          };
        },
      });
    const meddled = await another({ ...database, db: meddling(database.db) });
    const outcome = await meddled.records.writeAll([
      { ...fresh, value: json("new"), expected: 0, tracked: true },
      { ...old, value: json("changed"), expected: 1, tracked: true },
      { ...contested, value: json("mine"), expected: 1, tracked: true },
    ]);
    expect(outcome).toEqual({ kind: "conflict", index: 2, current: 2 });
    expect(await store.records.get(fresh)).toBeNull();
    // Somebody may have seen version 2, so there is none with another value.
    expect(await store.records.get(old)).toMatchObject({ version: 3, value: json("old"), labels: { a: "1" } });
    expect(await store.records.get(contested)).toMatchObject({ version: 2, value: json("meddled") });
    expect(await told(store.records, fresh)).toEqual([
      [1, json("new")],
      [2, null],
    ]);
    expect(await told(store.records, old)).toEqual([
      [1, json("old")],
      [2, json("changed")],
      [3, json("old")],
    ]);
  });

  it("refuses what one document cannot hold, and names it", async () => {
    const at = place();
    const value = json("x".repeat(17 * 1024 * 1024));
    await expect(store.records.write({ ...at, value })).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
      message: expect.stringContaining(`"${at.key}"`) as string,
    });
    expect(await store.records.get(at)).toBeNull();
  });
});
