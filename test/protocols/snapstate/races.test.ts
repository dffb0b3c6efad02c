import { afterEach, describe, expect, test } from "vitest";
import { createStorage } from "../../support/server.js";
import { checkpointKey, dueKey, threadIdOf, workflowKey } from "../../../src/protocols/snapstate/places.js";
import { valueOf } from "../../../src/protocols/snapstate/stored.js";
import { openRows } from "./open-records.js";
import { fresh, type Json, type Served, serve, until, type User } from "./served.js";

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

/** A server, and the records of its storage as another process sees them. */
async function both(): Promise<{ readonly served: Served; readonly ann: User; readonly rows: Rows }> {
  const { uri, drop } = await createStorage("sqlite");
  const served = await serve({ uri });
  const rows = await openRows(uri);
  open.push(
    drop,
    () => served.close(),
    () => rows.close(),
  );
  return { served, ann: await served.user("ann"), rows };
}

type Rows = Awaited<ReturnType<typeof openRows>>;

describe("SnapState and another process", () => {
  // As on MongoDB, which has no step of several records.
  test("a workflow whose first checkpoint is only just being written is not taken for one that has expired", async () => {
    const { ann, rows } = await both();
    const ref = { owner: "id:ann", workflowId: fresh() };
    await ann.save({ workflow_id: ref.workflowId, step: 1, state: { a: 1 } });
    const key = checkpointKey(ref, 1);
    const first = await rows.records.get(key);
    await rows.records.remove(key);
    const second = ann.save({ workflow_id: ref.workflowId, step: 2, state: { a: 2 } });
    await new Promise((resolve) => setTimeout(resolve, 15));
    await rows.records.write({ ...key, value: first?.value ?? ("" as never), ttlMs: 60_000, disposable: true });
    expect((await second).body["diff_from_previous"]).toEqual({ added: [], removed: [], changed: ["a"] });
    const { body } = await ann.send("GET", `/workflows/${ref.workflowId}/resume`);
    expect(body["total_checkpoints"]).toBe(2);
    const replay = await ann.send("GET", `/workflows/${ref.workflowId}/replay`);
    expect(replay.body["total"]).toBe(2);
  });

  // As above, with one that has others before it.
  test("a save is compared with the one before, also while that one is only just being written", async () => {
    const { ann, rows } = await both();
    const ref = { owner: "id:ann", workflowId: fresh() };
    for (const step of [1, 2]) await ann.save({ workflow_id: ref.workflowId, step, state: { [`s${step}`]: 1 } });
    const key = checkpointKey(ref, 2);
    const second = await rows.records.get(key);
    await rows.records.remove(key);
    const third = ann.save({ workflow_id: ref.workflowId, step: 3, state: { s2: 1, s3: 1 } });
    await new Promise((resolve) => setTimeout(resolve, 15));
    await rows.records.write({ ...key, value: second?.value ?? ("" as never), ttlMs: 60_000, disposable: true });
    expect((await third).body["diff_from_previous"]).toEqual({ added: ["s3"], removed: [], changed: [] });
    const { body } = await ann.send("GET", `/workflows/${ref.workflowId}/replay`);
    expect((body["checkpoints"] as Json[]).map(({ step }) => step)).toEqual([1, 2, 3]);
    // Where it never comes, because its process has died, nobody waits for long; and what is there is told at once.
    await rows.records.remove(checkpointKey(ref, 3));
    const [again, fourth] = await Promise.all([
      ann.save({ workflow_id: ref.workflowId, step: 2 }),
      ann.save({ workflow_id: ref.workflowId, step: 4, state: { s2: 1, s4: 1 } }),
    ]);
    expect([again.status, fourth.status]).toEqual([409, 201]);
    expect(fourth.body["diff_from_previous"]).toEqual({ added: ["s4"], removed: [], changed: [] });
  });

  test("a save that takes over another's settling does not forget when that one's checkpoint expires", async () => {
    const { ann, rows } = await both();
    const ref = { owner: "id:ann", workflowId: fresh() };
    await ann.save({ workflow_id: ref.workflowId, step: 1, state: { a: 1 } }, { "x-checkpoint-ttl": "1" });
    // As another process leaves it until it has settled.
    await rows.records.write({ ...dueKey(ref), value: valueOf({ from: 1 }), ttlMs: 60_000 });
    await ann.save({ workflow_id: ref.workflowId, step: 2, state: { a: 2 } });
    const history = async () => (await ann.client.threads.getHistory(threadIdOf(ref))).map(({ values }) => values);
    expect(await history()).toEqual([{ a: 2 }, { a: 1 }]);
    await until(async () => (await history()).length === 1, "the expired one to leave the thread");
    expect(await history()).toEqual([{ a: 2 }]);
  });

  test.each(["sqlite", "postgres"] as const)(
    "50 agents and 50 webhooks are the most, of two processes on %s",
    async (storage) => {
      const { uri, drop } = await createStorage(storage);
      open.push(drop);
      const [one, other] = [await serve({ uri }), await serve({ uri })];
      open.push(
        () => one.close(),
        () => other.close(),
      );
      const { secret } = await one.user("ann");
      const users = [one.as(secret), other.as(secret)] as const;
      const webhook = { url: "http://127.0.0.1:1/", events: ["checkpoint.saved"] };
      const send = (n: number, path: string, body: object) => users[n % 2 === 0 ? 0 : 1].send("POST", path, body);
      // All but a few one after the other, and the last places at once.
      for (let n = 0; n < 46; n += 1) {
        await send(n, "/webhooks", webhook);
        await send(n, "/agents", { agent_id: `first-${n}` });
      }
      const last = Array.from({ length: 16 }, (_, n) => n);
      const webhooks = await Promise.all(last.map((n) => send(n, "/webhooks", webhook)));
      const agents = await Promise.all(last.map((n) => send(n, "/agents", { agent_id: `last-${n}` })));
      for (const answers of [webhooks, agents]) {
        const statuses = answers.map((answer) => answer.status).sort((a, b) => a - b);
        expect(statuses).toEqual([201, 201, 201, 201, ...Array.from({ length: 12 }, () => 400)]);
      }
      const refused = webhooks.find((answer) => answer.status === 400);
      expect(refused?.body["error"]).toMatchObject({ message: expect.stringContaining("50 webhooks") as string });
      expect((await users[0].send("GET", "/agents")).body["agents"]).toHaveLength(50);
      // One that goes makes room for one.
      const made = webhooks.find((answer) => answer.status === 201);
      expect((await users[0].send("DELETE", `/webhooks/${String(made?.body["webhook_id"])}`)).status).toBe(204);
      expect((await send(0, "/webhooks", webhook)).status).toBe(201);
      expect((await send(1, "/webhooks", webhook)).status).toBe(400);
    },
  );

  test("the thread of a workflow that is being removed does not take the removal's mark with it", async () => {
    const { served, ann, rows } = await both();
    const ref = { owner: "id:ann", workflowId: fresh() };
    await ann.save({ workflow_id: ref.workflowId, step: 1, state: { a: 1 } }, { "x-checkpoint-ttl": "1" });
    // Whether the mark was ever missing while there was a thread.
    const seen: string[] = [];
    const stopped = rows.watch(async () => {
      const mark = await rows.records.get(workflowKey(ref));
      const thread = await rows.threads.get({ threadId: threadIdOf(ref), access: { kind: "all" } });
      seen.push(`${mark === null ? "unmarked" : "kept"}:${thread === null ? "gone" : "there"}`);
      return mark === null && thread === null;
    });
    await until(async () => (await ann.send("GET", `/workflows/${ref.workflowId}/resume`)).status === 404, "the end");
    await served.server.start();
    await stopped;
    expect(seen).not.toContain("unmarked:there");
  });

  test("who has found a thread gone leaves alone what has been saved since", async () => {
    const { ann, rows } = await both();
    const ref = { owner: "id:ann", workflowId: fresh() };
    await ann.save({ workflow_id: ref.workflowId, step: 1, state: { a: 1 } });
    const stale = await rows.records.get(workflowKey(ref));
    await ann.save({ workflow_id: ref.workflowId, step: 2, state: { a: 2 } });
    await rows.settling.forget(ref, stale);
    expect((await ann.send("GET", `/workflows/${ref.workflowId}/replay`)).body["total"]).toBe(2);
    await rows.settling.forget(ref, null);
    expect((await ann.send("GET", `/workflows/${ref.workflowId}/replay`)).body["total"]).toBe(2);
    await rows.settling.forget(ref, await rows.records.get(workflowKey(ref)));
    expect(await rows.records.get(workflowKey(ref))).toBeNull();
    expect(await rows.records.get(dueKey(ref))).toBeNull();
    expect(await rows.records.get(checkpointKey(ref, 2))).toBeNull();
  });
});
