import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Change, Following } from "./served.js";
import { openEventSource, pathOf, PROTOCOL_STORAGES, serve, type Served, soon, workflow } from "./served.js";

/* Numbered assertions of docs/wire/state-store.md §4.3 on streams. */

describe.each(PROTOCOL_STORAGES)("changes on %s", (storage) => {
  let state: Served;
  const open: Following[] = [];
  beforeAll(async () => {
    state = await serve(storage, { streaming: { heartbeatMs: 200 } });
  }, 60_000);
  afterEach(async () => {
    for (const one of open.splice(0)) one.close();
    await soon(
      () => state.hints().listenerCount === 0,
      () => `no listeners; there are ${state.hints().listenerCount}`,
    );
  });
  afterAll(() => state.close());

  const follow: Served["follow"] = async (...params) => {
    const following = await state.follow(...params);
    open.push(following);
    return following;
  };
  const change = (oldValue: unknown, newValue: unknown, version: number): Change => ({ oldValue, newValue, version });

  it("19: a stream of unnamed events, with the version as id and exactly these keys in its data", async () => {
    const id = workflow();
    const following = await follow(id, "k");
    expect(following.response.status).toBe(200);
    expect(following.response.headers.get("content-type")).toBe("text/event-stream");
    await state.set(id, "k", { a: 1 });
    await following.changes(1);
    expect(following.text().replaceAll(/^: .*\n\n/gm, "")).toBe(
      'id: 1\ndata: {"oldValue":null,"newValue":{"a":1},"version":1}\n\n',
    );
  });

  it("20: each set is told with what was before, also an equal one; before the first there was null", async () => {
    const id = workflow();
    const following = await follow(id, "k");
    for (const value of ["a", "b", "b", null]) await state.set(id, "k", value);
    expect(await following.changes(4)).toEqual([
      change(null, "a", 1),
      change("a", "b", 2),
      change("b", "b", 3),
      change("b", null, 4),
    ]);
  });

  it("20: who follows from now on gets nothing of before", async () => {
    const id = workflow();
    await state.set(id, "k", 1);
    await state.set(id, "gone", 1);
    await state.send("DELETE", pathOf(id, "gone"));
    const [there, gone] = [await follow(id, "k"), await follow(id, "gone")];
    await state.set(id, "k", 2);
    await state.set(id, "gone", 2);
    expect(await there.changes(1)).toEqual([change(1, 2, 2)]);
    expect(await gone.changes(1)).toEqual([change(null, 2, 3)]);
  });

  it("21: a delete and an expiry are told with null", async () => {
    const id = workflow();
    const following = await follow(id, "k");
    await state.set(id, "k", "a");
    await state.send("DELETE", pathOf(id, "k"));
    await state.send("DELETE", pathOf(id, "k"));
    await state.set(id, "k", "b", { ttl: 0.1 });
    expect(await following.changes(4)).toEqual([
      change(null, "a", 1),
      change("a", null, 2),
      change(null, "b", 3),
      change("b", null, 4),
    ]);
    expect(await state.set(id, "k", "c")).toBe(5);
    expect((await following.changes(5)).at(-1)).toEqual(change(null, "c", 5));
  });

  it("21: what is set after it has expired, and before anybody has looked, is two changes", async () => {
    const id = workflow();
    const following = await follow(id, "k");
    await state.set(id, "k", "a", { ttl: 0.02 });
    await soon(
      async () => (await state.send("GET", pathOf(id, "k"))).status === 404,
      () => "the end",
    );
    await state.set(id, "k", "b");
    expect(await following.changes(3)).toEqual([change(null, "a", 1), change("a", null, 2), change(null, "b", 3)]);
  });

  it("22: nothing of other keys, other workflows, or names that look alike", async () => {
    const id = workflow();
    const following = await follow(id, "k");
    await state.set(id, "K", 1);
    await state.set(`${id}/k`, "k", 1);
    await state.set(id, "k/stream", 1);
    await state.set(workflow(), "k", 1);
    await state.set(id, "k", "mine");
    expect(await following.changes(1)).toEqual([change(null, "mine", 1)]);
  });

  it("23: a compare-and-set that fails tells nothing", async () => {
    const id = workflow();
    await state.set(id, "k", 1);
    const following = await follow(id, "k");
    await state.send("POST", `${pathOf(id, "k")}/version`, { value: "no", version: 7 });
    await state.send("POST", `${pathOf(id, "k")}/version`, { value: "yes", version: 1 });
    expect(await following.changes(1)).toEqual([change(1, "yes", 2)]);
  });

  it("24: two who follow both get all, in the order of versions, while many write at once", async () => {
    const id = workflow();
    const both = [await follow(id, "k"), await follow(id, "k")];
    await Promise.all(Array.from({ length: 100 }, (_, value) => state.set(id, "k", value)));
    for (const following of both) {
      const changes = await following.changes(100);
      expect(changes.map(({ version }) => version)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
      changes.forEach(({ oldValue }, at) => expect(oldValue).toBe(at === 0 ? null : changes[at - 1]?.newValue));
    }
  });

  it("25: a client that goes leaves no listener behind", async () => {
    const id = workflow();
    const many = await Promise.all(Array.from({ length: 20 }, (_, index) => follow(id, `k${index % 3}`)));
    expect(state.hints().listenerCount).toBe(3);
    for (const following of many) following.close();
    await soon(
      () => state.hints().listenerCount === 0,
      () => "no listeners",
    );
    await state.set(id, "k0", 1);
  });

  it("26: who comes again behind gets what is there now, in one message; who is not behind gets nothing", async () => {
    const id = workflow();
    for (const value of ["a", "b", "c"]) await state.set(id, "k", value);
    const behind = await follow(id, "k", { lastEventId: 1 });
    expect(await behind.changes(1)).toEqual([change(null, "c", 3)]);
    const level = await follow(id, "k", { lastEventId: 3 });
    await state.send("DELETE", pathOf(id, "k"));
    expect(await behind.changes(2)).toEqual([change(null, "c", 3), change("c", null, 4)]);
    expect(await level.changes(1)).toEqual([change("c", null, 4)]);
    const late = await follow(id, "k", { lastEventId: 2 });
    expect(await late.changes(1)).toEqual([change(null, null, 4)]);
    const ahead = await follow(id, "k", { lastEventId: 99 });
    await state.set(id, "k", "d");
    expect(await ahead.changes(2)).toEqual([change(null, null, 4), change(null, "d", 5)]);
  });

  it("26: a stream says from which version on it tells, for who has heard nothing yet when it breaks off", async () => {
    const id = workflow();
    const from = async (options: object = {}) =>
      (await follow(id, "k", options)).response.headers.get("x-state-version");
    expect(await from()).toBe("0");
    await state.set(id, "k", 1);
    await state.set(id, "k", 2);
    expect(await from()).toBe("2");
    await state.send("DELETE", pathOf(id, "k"));
    expect(await from()).toBe("3");
  });

  it("27: an idle stream gets comments", async () => {
    const following = await follow(workflow(), "k");
    await soon(
      () => (following.text().match(/^: /gm)?.length ?? 0) >= 3,
      () => "three comments",
    );
    expect(following.text()).toMatch(/^(?:: \w*\n\n)+$/);
  });

  it("34: npm's EventSource hears them as messages, and comes again where it was", async () => {
    const id = workflow();
    const { source, messages } = await openEventSource(`${state.url}${pathOf(id, "k")}/stream`);
    try {
      await state.set(id, "k", { n: 1 });
      await state.send("DELETE", pathOf(id, "k"));
      await soon(
        () => messages.length === 2,
        () => "two messages",
      );
      expect(messages.map(({ data, lastEventId, type }) => [JSON.parse(data as string), lastEventId, type])).toEqual([
        [change(null, { n: 1 }, 1), "1", "message"],
        [change({ n: 1 }, null, 2), "2", "message"],
      ]);
    } finally {
      source.close();
    }
  });
});

describe("changes across processes", () => {
  it.each(PROTOCOL_STORAGES.filter((storage) => storage !== "memory"))(
    "24: of one server on %s reach who follows at another",
    async (storage) => {
      const { createStorage } = await import("../../support/server.js");
      const place = await createStorage(storage);
      const one = await serve(place);
      const other = await serve(place);
      try {
        const id = workflow();
        const following = await other.follow(id, "k");
        await one.set(id, "k", "a");
        await other.set(id, "k", "b");
        await one.set(id, "k", "c", { ttl: 0.05 });
        expect((await following.changes(4)).map(({ newValue, version }) => [version, newValue])).toEqual([
          [1, "a"],
          [2, "b"],
          [3, "c"],
          [4, null],
        ]);
        following.close();
      } finally {
        await one.close();
        await other.close();
        await place.drop();
      }
    },
    60_000,
  );
});
