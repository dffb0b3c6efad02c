import { Client } from "@langchain/langgraph-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bearer, ownersAuth } from "../support/owners-auth.js";
import type { TestServer } from "../support/server.js";
import { collect, STORAGES, startServer, statusOf } from "../support/server.js";

/** The SDK's types (1.15.0) have no `$or`. */
const anyOf = (...filters: readonly object[]) => ({ $or: filters }) as never;

describe.each(STORAGES)("the SDK's Auth and clients on %s", (storage) => {
  let server: TestServer;
  let ann: Client;
  let bob: Client;
  let nobody: Client;
  beforeAll(async () => {
    const auth = ownersAuth()
      .on("threads:read", ({ user: { identity } }) =>
        anyOf({ owner: identity }, { readers: { $contains: identity } }, { public: { $eq: true } }),
      )
      .on("assistants:search", ({ user }) => anyOf({ owner: user.identity }, { created_by: "system" }));
    server = await startServer(storage, { auth });
    const clientOf = (headers: Record<string, string>) =>
      new Client({ apiUrl: server.url, defaultHeaders: headers, callerOptions: { maxRetries: 0 } });
    ann = clientOf(bearer("ann"));
    bob = clientOf(bearer("bob"));
    nobody = clientOf({});
  });
  afterAll(() => server.close());

  it("refuses strangers with the handler's status and words", async () => {
    const refused = nobody.threads.search();
    await expect(refused).rejects.toThrow(/401.*Who are you\?/);
    for (const call of [
      () => nobody.assistants.search(),
      () => nobody.runs.wait(null, "counter", { input: { n: 1 } }),
      () => nobody.store.searchItems([]),
      () => collect(nobody.runs.stream(null, "counter", { input: { n: 1 } })),
    ]) {
      expect(await statusOf(call())).toBe(401);
    }
  });

  it("shows everybody what is theirs, page by page", async () => {
    for (let i = 0; i < 3; i += 1) {
      await ann.threads.create({ metadata: { i, set: "pages" } });
      await bob.threads.create({ metadata: { i, set: "pages" } });
    }
    for (const [client, owner] of [
      [ann, "ann"],
      [bob, "bob"],
    ] as const) {
      const metadata = { set: "pages" };
      const first = await client.threads.search({ metadata, limit: 2, sortBy: "created_at", sortOrder: "asc" });
      const rest = await client.threads.search({
        metadata,
        limit: 2,
        offset: 2,
        sortBy: "created_at",
        sortOrder: "asc",
      });
      expect([...first, ...rest].map((thread) => thread.metadata)).toEqual(
        [0, 1, 2].map((i) => ({ i, set: "pages", owner })),
      );
      expect(await client.threads.count({ metadata })).toBe(3);
    }
  });

  it("hides threads, states and runs of others", async () => {
    const { thread_id: id } = await ann.threads.create();
    await ann.runs.wait(id, "counter", { input: { n: 1 } });
    const [run] = await ann.runs.list(id);
    if (run === undefined) throw new Error("no run");
    for (const call of [
      () => bob.threads.get(id),
      () => bob.threads.update(id, { metadata: { mine: true } }),
      () => bob.threads.getState(id),
      () => bob.threads.getHistory(id),
      () => bob.threads.updateState(id, { values: { n: 9 } }),
      () => bob.threads.delete(id),
      () => bob.runs.list(id),
      () => bob.runs.get(id, run.run_id),
      () => bob.runs.join(id, run.run_id),
      () => collect(bob.runs.joinStream(id, run.run_id)),
      () => bob.runs.cancel(id, run.run_id),
      () => bob.runs.delete(id, run.run_id),
      () => bob.runs.create(id, "counter", { input: { n: 1 }, ifNotExists: "create" }),
    ]) {
      expect([call.toString(), await statusOf(call())]).toEqual([call.toString(), 404]);
    }
    expect(await statusOf(bob.threads.copy(id))).toBe(409);
    expect(await statusOf(bob.threads.create({ threadId: id, ifExists: "do_nothing" }))).toBe(409);
    expect((await ann.threads.getState<{ n: number }>(id)).values.n).toBe(4);
    expect((await ann.threads.get(id)).metadata).not.toHaveProperty("mine");
  });

  it("pushes $or, $contains and $eq into the storage", async () => {
    const shared = await ann.threads.create({ metadata: { readers: ["bob", "eve"] } });
    const open = await ann.threads.create({ metadata: { public: true } });
    const almost = await ann.threads.create({ metadata: { readers: "bob", public: "true" } });
    expect((await bob.threads.get(shared.thread_id)).metadata).toMatchObject({ owner: "ann" });
    expect(await statusOf(bob.threads.get(open.thread_id))).toBe(200);
    expect(await statusOf(bob.threads.get(almost.thread_id))).toBe(404);
    // Seeing is not changing: the state's update asks for both.
    expect(await statusOf(bob.threads.update(shared.thread_id, { metadata: { x: 1 } }))).toBe(404);
    expect(await statusOf(bob.threads.updateState(shared.thread_id, { values: { n: 1 } }))).toBe(403);
  });

  it("keeps assistants apart, and system assistants for all to run", async () => {
    const own = await ann.assistants.create({ graphId: "counter", name: "Ann's" });
    expect(own.metadata).toMatchObject({ owner: "ann" });
    expect(await statusOf(bob.assistants.get(own.assistant_id))).toBe(404);
    expect(await statusOf(bob.assistants.getVersions(own.assistant_id))).toBe(404);
    expect(await statusOf(bob.assistants.update(own.assistant_id, { name: "Bob's" }))).toBe(404);
    expect(await statusOf(bob.runs.wait(null, own.assistant_id, { input: { n: 1 } }))).toBe(404);
    const graphs = (await bob.assistants.search({ limit: 100 })).map((found) => found.name);
    expect(graphs).toContain("counter");
    expect(graphs).not.toContain("Ann's");
    expect(await bob.runs.wait(null, "counter", { input: { n: 1 } })).toMatchObject({ n: 4 });
  });

  it("streams, waits and resumes for its owner", async () => {
    const { thread_id: id } = await ann.threads.create();
    const events = await collect(ann.runs.stream(id, "ask", { input: { question: "tea?" }, streamMode: "values" }));
    expect(JSON.stringify(events)).toContain("tea?");
    expect(await statusOf(bob.runs.wait(id, "ask", { command: { resume: "no" } }))).toBe(404);
    expect(await ann.runs.wait(id, "ask", { command: { resume: "yes" } })).toMatchObject({ answer: "yes!" });
    const batch = await ann.runs.createBatch([
      { assistantId: "counter", input: { n: 1 } },
      { assistantId: "counter", input: { n: 2 } },
    ]);
    expect(batch).toHaveLength(2);
  });

  it("follows threads by the event protocol for those who may read them", async () => {
    const { thread_id: id } = await ann.threads.create();
    const seen = async (client: Client) => {
      const thread = client.threads.stream(id, { assistantId: "counter" });
      await thread.run.start({ input: { n: 1 } });
      const values = (await thread.output) as { n?: number };
      await thread.close();
      return values;
    };
    expect(await seen(ann)).toMatchObject({ n: 4 });
    await expect(seen(bob)).rejects.toThrow(/not found/);
  });

  it("keeps items below their owner's namespace", async () => {
    await ann.store.putItem(["ann", "notes"], "k", { text: "x" });
    expect(await statusOf(bob.store.getItem(["ann", "notes"], "k"))).toBe(404);
    expect(await statusOf(bob.store.putItem(["ann", "notes"], "k", { text: "y" }))).toBe(404);
    expect(await statusOf(bob.store.putItem(["ann", "new"], "k", { text: "y" }))).toBe(403);
    expect(await statusOf(bob.store.deleteItem(["ann", "notes"], "k"))).toBe(404);
    expect((await bob.store.searchItems(["ann"])).items).toEqual([]);
    expect((await bob.store.listNamespaces()).namespaces).toEqual([]);
    expect((await ann.store.searchItems(["ann"])).items).toHaveLength(1);
  });
});
