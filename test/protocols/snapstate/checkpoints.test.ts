import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  asMany,
  errorOf,
  etagFor,
  fresh,
  type Json,
  PROTOCOL_STORAGES,
  type Served,
  serve,
  type User,
} from "./served.js";

describe.each(PROTOCOL_STORAGES)("SnapState's checkpoints on %s", (storage) => {
  let served: Served;
  let ann: User;
  beforeAll(async () => {
    served = await serve(storage);
    ann = await served.user("ann");
  });
  afterAll(() => served.close());

  test("1: without Authorization 401 UNAUTHORIZED in the envelope", async () => {
    const answer = await served.nobody.send("GET", "/agents");
    expect(errorOf(answer)).toEqual([401, "UNAUTHORIZED"]);
    expect(answer.body).toEqual({ error: { code: "UNAUTHORIZED", message: expect.any(String) as string } });
  });

  test("2: Authorization of another scheme 401", async () => {
    const headers = { authorization: `Basic ${ann.secret}` };
    expect(errorOf(await served.nobody.send("GET", "/agents", undefined, headers))).toEqual([401, "UNAUTHORIZED"]);
  });

  test("3: an unknown key 401", async () => {
    expect(errorOf(await served.as(`${ann.secret}x`).send("GET", "/agents"))).toEqual([401, "UNAUTHORIZED"]);
    expect((await ann.send("GET", "/agents")).status).toBe(200);
  });

  test("4: /health and /ready need no key", async () => {
    const health = await served.nobody.send("GET", "/health");
    expect(health.status).toBe(200);
    expect(health.body).toEqual({
      status: "ok",
      version: expect.stringMatching(/^\d+\.\d+/) as string,
      uptime_seconds: expect.any(Number) as number,
      redis: "connected",
      storage: "connected",
      timestamp: expect.stringMatching(/Z$/) as string,
    });
    expect(await served.nobody.send("GET", "/ready")).toMatchObject({ status: 200, body: { status: "ready" } });
  });

  test("5: X-Request-Id on success and on error, echoed or new", async () => {
    const answers = [
      await ann.send("GET", "/agents"),
      await ann.send("GET", "/checkpoints/cp_none_001"),
      await served.nobody.send("GET", "/agents"),
      await ann.send("GET", "/nowhere"),
    ];
    const ids = answers.map(({ headers }) => headers.get("x-request-id"));
    expect(new Set(ids).size).toBe(4);
    for (const id of ids) expect(id).toMatch(/.{8,}/);
    const echoed = await ann.send("GET", "/agents", undefined, { "x-request-id": "my-request-1" });
    expect(echoed.headers.get("x-request-id")).toBe("my-request-1");
  });

  test("6: a save is 201 with exactly these fields", async () => {
    const { status, body } = await ann.save({ workflow_id: fresh(), label: "l", metadata: { a: 1 } });
    expect(status).toBe(201);
    expect(Object.keys(body)).toEqual([
      "checkpoint_id",
      "workflow_id",
      "step",
      "etag",
      "created_at",
      "diff_from_previous",
      "size_bytes",
    ]);
    expect(body["created_at"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("7: ids name workflow and step, with three digits at least", async () => {
    const workflow = fresh();
    for (const [step, digits] of [
      [1, "001"],
      [12, "012"],
      [1000, "1000"],
    ] as const) {
      const { body } = await ann.save({ workflow_id: workflow, step });
      expect(body).toMatchObject({ checkpoint_id: `cp_${workflow}_${digits}`, workflow_id: workflow, step });
    }
  });

  test("8: an etag is of the state: the same for the same, of two steps", async () => {
    const workflow = fresh();
    const state = { b: [1, { ü: "😀" }], a: null };
    const first = await ann.save({ workflow_id: workflow, step: 1, state });
    const second = await ann.save({ workflow_id: workflow, step: 2, state });
    const other = await ann.save({ workflow_id: workflow, step: 3, state: { ...state, a: 1 } });
    expect(first.body["etag"]).toMatch(/^"[0-9a-f]{16}"$/);
    expect(first.body["etag"]).toBe(etagFor(state));
    expect(second.body["etag"]).toBe(first.body["etag"]);
    expect(other.body["etag"]).not.toBe(first.body["etag"]);
    expect(first.headers.get("etag")).toBe(first.body["etag"]);
  });

  test("9: size_bytes are UTF-8 bytes", async () => {
    const state = { text: "äöü €😀", n: [1.5, true, null] };
    const { body } = await ann.save({ workflow_id: fresh(), state });
    expect(body["size_bytes"]).toBe(Buffer.byteLength(JSON.stringify(state)));
    expect(body["size_bytes"]).not.toBe(JSON.stringify(state).length);
  });

  test("10: the first save adds every leaf", async () => {
    const { body } = await ann.save({ workflow_id: fresh(), state: { a: 1, b: { c: [true, { d: null }] }, e: {} } });
    expect(body["diff_from_previous"]).toEqual({ added: ["a", "b.c[0]", "b.c[1].d"], removed: [], changed: [] });
  });

  test("11: the second says what was added, removed and changed, also below objects and lists", async () => {
    const workflow = fresh();
    await ann.save({ workflow_id: workflow, step: 1, state: { user: { name: "a", age: 1 }, list: [{ x: 1 }, 2, 3] } });
    const { body } = await ann.save({
      workflow_id: workflow,
      step: 2,
      state: { user: { name: "b", mail: "m" }, list: [{ x: 1, y: 2 }, 2], done: true },
    });
    expect(body["diff_from_previous"]).toEqual({
      added: ["user.mail", "list[0].y", "done"],
      removed: ["user.age", "list[2]"],
      changed: ["user.name"],
    });
  });

  test("12: workflow_id, step and state are required", async () => {
    for (const name of ["workflow_id", "step", "state"]) {
      const answer = await ann.save({ workflow_id: fresh(), [name]: undefined });
      expect(errorOf(answer)).toEqual([400, "VALIDATION_ERROR"]);
      expect((answer.body["error"] as Json)["message"]).toContain(name);
    }
  });

  test("13: a step that is negative or a fraction, a state that is a list: 400", async () => {
    for (const bad of [{ step: -1 }, { step: 1.5 }, { state: [] }, { state: null }, { state: "x" }]) {
      expect(errorOf(await ann.save({ workflow_id: fresh(), ...bad }))).toEqual([400, "VALIDATION_ERROR"]);
    }
  });

  test("14: an unknown field 400", async () => {
    expect(errorOf(await ann.save({ workflow_id: fresh(), extra: 1 }))).toEqual([400, "VALIDATION_ERROR"]);
  });

  test("15: a workflow_id of 129 characters, a label of 257: 400; 128 and 256 are kept", async () => {
    expect(errorOf(await ann.save({ workflow_id: "w".repeat(129) }))).toEqual([400, "VALIDATION_ERROR"]);
    expect(errorOf(await ann.save({ workflow_id: fresh(), label: "l".repeat(257) }))).toEqual([
      400,
      "VALIDATION_ERROR",
    ]);
    expect(errorOf(await ann.save({ workflow_id: fresh(), agent_id: "a".repeat(256) }))).toEqual([
      400,
      "VALIDATION_ERROR",
    ]);
    expect((await ann.save({ workflow_id: fresh("w".repeat(119)), label: "l".repeat(256) })).status).toBe(201);
  });

  test("16: a state of 1,048,576 bytes is kept, one byte more is 413", async () => {
    // Of its own: FerretDB looks through all there is for most of what is asked later.
    const alone = await serve(storage);
    try {
      const [user, workflow] = [await alone.user("ann"), fresh()];
      const text = (bytes: number) => "x".repeat(bytes - JSON.stringify({ t: "" }).length);
      const fits = await user.save({ workflow_id: workflow, state: { t: text(1_048_576) } });
      expect([fits.status, fits.body["size_bytes"]]).toEqual([201, 1_048_576]);
      const over = await user.save({ workflow_id: workflow, step: 2, state: { t: text(1_048_577) } });
      expect(errorOf(over)).toEqual([413, "PAYLOAD_TOO_LARGE"]);
      const read = await user.send("GET", `/checkpoints/cp_${workflow}_001`);
      expect(read.body["state"]).toEqual({ t: text(1_048_576) });
    } finally {
      await alone.close();
    }
  });

  test("17: a step that is there is 409 and says which", async () => {
    const workflow = fresh();
    const first = await ann.save({ workflow_id: workflow, state: { a: 1 } });
    const again = await ann.save({ workflow_id: workflow, state: { a: 2 } });
    expect(errorOf(again)).toEqual([409, "CONFLICT"]);
    expect(again.body["existing"]).toEqual({
      checkpoint_id: first.body["checkpoint_id"],
      etag: first.body["etag"],
    });
    expect(Object.keys(again.body)).toEqual(["error", "existing"]);
  });

  test("18: with another If-Match 409", async () => {
    const workflow = fresh();
    await ann.save({ workflow_id: workflow, state: { a: 1 } });
    const again = await ann.save({ workflow_id: workflow, state: { a: 2 } }, { "if-match": '"0000000000000000"' });
    expect(errorOf(again)).toEqual([409, "CONFLICT"]);
  });

  test("19: with its If-Match 201, the old etag, and nothing is overwritten", async () => {
    const workflow = fresh();
    const first = await ann.save({ workflow_id: workflow, state: { a: 1 }, label: "first" });
    const etag = String(first.body["etag"]);
    for (const ifMatch of [etag, etag.replaceAll('"', ""), `W/${etag}`]) {
      const again = await ann.save({ workflow_id: workflow, state: { a: 2 }, label: "again" }, { "if-match": ifMatch });
      expect([again.status, again.body]).toEqual([201, first.body]);
    }
    const read = await ann.send("GET", `/checkpoints/${String(first.body["checkpoint_id"])}`);
    expect(read.body).toMatchObject({ state: { a: 1 }, label: "first", etag });
    expect((await ann.send("GET", `/workflows/${workflow}/resume`)).body["total_checkpoints"]).toBe(1);
  });

  test("20: If-Match on a new step is 201", async () => {
    const answer = await ann.save({ workflow_id: fresh() }, { "if-match": '"0000000000000000"' });
    expect(answer.status).toBe(201);
  });

  test("21: of 20 parallel saves of one step exactly one is 201", async () => {
    const workflow = fresh();
    const saves = Array.from({ length: 20 }, (_, n) => ann.save({ workflow_id: workflow, state: { n } }));
    const answers = await Promise.all(saves);
    const won = answers.filter(({ status }) => status === 201);
    expect(won).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(19);
    const read = await ann.send("GET", `/checkpoints/cp_${workflow}_001`);
    expect(read.body["etag"]).toBe(won[0]?.body["etag"]);
    expect((await ann.send("GET", `/workflows/${workflow}/resume`)).body["total_checkpoints"]).toBe(1);
  });

  test("parallel saves of other steps all succeed, in one order, and each is compared with the one before", async () => {
    const workflow = fresh();
    const length = asMany(storage, 20, 4);
    const saves = Array.from({ length }, (_, step) => ann.save({ workflow_id: workflow, step, state: { step } }));
    expect((await Promise.all(saves)).map(({ status }) => status)).toEqual(Array.from({ length }, () => 201));
    const { body } = await ann.send("GET", `/workflows/${workflow}/replay`);
    const diffs = (body["checkpoints"] as Json[]).map((one) => one["diff_from_previous"]);
    expect(diffs).toEqual([
      { added: ["step"], removed: [], changed: [] },
      ...Array.from({ length: length - 1 }, () => ({ added: [], removed: [], changed: ["step"] })),
    ]);
    const resumed = await ann.send("GET", `/workflows/${workflow}/resume`);
    expect(resumed.body["total_checkpoints"]).toBe(length);
  });

  test("22: a state comes back byte for byte", async () => {
    const workflow = fresh("ü/ %2F😀");
    const text =
      '{"z":1,"a":{"deep":{"null":null,"empty":{},"list":[[],{}]}},"unicode":"äß€😀\\u0007\\"\\\\","max":9007199254740991,' +
      '"min":-9007199254740991,"float":1.5e-7,"__proto__":{"x":1},"":"","bool":false,"lc":1,"type":"constructor","id":["a"]}';
    const body = `{"workflow_id":${JSON.stringify(workflow)},"step":0,"state":${text}}`;
    const saved = await ann.send("POST", "/checkpoints", body);
    expect(saved.status).toBe(201);
    const read = await ann.send("GET", `/checkpoints/${encodeURIComponent(String(saved.body["checkpoint_id"]))}`);
    expect(read.status).toBe(200);
    expect(read.text).toContain(`"state":${text},`);
    for (const path of ["resume", "replay"]) {
      const other = await ann.send("GET", `/workflows/${encodeURIComponent(workflow)}/${path}`);
      expect(other.text).toContain(`"state":${text},`);
    }
  });

  test("23: an unknown checkpoint 404 NOT_FOUND", async () => {
    await ann.save({ workflow_id: "known", step: 1 });
    for (const id of ["cp_known_002", "cp_unknown_001", "nonsense", "cp_known_0001", "cp_known_1", "cp__001"]) {
      expect([id, ...errorOf(await ann.send("GET", `/checkpoints/${id}`))]).toEqual([id, 404, "NOT_FOUND"]);
    }
    // What no path can name.
    for (const id of ["%00", "cp_%ED%A0%80_001"]) {
      expect([id, ...errorOf(await ann.send("GET", `/checkpoints/${id}`))]).toEqual([id, 400, "VALIDATION_ERROR"]);
    }
  });

  test("24: agent_id is part of the metadata, beside the caller's", async () => {
    const { body } = await ann.save({ workflow_id: fresh(), agent_id: "a-1", metadata: { model: "m", agent_id: "x" } });
    const read = await ann.send("GET", `/checkpoints/${String(body["checkpoint_id"])}`);
    expect(read.body["metadata"]).toEqual({ model: "m", agent_id: "a-1" });
    expect(read.body).not.toHaveProperty("agent_id");
  });

  test("25: no label is null; no metadata is null by id and {} in resume", async () => {
    const workflow = fresh();
    const { body } = await ann.save({ workflow_id: workflow, label: "" });
    const read = await ann.send("GET", `/checkpoints/${String(body["checkpoint_id"])}`);
    expect(read.body).toMatchObject({ label: null, metadata: null });
    const resumed = await ann.send("GET", `/workflows/${workflow}/resume`);
    expect(resumed.body["latest_checkpoint"]).toMatchObject({ label: null, metadata: {} });
  });

  test("26: resume after steps 1, 2, 3", async () => {
    const workflow = fresh();
    const saved: Json[] = [];
    for (const step of [1, 2, 3]) saved.push((await ann.save({ workflow_id: workflow, step, state: { step } })).body);
    const { status, body } = await ann.send("GET", `/workflows/${workflow}/resume`);
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual([
      "workflow_id",
      "latest_checkpoint",
      "total_checkpoints",
      "workflow_started_at",
      "last_activity_at",
    ]);
    expect(body).toMatchObject({
      workflow_id: workflow,
      latest_checkpoint: { ...saved[2], state: { step: 3 } },
      total_checkpoints: 3,
      workflow_started_at: saved[0]?.["created_at"],
      last_activity_at: saved[2]?.["created_at"],
    });
  });

  test("27: the latest is the one written last, not the highest step", async () => {
    const workflow = fresh();
    await ann.save({ workflow_id: workflow, step: 5 });
    await ann.save({ workflow_id: workflow, step: 2 });
    const { body } = await ann.send("GET", `/workflows/${workflow}/resume`);
    expect(body["latest_checkpoint"]).toMatchObject({ step: 2 });
  });

  test("28: resume of an unknown workflow 404", async () => {
    expect(errorOf(await ann.send("GET", `/workflows/${fresh()}/resume`))).toEqual([404, "NOT_FOUND"]);
  });

  test("29: replay in the order of saves, with limit and range", async () => {
    const workflow = fresh();
    for (const step of [3, 1, 2, 5, 4]) await ann.save({ workflow_id: workflow, step, state: { step } });
    const replay = async (query = "") => {
      const { body } = await ann.send("GET", `/workflows/${workflow}/replay${query}`);
      return { ...body, checkpoints: (body["checkpoints"] as Json[]).map(({ step }) => step) };
    };
    expect(await replay()).toEqual({ workflow_id: workflow, checkpoints: [3, 1, 2, 5, 4], total: 5, has_more: false });
    expect(await replay("?limit=2")).toMatchObject({ checkpoints: [3, 1], total: 2, has_more: true });
    expect(await replay("?limit=5")).toMatchObject({ total: 5, has_more: false });
    expect(await replay("?from_step=2&to_step=4")).toMatchObject({ checkpoints: [3, 2, 4], total: 3, has_more: false });
    expect(await replay("?from_step=6")).toMatchObject({ checkpoints: [], total: 0, has_more: false });
    const { body } = await ann.send("GET", `/workflows/${workflow}/replay?limit=1`);
    expect((body["checkpoints"] as Json[])[0]).toMatchObject({
      checkpoint_id: `cp_${workflow}_003`,
      label: null,
      state: { step: 3 },
      metadata: {},
    });
  });

  test("29: a replay of more than one page has each once", async () => {
    const workflow = fresh();
    const steps = Array.from({ length: asMany(storage, 120, 12) }, (_, n) => n);
    for (const step of steps) await ann.save({ workflow_id: workflow, step });
    const all = (await ann.send("GET", `/workflows/${workflow}/replay?limit=1000`)).body;
    expect((all["checkpoints"] as Json[]).map(({ step }) => step)).toEqual(steps);
    expect(all["has_more"]).toBe(false);
    const some = (await ann.send("GET", `/workflows/${workflow}/replay?limit=${steps.length - 1}`)).body;
    expect([(some["checkpoints"] as Json[]).length, some["has_more"]]).toEqual([steps.length - 1, true]);
  });

  test("30: replay of an unknown workflow is empty", async () => {
    const workflow = fresh();
    expect(await ann.send("GET", `/workflows/${workflow}/replay`)).toMatchObject({
      status: 200,
      body: { workflow_id: workflow, checkpoints: [], total: 0, has_more: false },
    });
  });

  test("31: limits of 0, 1001 and abc are 400, and so are unknown parameters", async () => {
    for (const query of ["limit=0", "limit=1001", "limit=abc", "limit=1.5", "from_step=-1", "to_step=x", "page=1"]) {
      const answer = await ann.send("GET", `/workflows/${fresh()}/replay?${query}`);
      expect([query, ...errorOf(answer)]).toEqual([query, 400, "VALIDATION_ERROR"]);
    }
  });

  test("40: an unknown route 404, a wrong method 405, no JSON 400, all in the envelope", async () => {
    expect(errorOf(await ann.send("GET", "/nowhere"))).toEqual([404, "NOT_FOUND"]);
    expect(errorOf(await ann.send("PUT", "/checkpoints", {}))).toEqual([405, "METHOD_NOT_ALLOWED"]);
    for (const body of ["{", "", "[]", '"x"', "null", "{} x"]) {
      expect([body, ...errorOf(await ann.send("POST", "/checkpoints", body))]).toEqual([body, 400, "VALIDATION_ERROR"]);
    }
  });
});
