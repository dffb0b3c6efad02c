import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MongoClient } from "mongodb";
import { isNotSent, storageUnavailable } from "../../../src/databases/mongodb/failures.js";
import { openMongo } from "../../../src/databases/mongodb/open.js";
import { migrate, storedVersions, type Component } from "../../../src/databases/mongodb/migrate.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { createMongoDatabase, hasMongo, startOwnMongo, type TestMongo } from "../../support/mongodb.js";

const mongo = hasMongo();
const context = { cwd: "." };

describe.skipIf(!mongo)("openMongo", () => {
  let uri = "";
  let drop = async (): Promise<void> => {};
  beforeAll(async () => {
    ({ uri, drop } = await createMongoDatabase());
  });
  afterAll(() => drop());

  it("shares one client per application and ends it with the last user", async () => {
    const shared = new Map<string, unknown>();
    const [first, second] = await Promise.all([
      openMongo(uri, { ...context, shared }),
      openMongo(uri, { ...context, shared }),
    ]);
    expect(second.client).toBe(first.client);
    await first.close();
    await first.close();
    expect(await second.db.collection("x").countDocuments()).toBe(0);
    await second.close();
    await expect(second.retrying(() => second.db.collection("x").countDocuments())).rejects.toThrow(
      /must be connected|closed/,
    );
    expect(shared.size).toBe(0);
  });

  it("goes by the server's clock, or by the test's", async () => {
    const real = await openMongo(uri, context);
    const { serverMs, roundTripMs } = await real.measureClock();
    expect(Math.abs(real.serverNow() - serverMs)).toBeLessThan(50);
    expect(Math.abs(Date.now() - real.serverNow())).toBeLessThan(100 + roundTripMs);
    await real.close();
    const clock = fakeClock();
    const shared = new Map<string, unknown>();
    const other = await openMongo(uri, { ...context, shared });
    const fake = await openMongo(uri, { ...context, shared, clock });
    const before = fake.serverNow();
    clock.advance(5_000);
    expect(fake.serverNow() - before).toBe(5_000);
    expect(Math.abs(Date.now() - other.serverNow())).toBeLessThan(1_000);
    await Promise.all([other.close(), fake.close()]);
  });

  it("leaves undefined properties out", async () => {
    const database = await openMongo(uri, context);
    const documents = database.db.collection<{ _id: string; a?: number | undefined }>("undefined");
    await documents.insertOne({ _id: "1", a: undefined });
    expect(await documents.findOne({ _id: "1" })).toEqual({ _id: "1" });
    await database.close();
  });

  it("applies each migration once, however many start together", async () => {
    const runs: string[] = [];
    const component = (versions: number): Component => ({
      name: "test",
      migrations: Array.from({ length: versions }, (_, index) => async () => void runs.push(`v${index + 1}`)),
    });
    const all = await Promise.all(Array.from({ length: 6 }, () => openMongo(uri, context)));
    await Promise.all(all.map((database) => migrate(database, [component(2)])));
    expect(runs).toEqual(["v1", "v2"]);
    const [database] = all;
    if (database === undefined) throw new Error("none");
    await migrate(database, [component(3)]);
    expect(runs).toEqual(["v1", "v2", "v3"]);
    expect(Object.fromEntries(await storedVersions(database))).toEqual({ test: 3 });
    await expect(migrate(database, [component(2)])).rejects.toMatchObject({
      code: "STORAGE_UNAVAILABLE",
      message: expect.stringContaining("newer Heddle"),
    });
    await Promise.all(all.map((each) => each.close()));
  });

  it("frees the lock when a migration fails, and takes it from a process that died", async () => {
    const database = await openMongo(uri, context);
    const failing: Component = { name: "failing", migrations: [() => Promise.reject(new Error("no"))] };
    await expect(migrate(database, [failing])).rejects.toMatchObject({
      message: expect.stringContaining('"failing" failed'),
    });
    const locks = database.db.collection<{ _id: string; holder: string; expiresAt: number }>("heddle_migrations");
    expect(await locks.findOne({ _id: "lock" })).toBeNull();
    await locks.insertOne({ _id: "lock", holder: "dead", expiresAt: Date.now() - 1 });
    await migrate(database, [{ name: "after", migrations: [async () => {}] }]);
    expect((await storedVersions(database)).get("after")).toBe(1);
    await database.close();
  });
});

describe("URIs", () => {
  it.each([
    "mongodb://127.0.0.1:27017",
    "mongodb://127.0.0.1:27017/",
    "mongodb://u:p@h1:1,h2:2/?replicaSet=a",
    "mongodb://h/a.b",
  ])("%s is refused with the way out, and without the password", async (uri) => {
    const error = await openMongo(uri, context).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "CONFIG_INVALID", message: expect.stringMatching(/must name the database/) });
    expect(String(error)).not.toContain("u:p@");
  });

  it("a server that is not there is STORAGE_UNAVAILABLE", async () => {
    const client = new MongoClient("mongodb://127.0.0.1:1/x", { serverSelectionTimeoutMS: 20 });
    const error = await client.connect().catch((thrown: unknown) => thrown);
    expect(isNotSent(error)).toBe(true);
    expect(storageUnavailable(error, "here/x")).toMatchObject({
      code: "STORAGE_UNAVAILABLE",
      message: expect.stringContaining("here/x does not answer: connect ECONNREFUSED"),
    });
    await client.close();
  });
});

describe("a server that goes away", () => {
  let server: TestMongo | null = null;
  beforeAll(async () => {
    if (mongo) server = await startOwnMongo();
  }, 120_000);
  afterAll(() => server?.close());

  it("costs latency, not the operation", async ({ skip }) => {
    if (server === null) {
      skip("no FerretDB");
      return;
    }
    const database = await openMongo(`${server.uri}restart`, context);
    const documents = database.db.collection<{ _id: string; n: number }>("counts");
    await documents.insertOne({ _id: "1", n: 0 });
    await server.stop("SIGKILL");
    const waiting = database.retrying(() => documents.updateOne({ _id: "1" }, { $set: { n: 7 } }));
    const creating = database.retrying(() => documents.insertOne({ _id: "2", n: 2 }), { idempotent: false });
    await server.start();
    expect((await waiting).matchedCount).toBe(1);
    await creating;
    expect(await documents.find().sort({ _id: 1 }).toArray()).toEqual([
      { _id: "1", n: 7 },
      { _id: "2", n: 2 },
    ]);
    await database.close();
  });
});
