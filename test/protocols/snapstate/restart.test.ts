import { MemorySaver } from "@langchain/langgraph-checkpoint";
import { afterEach, describe, expect, test } from "vitest";
import { openReceiver, type Receiver } from "../../webhooks/receiver.js";
import { createStorage, type StorageName } from "../../support/server.js";
import { openRecords } from "./open-records.js";
import { fresh, type Json, PROTOCOL_STORAGES, type Served, serve, until, type User } from "./served.js";

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function place(storage: StorageName): Promise<string> {
  const { uri, drop } = await createStorage(storage);
  open.push(drop);
  return uri;
}

async function start(uri: string, options: Parameters<typeof serve>[1] = {}): Promise<Served> {
  const served = await serve({ uri }, options);
  open.push(() => served.close());
  return served;
}

async function historyOf(user: User, workflow: string): Promise<unknown[]> {
  const [thread] = await user.client.threads.search({ metadata: { snapstate: { workflow_id: workflow } } });
  if (thread === undefined) return [];
  return (await user.client.threads.getHistory(thread.thread_id, { limit: 100 })).map(({ values }) => values);
}

describe.each(PROTOCOL_STORAGES.filter((storage) => storage !== "memory"))("SnapState's restart on %s", (storage) => {
  test("everything is there again: checkpoints, agents, webhooks, the thread", async () => {
    const receiver: Receiver = await openReceiver();
    open.push(() => receiver.close());
    const uri = await place(storage);
    const first = await serve({ uri });
    const ann = await first.user("ann");
    const workflow = fresh();
    for (const step of [1, 2]) await ann.save({ workflow_id: workflow, step, state: { step } });
    await ann.send("POST", "/agents", { agent_id: "a", name: "A" });
    await ann.send("POST", "/webhooks", { url: receiver.url, events: ["checkpoint.saved"], secret: "s" });
    const replay = (await ann.send("GET", `/workflows/${workflow}/replay`)).body;
    await first.close();

    const again = (await start(uri)).as(ann.secret);
    expect((await again.send("GET", `/workflows/${workflow}/replay`)).body).toEqual(replay);
    expect((await again.send("GET", "/agents/a")).body).toMatchObject({ name: "A" });
    const { body } = await again.save({ workflow_id: workflow, step: 3, state: { step: 3, more: 1 } });
    expect(body["diff_from_previous"]).toEqual({ added: ["more"], removed: [], changed: ["step"] });
    const [told] = await receiver.got(1);
    expect(told?.headers).toHaveProperty("x-checkpoint-signature");
    expect(await historyOf(again, workflow)).toEqual([{ step: 3, more: 1 }, { step: 2 }, { step: 1 }]);
  });

  test("a save whose process dies before its thread has it is on the thread later, and told once", async () => {
    const receiver = await openReceiver();
    open.push(() => receiver.close());
    const uri = await place(storage);
    const saver = new FailingSaver();
    const served = await start(uri, { checkpointer: saver, allowEphemeral: true });
    const ann = await served.user("ann");
    await ann.send("POST", "/webhooks", { url: receiver.url, events: ["checkpoint.saved"] });
    const workflow = fresh();
    await ann.save({ workflow_id: workflow, step: 1, state: { step: 1 } });
    saver.fails = true;
    for (const step of [2, 3]) {
      const { status } = await ann.save({ workflow_id: workflow, step, state: { step } });
      expect(status).toBe(201);
    }
    saver.fails = false;
    expect(await historyOf(ann, workflow)).toEqual([{ step: 1 }]);
    expect((await ann.send("GET", `/workflows/${workflow}/resume`)).body["latest_checkpoint"]).toMatchObject({
      state: { step: 3 },
    });
    // Nobody has looked at it for ten seconds.
    const records = await openRecords(uri);
    await records.expire(workflow);
    await records.close();
    await until(async () => (await historyOf(ann, workflow)).length === 3, "the repair");
    expect(await historyOf(ann, workflow)).toEqual([{ step: 3 }, { step: 2 }, { step: 1 }]);
    await receiver.got(3);
    const [thread] = await ann.client.threads.search({ metadata: { snapstate: { workflow_id: workflow } } });
    expect(thread?.values).toEqual({ step: 3 });
    const { body } = await ann.save({ workflow_id: workflow, step: 4, state: { step: 4 } });
    expect(body["step"]).toBe(4);
    await receiver.got(4);
    const steps = receiver.received.map((one) => (one.body["data"] as Json)["step"]);
    expect(new Set(steps)).toEqual(new Set([1, 2, 3, 4]));
    expect(steps).toHaveLength(4);
  });

  test("the next save brings a thread up to date that an earlier one could not reach", async () => {
    const uri = await place(storage);
    const saver = new FailingSaver();
    const served = await start(uri, { checkpointer: saver, allowEphemeral: true });
    const ann = await served.user("ann");
    const workflow = fresh();
    saver.fails = true;
    await ann.save({ workflow_id: workflow, step: 1, state: { step: 1 } });
    saver.fails = false;
    await ann.save({ workflow_id: workflow, step: 2, state: { step: 2 } });
    expect(await historyOf(ann, workflow)).toEqual([{ step: 2 }, { step: 1 }]);
  });

  test("what has expired leaves the thread's history as well, and an expiry that nobody was up for is told", async () => {
    const receiver = await openReceiver();
    open.push(() => receiver.close());
    const uri = await place(storage);
    const first = await serve({ uri });
    const ann = await first.user("ann");
    await ann.send("POST", "/webhooks", { url: receiver.url, events: ["workflow.expired"] });
    const [short, long] = [fresh("short"), fresh("long")];
    const ttl = { "x-checkpoint-ttl": "1" };
    await ann.save({ workflow_id: short, state: { a: 1 } }, ttl);
    await ann.save({ workflow_id: long, step: 1, state: { a: 1 } }, ttl);
    await ann.save({ workflow_id: long, step: 2, state: { a: 2 } }, ttl);
    await ann.save({ workflow_id: long, step: 3, state: { a: 3 } });
    expect(await historyOf(ann, long)).toHaveLength(3);
    await first.close();
    const second = await start(uri);
    // As `heddle serve` does; otherwise the first request would.
    await second.server.start();
    const again = second.as(ann.secret);
    const [told] = await receiver.got(1);
    expect(told?.body).toMatchObject({ event: "workflow.expired", data: { workflow_id: short, step: 1 } });
    await until(async () => (await historyOf(again, long)).length === 1, "the expired ones to leave the thread");
    expect(await historyOf(again, long)).toEqual([{ a: 3 }]);
    await until(
      async () => (await again.client.threads.search({ metadata: { snapstate: { workflow_id: short } } })).length === 0,
      "the thread to go",
    );
    expect(receiver.received).toHaveLength(1);
  });
});

/** Refuses puts on demand, as a database that is away. */
class FailingSaver extends MemorySaver {
  fails = false;

  override async put(...params: Parameters<MemorySaver["put"]>): ReturnType<MemorySaver["put"]> {
    if (this.fails) throw new Error("no checkpoint can be put now");
    return super.put(...params);
  }
}
