import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toJsonText } from "../../../src/core/json.js";
import type { RunEvent, RunEventKind } from "../../../src/core/run-event.js";
import { openMongo, type MongoDatabase } from "../../../src/databases/mongodb/open.js";
import type { EventStorage, LogWrite } from "../../../src/streaming/event-storage.js";
import { eventCollections, packEvents, unpackEvents } from "../../../src/streaming/mongodb-event-documents.js";
import { findWholeHead, spill } from "../../../src/streaming/mongodb-event-logs.js";
import { openMongoEventStorage } from "../../../src/streaming/mongodb-event-storage.js";
import { eventBytes } from "../../../src/streaming/run-buffer.js";
import { newRun, range } from "../../../src/testing/event-log/fixture.js";
import { createMongoDatabase, hasMongo } from "../../support/mongodb.js";

const MB = 1024 * 1024;

function eventAt(seq: number, text = `e${seq}`, kind: RunEventKind = "state"): RunEvent {
  return { seq, event: "values", data: toJsonText(text), kind };
}

function writeOf(run: LogWrite["run"], events: readonly RunEvent[], more: Partial<LogWrite> = {}): LogWrite {
  const first = events[0]?.seq ?? 0;
  return {
    run,
    resumable: false,
    lasting: false,
    leaseToken: 1,
    storedSeq: first === 0 ? null : first,
    events,
    nextSeq: (events.at(-1)?.seq ?? -1) + 1,
    bytes: events.reduce((sum, event) => sum + eventBytes(event), 0),
    evicted: { tokensTo: -1, statesTo: -1 },
    sealForMs: null,
    ...more,
  };
}

describe("packed events", () => {
  it("come back as they were", () => {
    const events = ["", "a\nb", "ä€😀", "\u0000", '"'].map((text, seq) => eventAt(seq * 2, text, "token"));
    expect(unpackEvents(packEvents(events))).toEqual(events);
    expect(unpackEvents(packEvents([]))).toEqual([]);
  });
});

describe.skipIf(!hasMongo())("the event storage in MongoDB", () => {
  let drop = async (): Promise<void> => {};
  let database: MongoDatabase;
  let storage: EventStorage;
  beforeAll(async () => {
    const made = await createMongoDatabase();
    ({ drop } = made);
    database = await openMongo(made.uri, { cwd: "." });
    storage = await openMongoEventStorage(made.uri, { cwd: "." });
  });
  afterAll(async () => {
    await storage.close();
    await database.close();
    await drop();
  });
  const readAll = (run: LogWrite["run"]) => storage.read({ run, fromSeq: 0, beforeSeq: 1e9, maxBytes: 1e9 });
  const counts = async (): Promise<readonly number[]> => {
    const { heads, batches, parts } = eventCollections(database.db);
    return Promise.all([heads.countDocuments(), batches.countDocuments(), parts.countDocuments()]);
  };

  it("keeps events larger than a document, and forgets them with their log", { timeout: 60_000 }, async () => {
    const run = newRun();
    const events = [eventAt(0), eventAt(1, "€".repeat(7 * MB)), eventAt(2, "x".repeat(300_000), "token"), eventAt(3)];
    expect(await storage.write([writeOf(run, events.slice(0, 1))])).toEqual([]);
    expect(await storage.write([writeOf(run, events.slice(1, 2))])).toEqual([]);
    expect(await storage.write([writeOf(run, events.slice(2))])).toEqual([]);
    expect((await storage.head(run))?.bytes).toBe(events.reduce((sum, event) => sum + eventBytes(event), 0));
    expect((await readAll(run)).map(({ data }) => data.length)).toEqual(events.map(({ data }) => data.length));
    expect(await readAll(run)).toEqual(events);
    expect(await storage.evict({ run, kind: "state", beforeSeq: 3, bytes: 20 * MB })).toEqual({
      freedBytes: eventBytes(events[0] as RunEvent) + eventBytes(events[1] as RunEvent),
      evictedToSeq: 1,
    });
    expect(await readAll(run)).toEqual(events.slice(2));
    await storage.delete(run);
    expect(await counts()).toEqual([0, 0, 0]);
  });

  it("loses and repeats nothing when two move the newest events at the same time", async () => {
    const run = newRun();
    const collections = eventCollections(database.db);
    const events = range(0, 30).map((seq) => eventAt(seq, `${seq}`, seq % 2 === 0 ? "state" : "token"));
    await storage.write([writeOf(run, events.slice(0, 10))]);
    const early = await findWholeHead(collections, run);
    await storage.write([writeOf(run, events.slice(10, 20))]);
    const late = await findWholeHead(collections, run);
    if (early === null || late === null) throw new Error("no head");
    await Promise.all([spill(collections, late), spill(collections, early)]);
    await storage.write([writeOf(run, events.slice(20))]);
    await spill(collections, early);
    expect(await readAll(run)).toEqual(events);
    const tokens = events.filter(({ kind }) => kind === "token");
    const { freedBytes } = await storage.evict({ run, kind: "token", beforeSeq: 30, bytes: 1e9 });
    expect(freedBytes).toBe(tokens.reduce((sum, event) => sum + eventBytes(event), 0));
    expect(await readAll(run)).toEqual(events.filter(({ kind }) => kind === "state"));
    await storage.delete(run);
    // A process that was paused before it moved them.
    await spill(collections, late);
    expect(await counts()).toEqual([0, 0, 0]);
  });

  it("forgets what a crash left half forgotten, also when the run gets another log", async () => {
    const { heads } = eventCollections(database.db);
    const [run, other] = [newRun(), newRun()];
    const events = range(0, 3).map((seq) => eventAt(seq, "x".repeat(20_000)));
    for (const each of [run, other]) await storage.write([writeOf(each, events)]);
    const died = { deleted: true, sealedAt: 0, expiresAt: 0 } as const;
    await heads.updateMany({}, { $set: died });
    expect(await storage.head(run)).toBeNull();
    expect(await readAll(run)).toEqual([]);
    expect(await storage.unsealed(10)).toEqual([]);
    expect(await storage.write([writeOf(run, [eventAt(0, "new")])])).toEqual([]);
    expect(await readAll(run)).toEqual([eventAt(0, "new")]);
    expect(await storage.deleteExpired(10)).toEqual([]);
    expect(await counts()).toEqual([1, 0, 0]);
    await storage.delete(run);
  });
});
