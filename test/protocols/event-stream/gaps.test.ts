import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { STORAGES, startServer, type TestServer } from "../../support/server.js";
import { checkEvent } from "./conformance.js";
import { type OpenStream, openSocket, openSse, succeed } from "./thread-client.js";

/** Two processes would need the log's limits by hand: what is evicted is the storage's to say, which all share. */
describe.each(STORAGES.filter((name) => name !== "two processes"))("what the log no longer holds, on %s", (storage) => {
  let small: TestServer;
  let short: TestServer;
  beforeAll(async () => {
    small = await startServer(storage, { streaming: { maxBytes: 24_000 } });
    short = await startServer(storage, { streaming: { eventLogTtlMs: 1 } });
  }, 60_000);
  afterAll(async () => {
    await small.close();
    await short.close();
  }, 60_000);

  const open: OpenStream[] = [];
  afterAll(() => {
    for (const stream of open) stream.close();
  });

  it("shows as a jump of the numbers, and the state comes first", async () => {
    const threadId = v7();
    const { url } = small;
    const live = await openSse(url, threadId, { channels: ["lifecycle"] });
    open.push(live);
    for (let count = 1; count <= 12; count += 1) {
      await succeed(url, threadId, "run.start", {
        assistant_id: "tokens",
        input: { messages: [{ role: "user", content: "x" }] },
      });
      await live.events.terminal(count);
    }
    const late = await openSse(url, threadId, { channels: ["values", "messages", "lifecycle"] });
    open.push(late);
    const last = await late.events.until(({ seq }) => seq === live.events.all.at(-1)?.seq);
    const [first] = late.events.all;
    for (const event of late.events.all) checkEvent(event);
    expect(first?.method).toBe("values");
    expect(first?.seq).toBeUndefined();
    expect(first?.event_id).toMatch(/^values:/);
    expect(late.events.ids[0]).toBeUndefined();
    expect((first?.params.data as { messages: unknown[] } | undefined)?.messages).toHaveLength(24);
    const seqs = late.events.all.slice(1).map(({ seq }) => seq as number);
    expect(seqs.length).toBeLessThan((last.seq as number) / 2);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    // Over a WebSocket the same; a filter without the state has only the jump.
    const socket = await openSocket(url, threadId);
    open.push(socket);
    await socket.succeed("subscription.subscribe", { channels: ["values", "messages", "lifecycle"] });
    await socket.events.until(({ seq }) => seq === last.seq);
    expect(socket.events.all[0]).toMatchObject({ event_id: first?.event_id, method: "values" });
    expect(socket.events.all.map(({ event_id: id }) => id)).toEqual(late.events.all.map(({ event_id: id }) => id));
    const narrow = await openSse(url, threadId, { channels: ["lifecycle"] });
    open.push(narrow);
    await narrow.events.until(({ seq }) => seq === last.seq);
    expect(narrow.events.all.every(({ seq }) => seq !== undefined)).toBe(true);
  });

  it("after everything has expired a fresh listener gets the state, and numbers go on", async () => {
    const threadId = v7();
    const { url } = short;
    const live = await openSse(url, threadId, { channels: ["lifecycle", "values"] });
    await succeed(url, threadId, "run.start", { assistant_id: "counter", input: { n: 0 } });
    const last = await live.events.terminal();
    live.close();
    const fresh = async () => {
      const stream = await openSse(url, threadId, { channels: ["lifecycle", "values"] });
      open.push(stream);
      const first = await stream.events.until(() => true);
      return { stream, first };
    };
    // The sweep is the server's own, every five seconds.
    let listener = await fresh();
    for (let i = 0; i < 1_000 && listener.first.seq !== undefined; i += 1) {
      listener.stream.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
      listener = await fresh();
    }
    expect(listener.first).toMatchObject({ method: "values", params: { namespace: [], data: { n: 3 } } });
    expect(listener.first.seq).toBeUndefined();
    const upToDate = await openSse(url, threadId, { channels: ["lifecycle", "values"], since: last.seq as number });
    open.push(upToDate);
    await succeed(url, threadId, "run.start", { assistant_id: "counter", input: { n: 5 } });
    await listener.stream.events.terminal();
    await upToDate.events.terminal();
    expect(listener.stream.events.all[1]?.seq).toBe((last.seq as number) + 1);
    expect(upToDate.events.all[0]?.seq).toBe((last.seq as number) + 1);
  });

  it("a thread that ran before anybody followed it shows its state", async () => {
    const { thread_id: threadId } = await small.client.threads.create();
    await small.client.runs.wait(threadId, "counter", { input: { n: 7 } });
    const stream = await openSse(small.url, threadId, { channels: ["values"] });
    open.push(stream);
    expect(await stream.events.until(() => true)).toMatchObject({ params: { data: { n: 10 } } });
    const socket = await openSocket(small.url, threadId);
    open.push(socket);
    const [first, second] = await Promise.all([
      socket.succeed<{ subscription_id: string }>("subscription.subscribe", { channels: ["values"] }),
      socket.succeed<{ subscription_id: string }>("subscription.subscribe", { channels: ["values", "lifecycle"] }),
    ]);
    expect(first.subscription_id).not.toBe(second.subscription_id);
    // Both start together: one reader tells both.
    expect(await socket.events.until(() => true)).toMatchObject({ params: { data: { n: 10 } } });
    await succeed(small.url, threadId, "run.start", { assistant_id: "counter", input: { n: 1 } });
    await socket.events.terminal();
    const numbered = socket.events.all.filter(({ seq }) => seq !== undefined).map(({ seq }) => seq);
    expect(new Set(numbered).size).toBe(numbered.length);
  });
});
