import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { InProcessDispatcher } from "../../../src/streaming/in-process-dispatcher.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { createStateFeed } from "../../../src/protocols/state-store/feed.js";
import { type ItemPlace, recordKeyOf } from "../../../src/protocols/state-store/places.js";
import { TOMBSTONES_KEPT_MS } from "../../../src/core/record.js";
import { createOwners } from "../../../src/protocols/state-store/owners.js";
import { createStateValues } from "../../../src/protocols/state-store/values.js";
import { ALL_ROWS } from "../../../src/core/auth.js";
import { toJsonText } from "../../../src/core/json.js";
import { createRecordHints } from "../../../src/services/record-hints.js";
import { createMemoryRecords } from "../../../src/stores/memory/records.js";
import { createStorage } from "../../support/server.js";
import { pathOf, PROTOCOL_STORAGES, serve, soon, workflow } from "./served.js";

describe.each(PROTOCOL_STORAGES.filter((storage) => storage !== "memory"))("33: a restart on %s", (storage) => {
  it("33: values and versions are there, the version goes on after a delete, and a stream catches up", async () => {
    const place = await createStorage(storage);
    const id = workflow();
    const before = await serve(place);
    await before.set(id, "kept", { a: 1 });
    await before.set(id, "deleted", 1);
    await before.set(id, "deleted", 2);
    await before.send("DELETE", pathOf(id, "deleted"));
    await before.set(id, "expiring", 1, { ttl: 0.05 });
    const following = await before.follow(id, "kept");
    await before.set(id, "kept", { a: 2 });
    expect((await following.changes(1)).map(({ version }) => version)).toEqual([2]);
    await before.close();
    await soon(
      () => following.isOver(),
      () => "the end of the stream",
    );
    const after = await serve(place);
    try {
      expect(await after.get(id, "kept")).toEqual({ value: { a: 2 }, version: 2 });
      await soon(
        async () => (await after.send("GET", pathOf(id, "expiring"))).status === 404,
        () => "its end",
      );
      expect((await after.send("GET", `/v1/state/${id}`)).body).toEqual({ keys: ["kept"] });
      const stale = await after.send("POST", `${pathOf(id, "deleted")}/version`, { value: 0, version: 2 });
      expect(stale.status).toBe(409);
      expect(await after.set(id, "deleted", 3)).toBe(4);
      const again = await after.follow(id, "kept", { lastEventId: 1 });
      expect(await again.changes(1)).toEqual([{ oldValue: null, newValue: { a: 2 }, version: 2 }]);
      again.close();
    } finally {
      await after.close();
      await place.drop();
    }
  }, 60_000);
});

describe("slow readers", () => {
  const place = { namespace: ["state", "w"], key: "k" };
  const other = { namespace: ["state", "w"], key: "other" };
  const watching = { access: ALL_ROWS, lastVersion: null, onDropped: () => expect.fail("dropped") };
  const opened = ({ pollMs = 1_000 } = {}) => {
    const clock = fakeClock();
    const records = createMemoryRecords(clock);
    const hints = createRecordHints({ dispatcher: new InProcessDispatcher({ clock }), clock }, { pollMs });
    const values = createStateValues({ records, hints, owners: createOwners(records) });
    const warnings: unknown[] = [];
    const feed = createStateFeed({ records, hints, clock, logger: { warn: (fields) => warnings.push(fields) } });
    const set = async (value: string, at: ItemPlace = place): Promise<void> =>
      void (await values.set(at, { value: toJsonText(value), ttlMs: null, access: ALL_ROWS }));
    const remove = (at: ItemPlace) => values.delete(at, ALL_ROWS);
    return { records, hints, feed, set, remove, warnings, clock };
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it.each([
    { changes: 1_200, value: "x" },
    { changes: 150, value: "x".repeat(10_000) },
    // Large ones are read and kept in ones, not by the hundred.
    { changes: 30, value: "x".repeat(1_000_000) },
  ])("one that takes nothing of $changes changes is dropped, and the others get all", async ({ changes, value }) => {
    const { feed, set, hints } = opened();
    const dropped: string[] = [];
    const options = { access: ALL_ROWS, lastVersion: null };
    const slow = await feed.follow(place, { ...options, onDropped: () => dropped.push("slow") });
    const quick = await feed.follow(place, { ...options, onDropped: () => dropped.push("quick") });
    let taken = 0;
    for (let n = 0; n < changes; n += 1) {
      await set(value);
      await turn();
      const read = await quick.next();
      taken += read.kind === "events" ? read.events.length : 0;
    }
    expect(taken).toBe(changes);
    expect(dropped).toEqual(["slow"]);
    expect(await slow.next()).toEqual({ kind: "end" });
    expect(feed.followerCount).toBe(1);
    quick.close();
    quick.close();
    expect([feed.followerCount, hints.listenerCount]).toEqual([0, 0]);
  });

  it("nobody is dropped for a burst that is read while it comes", async () => {
    const { feed, set } = opened();
    const cursor = await feed.follow(place, {
      access: ALL_ROWS,
      lastVersion: null,
      onDropped: () => expect.fail("dropped"),
    });
    await Promise.all(Array.from({ length: 500 }, (_, n) => set(String(n))));
    let taken = 0;
    while (taken < 500) {
      const read = await cursor.next();
      if (read.kind !== "events") throw new Error(read.kind);
      taken += read.events.length;
    }
    expect(taken).toBe(500);
    cursor.close();
  });

  it("changes that could not be read are read at the next hint", async () => {
    const { feed, set, records, warnings, clock } = opened();
    const cursor = await feed.follow(place, { access: ALL_ROWS, lastVersion: null, onDropped: () => undefined });
    const { changes } = records;
    records.changes = () => Promise.reject(new Error("away"));
    await set("a");
    await turn();
    expect(warnings).toHaveLength(1);
    records.changes = changes;
    const next = cursor.next();
    clock.advance(1_000);
    expect(await next).toMatchObject({ kind: "events", events: [{ seq: 1 }] });
    cursor.close();
  });

  it("who could not read for longer than changes are kept gets what there is now, once", async () => {
    const { feed, set, records, clock, remove } = opened();
    const [one, gone] = [await feed.follow(place, watching), await feed.follow(other, watching)];
    await set("a");
    await set("x", other);
    expect(await one.next()).toMatchObject({ events: [{ seq: 1 }] });
    expect(await gone.next()).toMatchObject({ events: [{ seq: 1 }] });
    const { changes } = records;
    records.changes = () => Promise.reject(new Error("away"));
    await set("b");
    await set("c");
    await remove(other);
    for (let minutes = 0; minutes < 11; minutes += 1) clock.advance(60_000);
    await records.sweepExpired({ limit: 10 });
    expect(await changes({ ...recordKeyOf(place), after: 1, limit: 10 })).toEqual([]);
    records.changes = changes;
    const [next, end] = [one.next(), gone.next()];
    clock.advance(1_000);
    const told = (oldValue: string | null, newValue: string | null, version: number) => ({
      events: [{ seq: version, data: JSON.stringify({ oldValue, newValue, version }) }],
    });
    expect(await next).toMatchObject(told(null, "c", 3));
    expect(await end).toMatchObject(told(null, null, 2));
    // From there on as ever; nothing is told twice.
    await set("d");
    expect(await one.next()).toMatchObject(told("c", "d", 4));
    for (let minutes = 0; minutes < 11; minutes += 1) clock.advance(60_000);
    await turn();
    await set("e");
    expect(await one.next()).toMatchObject(told("d", "e", 5));
    one.close();
    gone.close();
  });

  it("what is written while versions are compared is told as ever", async () => {
    const { feed, set, records, clock } = opened();
    const cursor = await feed.follow(place, watching);
    await set("a");
    expect(await cursor.next()).toMatchObject({ events: [{ seq: 1 }] });
    const { version } = records;
    let compared = 0;
    records.version = async (key) => {
      compared += 1;
      if (compared === 1) await records.write({ ...key, value: toJsonText("b"), tracked: true });
      return version(key);
    };
    clock.advance(6 * 60_000);
    expect(await cursor.next()).toMatchObject({
      events: [{ seq: 2, data: '{"oldValue":"a","newValue":"b","version":2}' }],
    });
    expect(compared).toBe(1);
    cursor.close();
  });

  it("who follows a value hears of it when its versions have begun anew, long after its end", async () => {
    const pollMs = 3_600_000;
    const { feed, set, records, clock, remove } = opened({ pollMs });
    const cursor = await feed.follow(place, watching);
    for (const value of ["a", "b", "c"]) await set(value);
    await remove(place);
    await turn();
    expect(await cursor.next()).toMatchObject({ events: [{ seq: 1 }, { seq: 2 }, { seq: 3 }, { seq: 4 }] });
    clock.advance(TOMBSTONES_KEPT_MS + 1);
    await records.sweepExpired({ limit: 10 });
    expect(await records.version(recordKeyOf(place))).toBe(0);
    const next = cursor.next();
    clock.advance(pollMs);
    await turn();
    await set("anew");
    expect(await next).toMatchObject({ events: [{ seq: 1, data: '{"oldValue":null,"newValue":"anew","version":1}' }] });
    await set("again");
    expect(await cursor.next()).toMatchObject({ events: [{ seq: 2 }] });
    cursor.close();
  });

  it("a client that stops reading loses its connection, not the server its memory", async () => {
    const state = await serve("memory", { limits: { stalledMs: 300 }, streaming: { heartbeatMs: 50 } });
    try {
      const id = workflow();
      const { hostname, port, pathname } = new URL(state.url);
      const socket = connect(Number(port), hostname);
      let isClosed = false;
      socket.on("close", () => (isClosed = true)).on("error", () => undefined);
      await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
      socket.write(`GET ${pathname}${pathOf(id, "k")}/stream HTTP/1.1\r\nhost: x\r\n\r\n`);
      await new Promise<void>((resolve) => socket.once("data", () => resolve()));
      socket.pause();
      const value = "x".repeat(500_000);
      for (let n = 0; n < 60; n += 1) await state.set(id, "k", value);
      await soon(
        () => state.hints().listenerCount === 0,
        () => "the reader to be dropped",
      );
      socket.resume();
      await soon(
        () => isClosed,
        () => "the end of the connection",
      );
      expect(state.hints().listenerCount).toBe(0);
    } finally {
      await state.close();
    }
  }, 30_000);
});
