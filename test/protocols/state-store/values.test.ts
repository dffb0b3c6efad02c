import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pathOf, PROTOCOL_STORAGES, refused, sendRaw, serve, type Served, soon, workflow } from "./served.js";

/* Numbered assertions of docs/wire/state-store.md §4.3 on values; those on streams are in feed.test.ts, on callers in callers.test.ts. */

describe.each(PROTOCOL_STORAGES)("values on %s", (storage) => {
  let state: Served;
  beforeAll(async () => {
    state = await serve(storage, { http: { maxBodyBytes: 100_000 } });
  }, 60_000);
  afterAll(() => state.close());

  const compareAndSet = (id: string, key: string, body: object) =>
    state.send("POST", `${pathOf(id, key)}/version`, body);

  it("1: set answers 200 with version 1, and 2 the second time", async () => {
    const id = workflow();
    const path = pathOf(id, "status");
    expect(await state.send("POST", path, { value: "a" })).toMatchObject({ status: 200, body: { version: 1 } });
    const second = await state.send("POST", path, { value: "b" });
    expect(second).toMatchObject({ status: 200 });
    expect(second.body).toEqual({ version: 2 });
    expect(second.headers.get("content-type")).toBe("application/json");
  });

  it("2: an object comes back as it was sent", async () => {
    const id = workflow();
    const value = { step: "review", approvals: ["ann", "bob"], retries: 2, done: false };
    await state.set(id, "progress", value);
    expect(await state.get(id, "progress")).toEqual({ value, version: 1 });
  });

  it.each([
    null,
    false,
    0,
    "",
    [],
    {},
    -1.5e-7,
    'ünï \u{1F600} \n" \\ \u2028',
    { a: [{ b: [null, [[]]] }], "a.b": 1, $c: {}, "": 0 },
  ])("3: the value %j comes back", async (value) => {
    const id = workflow();
    await state.set(id, "k", value);
    expect(await state.get(id, "k")).toEqual({ value, version: 1 });
  });

  it("4: a missing value is 404 with a code", async () => {
    expect(await state.send("GET", pathOf(workflow(), "nothing"))).toMatchObject(refused(404, "NOT_FOUND"));
  });

  it("5: a body without value, or that is no object, is 400", async () => {
    const path = pathOf(workflow(), "k");
    for (const body of [{}, { ttl: 1 }, [], "[1]", '"x"', "1", "null", "", "{", "\u0000"]) {
      expect(await state.send("POST", path, body), JSON.stringify(body)).toMatchObject(refused(400, "INVALID_REQUEST"));
      expect(await state.send("POST", `${path}/version`, body)).toMatchObject(refused(400, "INVALID_REQUEST"));
    }
    expect(await state.send("GET", path)).toMatchObject({ status: 404 });
  });

  it("6: a ttl of 0, null or none stays; one of a second is gone after it; others are 400", async () => {
    const id = workflow();
    await state.set(id, "none", 1);
    await state.set(id, "zero", 1, { ttl: 0 });
    await state.set(id, "null", 1, { ttl: null });
    await state.set(id, "second", 1, { ttl: 1 });
    await state.set(id, "part", 1, { ttl: 0.25 });
    expect(await state.get(id, "second")).toMatchObject({ value: 1 });
    for (const ttl of [-1, "x", "1", true, [], {}, 1e300]) {
      const answer = await state.send("POST", pathOf(id, "bad"), { value: 1, ttl });
      expect(answer, JSON.stringify(ttl)).toMatchObject(refused(400, "INVALID_REQUEST"));
    }
    const isGone = (key: string) => async () => (await state.send("GET", pathOf(id, key))).status === 404;
    await soon(isGone("part"), () => "the end of a quarter of a second");
    await soon(isGone("second"), () => "the end of a second");
    for (const key of ["none", "zero", "null"]) expect(await state.get(id, key)).toEqual({ value: 1, version: 1 });
  });

  it("7: a set without ttl clears an earlier one", async () => {
    const id = workflow();
    await state.set(id, "kept", 1, { ttl: 0.2 });
    await state.set(id, "gone", 1, { ttl: 0.2 });
    await state.set(id, "kept", 2);
    await soon(
      async () => (await state.send("GET", pathOf(id, "gone"))).status === 404,
      () => "the other's end",
    );
    expect(await state.get(id, "kept")).toEqual({ value: 2, version: 2 });
  });

  it("8: delete answers 200, and then there is nothing; once more it says so", async () => {
    const id = workflow();
    await state.set(id, "k", 1);
    expect(await state.send("DELETE", pathOf(id, "k"))).toMatchObject({ status: 200, body: { deleted: true } });
    expect(await state.send("GET", pathOf(id, "k"))).toMatchObject({ status: 404 });
    expect(await state.send("DELETE", pathOf(id, "k"))).toMatchObject({ status: 200, body: { deleted: false } });
  });

  it("9: a list is sorted and holds neither deleted nor expired keys; of an unknown workflow it is empty", async () => {
    const id = workflow();
    for (const key of ["b", "a", "ä", "B", "deleted", "10", "2"]) await state.set(id, key, key);
    await state.set(id, "expired", 1, { ttl: 0.05 });
    await state.send("DELETE", pathOf(id, "deleted"));
    await soon(
      async () => (await state.send("GET", pathOf(id, "expired"))).status === 404,
      () => "the end",
    );
    const answer = await state.send("GET", `/v1/state/${id}`);
    expect(answer).toMatchObject({ status: 200, body: { keys: ["10", "2", "B", "a", "b", "ä"] } });
    expect((await state.send("GET", `/v1/state/${workflow()}`)).body).toEqual({ keys: [] });
  });

  it("10: the same key in two workflows is two values, with versions of their own", async () => {
    const [one, two] = [workflow(), workflow()];
    await state.set(one, "k", 1);
    await state.set(one, "k", 2);
    await state.set(two, "k", "other");
    expect(await state.get(one, "k")).toEqual({ value: 2, version: 2 });
    expect(await state.get(two, "k")).toEqual({ value: "other", version: 1 });
    await state.send("DELETE", pathOf(one, "k"));
    expect(await state.get(two, "k")).toEqual({ value: "other", version: 1 });
  });

  it("11: compare-and-set with the right version counts one", async () => {
    const id = workflow();
    await state.set(id, "k", 1);
    expect(await compareAndSet(id, "k", { value: 2, version: 1 })).toMatchObject({ status: 200, body: { version: 2 } });
    expect(await state.get(id, "k")).toEqual({ value: 2, version: 2 });
  });

  it("12: with a stale one it is 409 at both places, says the version, and changes nothing", async () => {
    const id = workflow();
    for (const value of [1, 2, 3]) await state.set(id, "k", value);
    for (const version of [1, 2, 4]) {
      const answer = await compareAndSet(id, "k", { value: "no", version });
      expect(answer).toMatchObject(refused(409, "VERSION_CONFLICT", { currentVersion: 3 }));
    }
    expect(await state.get(id, "k")).toEqual({ value: 3, version: 3 });
  });

  it("13: the expected version has two names; neither, two different ones, or none of a number, is 400", async () => {
    const id = workflow();
    await state.set(id, "k", 1);
    expect(await compareAndSet(id, "k", { value: 2, expectedVersion: 1 })).toMatchObject({ status: 200 });
    expect(await compareAndSet(id, "k", { value: 3, version: 2, expectedVersion: 2 })).toMatchObject({ status: 200 });
    const wrong = [
      {},
      { version: 3, expectedVersion: 2 },
      { version: "3" },
      { version: -1 },
      { version: 1.5 },
      { version: null },
    ];
    for (const expected of wrong) {
      const answer = await compareAndSet(id, "k", { value: 4, ...expected });
      expect(answer, JSON.stringify(expected)).toMatchObject(refused(400, "INVALID_REQUEST"));
    }
    expect(await state.get(id, "k")).toEqual({ value: 3, version: 3 });
  });

  it("14: an expected 0 creates; a second time it is 409", async () => {
    const id = workflow();
    expect(await compareAndSet(id, "k", { value: 1, version: 0 })).toMatchObject({ status: 200, body: { version: 1 } });
    expect(await compareAndSet(id, "k", { value: 2, version: 0 })).toMatchObject(
      refused(409, "VERSION_CONFLICT", { currentVersion: 1 }),
    );
  });

  it("15: an expected 1 where there is nothing is 409, also after a delete", async () => {
    const id = workflow();
    const conflict = refused(409, "VERSION_CONFLICT", { currentVersion: 0 });
    expect(await compareAndSet(id, "k", { value: 1, version: 1 })).toMatchObject(conflict);
    await state.set(id, "k", 1);
    await state.send("DELETE", pathOf(id, "k"));
    for (const version of [1, 2]) expect(await compareAndSet(id, "k", { value: 1, version })).toMatchObject(conflict);
    expect(await compareAndSet(id, "k", { value: 1, version: 0 })).toMatchObject({ status: 200, body: { version: 3 } });
  });

  it("16: 50 parallel compare-and-sets from one version, exactly one 200", async () => {
    const id = workflow();
    await state.set(id, "k", "start");
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, value) => compareAndSet(id, "k", { value, version: 1 })),
    );
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([
      200,
      ...Array.from({ length: 49 }, () => 409),
    ]);
    const winner = answers.findIndex(({ status }) => status === 200);
    expect(await state.get(id, "k")).toEqual({ value: winner, version: 2 });
  });

  it("17: 50 increments by compare-and-set of each of 4 workers end at their sum", async () => {
    const id = workflow();
    await state.set(id, "k", 0);
    const increment = async (): Promise<void> => {
      for (;;) {
        const { value, version } = (await state.get(id, "k")) as { value: number; version: number };
        if ((await compareAndSet(id, "k", { value: value + 1, version })).status === 200) return;
      }
    };
    const worker = async (): Promise<void> => {
      for (let i = 0; i < 50; i += 1) await increment();
    };
    await Promise.all(Array.from({ length: 4 }, worker));
    expect(await state.get(id, "k")).toEqual({ value: 200, version: 201 });
  }, 60_000);

  it("18: 50 parallel sets get the versions 1 to 50, each once", async () => {
    const id = workflow();
    const versions = await Promise.all(Array.from({ length: 50 }, (_, value) => state.set(id, "k", value)));
    expect(versions.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
  });

  it("28: names with spaces, slashes, dots and anything else, and keys that are words of paths", async () => {
    const id = `${workflow()} a/b.c*%25 ünï`;
    const keys = ["a b", "a/b", "stream", "version", "ünï \u{1F600}", "%2F", "?#&", "*", "a.b", "__proto__", "..."];
    for (const [at, key] of keys.entries()) {
      expect(await state.set(id, key, at), key).toBe(1);
      expect(await state.send("POST", `${pathOf(id, key)}/version`, { value: key, version: 1 })).toMatchObject({
        status: 200,
      });
    }
    for (const key of keys) expect(await state.get(id, key)).toEqual({ value: key, version: 2 });
    const listed = (await state.send("GET", `/v1/state/${encodeURIComponent(id)}`)).body as { keys: string[] };
    expect(listed.keys.toSorted()).toEqual(keys.toSorted());
    for (const key of keys) expect((await state.send("DELETE", pathOf(id, key))).body).toEqual({ deleted: true });
  });

  it.each(["%2E", "%2e%2E"])("28: the key %s, as only raw requests have it", async (key) => {
    const path = `/v1/state/${workflow()}/${key}`;
    expect(await sendRaw(state.url, "POST", path, { value: key })).toEqual({ status: 200, body: { version: 1 } });
    expect(await sendRaw(state.url, "GET", path)).toEqual({ status: 200, body: { value: key, version: 1 } });
  });

  it("28: names that no store could hold are 400", async () => {
    for (const path of [
      "/v1/state/a/%00",
      "/v1/state/%00/a",
      `/v1/state/a/${"x".repeat(1_025)}`,
      `/v1/state/${"%25".repeat(400)}/k`,
    ]) {
      expect(await state.send("POST", path, { value: 1 }), path).toMatchObject(refused(400, "INVALID_REQUEST"));
      expect((await state.send("GET", path)).status).toBe(400);
    }
    const longest = "x".repeat(1_024);
    expect(await state.set(longest, longest, 1)).toBeGreaterThan(0);
    expect(await state.get(longest, longest)).toMatchObject({ value: 1 });
  });

  it("31: a wrong method and an unknown path are told in the same envelope", async () => {
    const id = workflow();
    for (const [method, path] of [
      ["PUT", pathOf(id, "k")],
      ["PATCH", pathOf(id, "k")],
      ["POST", `/v1/state/${id}`],
      ["DELETE", `${pathOf(id, "k")}/stream`],
      ["GET", `${pathOf(id, "k")}/version`],
      ["POST", "/health"],
    ] as const) {
      const answer = await state.send(method, path, method === "GET" ? undefined : {});
      expect(answer, `${method} ${path}`).toMatchObject(refused(405, "METHOD_NOT_ALLOWED"));
      expect(answer.headers.get("allow")).not.toBeNull();
    }
    for (const path of ["/", "/v1", "/v1/state", "/v2/state/a/b", `${pathOf(id, "k")}/other`, "/v1/state/a/%zz"]) {
      const { status, body } = await state.send("GET", path);
      expect([400, 404], path).toContain(status);
      expect(body).toMatchObject({ error: { code: expect.any(String) as string }, code: expect.any(String) as string });
    }
  });

  it("32: a value over the limit is 413, one below it is kept", async () => {
    const path = pathOf(workflow(), "large");
    expect(await state.send("POST", path, { value: "x".repeat(100_000) })).toMatchObject(
      refused(413, "PAYLOAD_TOO_LARGE"),
    );
    const value = "x".repeat(90_000);
    expect(await state.send("POST", path, { value })).toMatchObject({ status: 200 });
    expect((await state.send("GET", path)).body).toEqual({ value, version: 1 });
  });
});
