import { MongoNetworkError } from "mongodb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type JsonObject, toJsonText } from "../../../src/core/json.js";
import type { LeaseRenewer } from "../../../src/core/lease-renewal.js";
import type { MetadataStore } from "../../../src/core/metadata-store.js";
import { openMongo, type MongoDatabase } from "../../../src/databases/mongodb/open.js";
import { collectionsOf } from "../../../src/stores/mongodb/collections.js";
import type { EndedEntry } from "../../../src/stores/mongodb/documents.js";
import { createMongoMetadataStore } from "../../../src/stores/mongodb/index.js";
import { createOutbox } from "../../../src/stores/mongodb/outbox.js";
import { createStoreRegistry } from "../../../src/stores/registry.js";
import { ALL, CLAIM, LEASE_MS, newRun, Rows } from "../../../src/testing/stores/suite.js";
import { createMongoDatabase, hasMongo } from "../../support/mongodb.js";
import { losingAnswers } from "./losing-answers.js";

describe.skipIf(!hasMongo())("the metadata store in MongoDB", () => {
  let uri: string;
  let drop: () => Promise<void>;
  const stores: MetadataStore[] = [];

  /** A store of a process of its own: it shares nothing with the others but the database. */
  const openProcess = async (wrap = (database: MongoDatabase): MongoDatabase => database): Promise<MetadataStore> => {
    const store = await createMongoMetadataStore(wrap(await openMongo(uri, { cwd: "/" })));
    stores.push(store);
    return store;
  };

  beforeEach(async () => ({ uri, drop } = await createMongoDatabase()));

  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await drop();
  });

  it("names the way out when the URI has no database", async () => {
    const opening = createStoreRegistry().open("mongodb://127.0.0.1:1/", { cwd: "/" });
    await expect(opening).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("mongodb://127.0.0.1:1/heddle") as string,
    });
  });

  it(
    "keeps the queue right when four processes create, claim and finish on the same threads",
    { timeout: 60_000 },
    async () => {
      const processes = await Promise.all([openProcess(), openProcess(), openProcess(), openProcess()]);
      const rows = new Rows(processes[0]);
      const threadIds = [await rows.thread(), await rows.thread()];
      const drafts = Array.from({ length: 40 }, (_, n) =>
        newRun(0, threadIds[n % 2] ?? "", { runId: rows.id(), multitaskStrategy: "enqueue" }),
      );
      const order: string[] = [];
      const running = new Set<string>();
      const work = async (store: MetadataStore, workerId: string): Promise<void> => {
        while (order.length < drafts.length) {
          for (const { run, lease } of await store.runs.claim({ workerId, leaseMs: LEASE_MS, limit: 2 })) {
            expect(running.has(run.threadId)).toBe(false);
            running.add(run.threadId);
            expect(await store.runs.holds(lease)).toBe(true);
            running.delete(run.threadId);
            order.push(run.runId);
            const outcome = { kind: "ended", status: "success" } as const;
            expect((await store.runs.finish({ lease, outcome, threadPatch: {}, hasNext: false })).accepted).toBe(true);
          }
        }
      };
      const creating = drafts.map((draft, n) => processes[n % 4]?.runs.create({ draft, access: ALL }));
      await Promise.all([...creating, ...processes.map((store, n) => work(store, `w${n}`))]);
      expect(new Set(order).size).toBe(drafts.length);
      for (const threadId of threadIds) {
        const runs = await rows.statusOf(drafts.find((draft) => draft.threadId === threadId)?.runId ?? "");
        expect(runs).toBe("success");
        expect(await rows.threadStatusOf(threadId)).toBe("idle");
      }
    },
  );

  /** 40 runs on one thread, created by four processes at the same time. */
  const race = async (strategy: "reject" | "rollback") => {
    const processes = await Promise.all([openProcess(), openProcess(), openProcess(), openProcess()]);
    const rows = new Rows(processes[0]);
    const threadId = await rows.thread();
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, n) => {
        const draft = newRun(0, threadId, { runId: rows.id(), multitaskStrategy: strategy });
        const claim = n % 2 === 0 ? { claim: CLAIM } : {};
        return (processes[n % 4] ?? processes[0]).runs.create({ draft, access: ALL, ...claim });
      }),
    );
    const runs = await processes[1].runs.list({ threadId, limit: 100, offset: 0, access: ALL });
    return { outcomes: outcomes.map(({ kind }) => kind), statuses: runs.map(({ status }) => status) };
  };

  it("lets one of 40 creators win, from four processes", { timeout: 60_000 }, async () => {
    const { outcomes, statuses } = await race("reject");
    expect(outcomes.filter((kind) => kind === "created")).toHaveLength(1);
    expect(outcomes.filter((kind) => kind === "busy")).toHaveLength(39);
    expect(statuses).toHaveLength(1);
  });

  it("leaves one of 40 runs that roll one another back, from four processes", { timeout: 60_000 }, async () => {
    const { outcomes, statuses } = await race("rollback");
    expect(outcomes).toEqual(outcomes.map(() => "created"));
    expect(statuses.filter((status) => status === "running").length).toBeLessThanOrEqual(1);
    expect(statuses.filter((status) => status === "pending").length).toBeLessThanOrEqual(1);
    expect([1, 2]).toContain(statuses.length);
  });

  it("does once what it was asked once, however often answers are lost", { timeout: 60_000 }, async () => {
    let lost = 0;
    const store = await openProcess((database) =>
      losingAnswers(database, () => {
        lost += 1;
        return new MongoNetworkError("connection 7 to 127.0.0.1:27017 closed");
      }),
    );
    const rows = new Rows(store);
    const threadId = await rows.thread({ a: 1 });
    const first = await rows.leased(threadId);
    const second = await rows.run(threadId);
    const third = await rows.run(threadId, { multitaskStrategy: "interrupt" });
    expect(await rows.statusOf(second.runId)).toBe("interrupted");
    const values = toJsonText({ large: "x".repeat(60_000) });
    const outcome = { kind: "ended", status: "interrupted" } as const;
    const finished = await store.runs.finish({ lease: first.lease, outcome, threadPatch: { values }, hasNext: false });
    expect(finished).toEqual({ accepted: true, nextPending: true });
    const [claimed] = await store.runs.claim({ ...CLAIM, limit: 1, threadId });
    expect(claimed).toMatchObject({ run: { runId: third.runId, attempt: 1 }, lease: { leaseToken: 1 } });
    if (claimed === undefined) throw new Error("nothing was claimed");
    expect(await rows.finish(claimed.lease)).toBe(true);
    expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({ status: "idle", values });
    const runs = await store.runs.list({ threadId, limit: 9, offset: 0, access: ALL });
    expect(new Map(runs.map(({ runId, status }) => [runId, status]))).toEqual(
      new Map([
        [first.run.runId, "interrupted"],
        [second.runId, "interrupted"],
        [third.runId, "success"],
      ]),
    );
    expect(lost).toBeGreaterThan(8);
  });

  it("serves a thread with hundreds of queued runs", { timeout: 60_000 }, async () => {
    const store = await openProcess();
    const rows = new Rows(store);
    const threadId = await rows.thread();
    const template = await rows.run(threadId);
    // One write for all: each on its own would take FerretDB half a minute.
    const copies = Array.from({ length: 400 }, () => {
      const runId = rows.id();
      const { error: _, ...copied } = { ...template, runId, leaseToken: 0, cancelRequested: null };
      return { key: runId, value: JSON.parse(JSON.stringify({ ...copied, error: null })) as JsonObject };
    });
    await store.transfer?.write({ kind: "runs", rows: copies });
    const runs = [template.runId, ...copies.map(({ key }) => key), (await rows.run(threadId)).runId];
    const database = await openMongo(uri, { cwd: "/" });
    const document = await collectionsOf(database.db).threads.findOne({ _id: threadId });
    await database.close();
    expect(document?.queue).toHaveLength(402);
    expect(JSON.stringify(document).length).toBeLessThan(402 * 250);
    for (const runId of runs.slice(0, 5)) {
      const claimed = await rows.claimOne();
      expect(claimed.run.runId).toBe(runId);
      expect(await rows.finish(claimed.lease)).toBe(true);
    }
    expect(await store.runs.explain({ runId: runs[401] ?? "", access: ALL })).toMatchObject({ ahead: 396 });
    await store.threads.delete({ threadId, access: ALL });
    expect(await rows.statusOf(runs[401] ?? "")).toBeNull();
  });

  it("writes hundreds of rows a second time, and hundreds of ends at once", { timeout: 60_000 }, async () => {
    const store = await openProcess();
    const rows = new Rows(store);
    const threadId = await rows.thread();
    const template = await rows.run(threadId, { delayMs: LEASE_MS });
    const copies = Array.from({ length: 120 }, () => {
      const runId = rows.id();
      const { error: _, ...copied } = { ...template, runId, leaseToken: 0, cancelRequested: null };
      return { key: runId, value: JSON.parse(JSON.stringify({ ...copied, error: null })) as JsonObject };
    });
    const lasting = { ttlMs: null, expiresAt: null, embedding: null, vectors: [] };
    const items = copies.map((_, n) => {
      const key = `k${n}`;
      return {
        key: JSON.stringify([["many"], key]),
        value: { namespace: ["many"], key, value: {}, createdAt: 1, updatedAt: 1, ...lasting },
      };
    });
    // Replacing what is there is what FerretDB counts as an update.
    for (let time = 0; time < 2; time += 1) {
      await store.transfer?.write({ kind: "runs", rows: copies });
      await store.transfer?.write({ kind: "items", rows: items });
    }
    const last = await rows.run(threadId, { multitaskStrategy: "interrupt" });
    const database = await openMongo(uri, { cwd: "/" });
    const { runs, threads } = collectionsOf(database.db);
    const unwritten = async (): Promise<number> =>
      runs.countDocuments({ status: "inflight", _id: { $ne: last.runId } });
    while ((await unwritten()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await runs.countDocuments({ status: "interrupted" })).toBe(121);
    // And the ends of runs of as many threads.
    const ended = items.map(({ key: runId }): EndedEntry => ({
      runId,
      end: "success",
      error: null,
      attempt: 1,
      leaseToken: 1,
      updatedAt: 1,
    }));
    const thread = await threads.findOne({ _id: threadId });
    if (thread === null) throw new Error("the thread is gone");
    await threads.insertMany(ended.map((end) => ({ ...thread, _id: end.runId, uid: end.runId, ended: [end] })));
    const outbox = createOutbox(database, collectionsOf(database.db));
    await outbox.settle(ended.map((end) => ({ threadId: end.runId, ended: [end] })));
    expect(await threads.countDocuments({ "ended.updatedAt": 1 })).toBe(0);
    await database.close();
  });

  it("refuses a state that fits into no document, and names its largest channels", { timeout: 60_000 }, async () => {
    const store = await openProcess();
    const rows = new Rows(store);
    const threadId = await rows.thread();
    const { lease } = await rows.leased(threadId);
    const values = toJsonText({ small: 1, messages: "é".repeat(9 * 1024 * 1024), images: "x".repeat(1024) });
    const end = { lease, outcome: { kind: "ended", status: "success" }, hasNext: false } as const;
    await expect(store.runs.finish({ ...end, threadPatch: { values } })).rejects.toMatchObject({
      code: "STATE_TOO_LARGE",
      message: expect.stringContaining('"messages"') as string,
      details: {
        limitBytes: 16 * 1024 * 1024 - 1024,
        sizeBytes: Buffer.byteLength(values),
        channels: [{ name: "messages", bytes: 18 * 1024 * 1024 + 2 }, { name: "images" }, { name: "small", bytes: 1 }],
      },
    });
    expect(await store.runs.holds(lease)).toBe(true);
    const fitting = toJsonText({ messages: "x".repeat(8 * 1024 * 1024) });
    expect((await store.runs.finish({ ...end, threadPatch: { values: fitting } })).accepted).toBe(true);
    expect((await store.threads.get({ threadId, access: ALL }))?.values).toBe(fitting);
    expect(await store.threads.count({ ids: [threadId], values: { messages: "x" }, access: ALL })).toBe(0);
  });

  it("renews leases through a client of its own, those that still hold", async () => {
    const store = await openProcess();
    const rows = new Rows(store);
    const held = await rows.leased(await rows.thread());
    const ended = await rows.leased(await rows.thread());
    await rows.finish(ended.lease);
    const { moduleUrl, data } = store.leaseRenewal ?? { moduleUrl: "", data: null };
    const module = (await import(moduleUrl)) as { openLeaseRenewer(data: unknown): Promise<LeaseRenewer> };
    const renewer = await module.openLeaseRenewer(structuredClone(data));
    await renewer.renew({ leases: [held.lease, ended.lease], leaseMs: 10 * LEASE_MS });
    await renewer.renew({ leases: [], leaseMs: 1 });
    await renewer.close();
    const explained = await store.runs.explain({ runId: held.run.runId, access: ALL });
    const { expiresAt = 0, heartbeatAt = 0 } = explained?.holder ?? {};
    expect(expiresAt - heartbeatAt).toBe(10 * LEASE_MS);
    expect((await store.runs.explain({ runId: ended.run.runId, access: ALL }))?.holder).toBeNull();
  });
});
