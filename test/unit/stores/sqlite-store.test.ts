import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { toJsonText } from "../../../src/core/json.js";
import { openSqlite } from "../../../src/databases/sqlite/open.js";
import { createStoreRegistry } from "../../../src/stores/registry.js";
import { createSession } from "../../../src/stores/sqlite/session.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { ALL, CLAIM, Rows } from "../../../src/testing/stores/suite.js";

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "heddle-store-"));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

describe("SQLite storage", () => {
  it("has everything after it was closed and opened again", async () => {
    const clock = fakeClock();
    const first = await createStoreRegistry().open("sqlite:./x.db", { cwd, clock });
    expect(first.metadata.durable).toBe(true);
    const rows = new Rows(first.metadata);
    const threadId = await rows.thread({ owner: "a" });
    const { run, lease } = await rows.leased(threadId);
    await first.metadata.runs.requestCancel({ runId: run.runId, action: "rollback", access: ALL });
    await first.items.put({ namespace: ["n"], key: "k", value: { a: 1 }, access: ALL });
    await first.items.close();
    await first.metadata.close();

    const second = await createStoreRegistry().open("sqlite:./x.db", { cwd, clock });
    const beat = await second.metadata.runs.heartbeat({ leases: [lease], leaseMs: 1_000 });
    expect(beat).toEqual({ lost: [], cancelRequested: [{ runId: run.runId, action: "rollback" }] });
    expect(await second.metadata.threads.count({ metadata: { owner: "a" }, status: "busy", access: ALL })).toBe(1);
    expect((await second.items.get({ namespace: ["n"], key: "k", access: ALL })).kind).toBe("found");
    await second.metadata.close();
    await second.items.close();
  });

  it("gives each run to one of two connections, and lets one of two creators in", async () => {
    const clock = fakeClock();
    const stores = await Promise.all(
      [1, 2].map(() => createStoreRegistry().open("sqlite:./x.db", { cwd, clock, shared: new Map() })),
    );
    const [a, b] = stores.map((store) => store.metadata);
    if (a === undefined || b === undefined) throw new Error("unreachable");
    const rows = new Rows(a);
    for (let n = 0; n < 30; n += 1) await rows.run(await rows.thread());
    const claims = await Promise.all(
      Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? a : b).runs.claim({ ...CLAIM, limit: 4 })),
    );
    const claimed = claims.flat().map(({ run }) => run.runId);
    expect(claimed).toHaveLength(30);
    expect(new Set(claimed).size).toBe(30);

    const threadId = await rows.thread();
    const other = new Rows(b);
    for (let n = 0; n < 10_000; n += 1) other.id();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (n % 2 === 0 ? rows : other).create(threadId, { multitaskStrategy: "reject" }),
      ),
    );
    expect(outcomes.filter((outcome) => outcome.kind === "created")).toHaveLength(1);
    for (const { metadata, items } of stores) {
      await items.close();
      await metadata.close();
    }
  });

  it("answers STORAGE_UNAVAILABLE after it was closed, and commits what waited before", async () => {
    const { metadata, items } = await createStoreRegistry().open("sqlite:./x.db", { cwd });
    const waiting = metadata.threads.create({ threadId: "t", metadata: {}, access: ALL });
    await metadata.close();
    expect((await waiting).kind).toBe("created");
    await items.close();
    const settled = await Promise.allSettled([
      metadata.ping(),
      metadata.threads.get({ threadId: "t", access: ALL }),
      metadata.threads.create({ threadId: "u", metadata: {}, access: ALL }),
      metadata.threads.count({ access: ALL }),
    ]);
    const refused = { status: "rejected", reason: { code: "STORAGE_UNAVAILABLE" } };
    expect(settled).toMatchObject([refused, refused, refused, refused]);
  });

  it("refuses what is not JSON before it writes anything", async () => {
    const { metadata, items } = await createStoreRegistry().open("sqlite:", { cwd });
    const created = metadata.threads.create({ threadId: "t", metadata: { n: 1n as never }, access: ALL });
    await expect(created).rejects.toThrow(TypeError);
    expect(await metadata.threads.count({ access: ALL })).toBe(0);
    await metadata.close();
    await items.close();
  });

  it("does not read states for a search without them", async () => {
    const { metadata, items } = await createStoreRegistry().open("sqlite:./x.db", { cwd });
    const rows = new Rows(metadata);
    const threadId = await rows.thread();
    await metadata.threads.patchState({ threadId, patch: { values: toJsonText({ a: 1 }) }, hasNext: false });
    const broken = await openSqlite("sqlite:./x.db", { cwd });
    broken.db.exec("DROP TABLE thread_states");
    broken.close();
    const page = { limit: 10, offset: 0, sortBy: "updated_at", sortOrder: "desc", access: ALL } as const;
    expect((await metadata.threads.search({ ...page, withState: false })).rows).toHaveLength(1);
    await expect(metadata.threads.search({ ...page, withState: true })).rejects.toMatchObject({
      code: "STORAGE_UNAVAILABLE",
    });
    await metadata.close();
    await items.close();
  });
});

describe("createSession", () => {
  it("commits steps of one turn together, and undoes only the one that fails", async () => {
    const { db, close } = await openSqlite("sqlite:", { cwd });
    db.exec("CREATE TABLE t (x UNIQUE)");
    const session = createSession(db, fakeClock());
    const insert = (x: number, fail = false): Promise<number> =>
      session.write(() => {
        session.sql("INSERT INTO t VALUES (?)").run(x);
        if (fail) throw new Error("no");
        return x;
      });
    const settled = await Promise.allSettled([insert(1), insert(2, true), insert(1), insert(3)]);
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
    expect(settled[1]).toMatchObject({ reason: { message: "no" } });
    expect(settled[2]).toMatchObject({ reason: { code: "STORAGE_UNAVAILABLE" } });
    expect(db.prepare("SELECT x FROM t ORDER BY x").pluck().all()).toEqual([1, 3]);
    close();
  });

  it("rejects every step when the transaction can't start", async () => {
    const { db, close } = await openSqlite("sqlite:./x.db", { cwd });
    const other = await openSqlite("sqlite:./x.db", { cwd });
    db.pragma("busy_timeout = 0");
    other.db.exec("CREATE TABLE t (x); BEGIN IMMEDIATE");
    const session = createSession(db, fakeClock());
    const steps = [1, 2].map((x) => session.write(() => session.sql("INSERT INTO t VALUES (?)").run(x)));
    const refused = { status: "rejected", reason: { code: "STORAGE_UNAVAILABLE" } };
    expect(await Promise.allSettled(steps)).toMatchObject([refused, refused]);
    other.db.exec("ROLLBACK");
    expect(await session.write(() => session.sql("INSERT INTO t VALUES (1)").run().changes)).toBe(1);
    close();
    other.close();
  });
});
