import { afterEach, describe, expect, test } from "vitest";
import { createStorage } from "../../support/server.js";
import { checkpointKey, dueKey, threadIdOf, workflowKey } from "../../../src/protocols/snapstate/places.js";
import { openRows } from "./open-records.js";
import { fresh, type Served, serve, until, type User } from "./served.js";

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
