import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fresh, type Json, PROTOCOL_STORAGES, type Served, serve, until, type User } from "./served.js";

describe.each(PROTOCOL_STORAGES)("SnapState's lifetimes on %s", (storage) => {
  let served: Served;
  let ann: User;
  beforeAll(async () => {
    served = await serve(storage);
    ann = await served.user("ann");
  });
  afterAll(() => served.close());

  test("32: after its time a checkpoint is gone everywhere; a time that is none is the default", async () => {
    const workflow = fresh();
    const { body } = await ann.save({ workflow_id: workflow }, { "x-checkpoint-ttl": "1" });
    const id = String(body["checkpoint_id"]);
    expect((await ann.send("GET", `/checkpoints/${id}`)).status).toBe(200);
    await until(async () => (await ann.send("GET", `/checkpoints/${id}`)).status === 404, "the checkpoint to expire");
    expect((await ann.send("GET", `/workflows/${workflow}/resume`)).status).toBe(404);
    expect((await ann.send("GET", `/workflows/${workflow}/replay`)).body).toMatchObject({ checkpoints: [], total: 0 });
    const other = await ann.save({ workflow_id: fresh() }, { "x-checkpoint-ttl": "abc" });
    const kept = await ann.send("GET", `/checkpoints/${String(other.body["checkpoint_id"])}`);
    expect(lifetimeOf(kept.body)).toBe(604_800_000);
  });

  test("33: expires_at is created_at and the time to live", async () => {
    const { body } = await ann.save({ workflow_id: fresh() }, { "x-checkpoint-ttl": "90" });
    const read = await ann.send("GET", `/checkpoints/${String(body["checkpoint_id"])}`);
    expect(lifetimeOf(read.body)).toBe(90_000);
  });

  test("32: a workflow lives as long as the longest of its checkpoints", async () => {
    const workflow = fresh();
    await ann.save({ workflow_id: workflow, step: 1, state: { a: 1 } });
    await ann.save({ workflow_id: workflow, step: 2, state: { a: 2 } }, { "x-checkpoint-ttl": "1" });
    const resumed = async () => (await ann.send("GET", `/workflows/${workflow}/resume`)).body;
    const step = async () => ((await resumed())["latest_checkpoint"] as Json)["step"];
    expect(await step()).toBe(2);
    await until(async () => (await step()) === 1, "the second to expire");
    expect((await resumed())["total_checkpoints"]).toBe(2);
    const { body } = await ann.send("GET", `/workflows/${workflow}/replay`);
    expect((body["checkpoints"] as Json[]).map((one) => one["step"])).toEqual([1]);
    // The step is free again, and is compared with what lives.
    const again = await ann.save({ workflow_id: workflow, step: 2, state: { a: 3 } });
    expect([again.status, again.body["diff_from_previous"]]).toEqual([201, { added: [], removed: [], changed: ["a"] }]);
  });

  test("32: a workflow that has expired begins anew", async () => {
    const workflow = fresh();
    await ann.save({ workflow_id: workflow, step: 1, state: { a: 1 } }, { "x-checkpoint-ttl": "1" });
    const again = async () => ann.save({ workflow_id: workflow, step: 1, state: { b: 1 } });
    let saved = await again();
    await until(async () => (saved = await again()).status === 201, "the step to be free");
    expect(saved.body["diff_from_previous"]).toEqual({ added: ["b"], removed: [], changed: [] });
    const { body } = await ann.send("GET", `/workflows/${workflow}/resume`);
    expect(body).toMatchObject({ total_checkpoints: 1, workflow_started_at: saved.body["created_at"] });
  });
});

function lifetimeOf(checkpoint: Json): number {
  return Date.parse(String(checkpoint["expires_at"])) - Date.parse(String(checkpoint["created_at"]));
}
