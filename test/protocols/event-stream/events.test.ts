import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { STORAGES, startServer, type TestServer, until } from "../../support/server.js";
import { checkEvent, checkResponse } from "./conformance.js";
import { ALL, type Filter, type WireEvent, command, isTerminal, openSse } from "./thread-client.js";
import { threadClients } from "./thread-clients.js";

const HUMAN = (content: string) => ({ messages: [{ role: "user", content }] });

describe.each(STORAGES)("events of a thread on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(storage);
  }, 60_000);
  afterAll(() => server.close(), 60_000);

  const { follow, connect, start } = threadClients(() => server);
  const stateOf = async (threadId: string) =>
    (await server.client.threads.getState<Record<string, unknown>>(threadId)) as unknown as {
      values: Record<string, unknown>;
      tasks: { interrupts: { id: string }[] }[];
    };

  it.each([
    ["tokens", HUMAN("hi"), "completed"],
    ["nested", { n: 1 }, "completed"],
    ["failing", { n: 0 }, "failed"],
    ["askTwo", {}, "interrupted"],
    ["slow", { ms: 1, steps: 2 }, "completed"],
  ])(
    "every frame of %s is as the protocol has it, numbered without a hole, on both transports",
    async (graph, input, end) => {
      const threadId = v7();
      const stream = await follow(threadId);
      const socket = await connect(threadId);
      checkResponse(await socket.command("subscription.subscribe", ALL));
      const started = await command(server.url, threadId, "run.start", { assistant_id: graph, input });
      checkResponse(started);
      const last = await stream.events.terminal();
      await socket.events.terminal();
      for (const event of stream.events.all) checkEvent(event);
      expect(last.method === "lifecycle" && last.params.data.event).toBe(end);
      expect(socket.events.all).toEqual(stream.events.all);
      const seqs = stream.events.all.map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, index) => index + 1));
      expect(stream.events.ids).toEqual(seqs.map(String));
      // Those of the whole run name it: `synth:<run id>:<number>`.
      expect(stream.events.all.map(({ event_id: id }) => id?.split(":").at(-1))).toEqual(seqs.map(String));
    },
  );

  it("replays to subscriptions that come together in the order of the log, each event once", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    await start(threadId, "tokens", HUMAN("hi"));
    await stream.events.terminal();
    const socket = await connect(threadId);
    await Promise.all([
      socket.command("subscription.subscribe", { channels: ["lifecycle", "input"] }),
      socket.command("subscription.subscribe", ALL),
      socket.command("subscription.subscribe", { channels: ["messages"] }),
    ]);
    await socket.events.terminal();
    expect(socket.events.all).toEqual(stream.events.all);
  });

  it("replays a run's end only after what subscriptions that follow one by one have to replay", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    await start(threadId, "tokens", HUMAN("hi"));
    await stream.events.terminal();
    const socket = await connect(threadId);
    await socket.command("subscription.subscribe", { channels: ["lifecycle", "input"] });
    // Not in the same packet: as a busy machine brings what a client that connects again sends.
    await socket.command("subscription.subscribe", ALL);
    await socket.events.terminal();
    expect(socket.events.all.findIndex(isTerminal)).toBe(socket.events.all.length - 1);
    expect(new Set(socket.events.all.map(({ seq }) => seq)).size).toBe(stream.events.all.length);
    // A live end waits for nothing.
    const answered = await socket.succeed<{ run_id: string }>("run.start", {
      assistant_id: "tokens",
      input: HUMAN("hi"),
    });
    expect(await socket.events.terminal(2)).toMatchObject({ params: { run_id: answered.run_id } });
  });

  it("a recorded session replays the same with since at every position, and by Last-Event-ID", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    await start(threadId, "counter", { n: 0 });
    await stream.events.terminal(1);
    await start(threadId, "nested", { n: 1 });
    await stream.events.terminal(2);
    const all = [...stream.events.all];
    expect(all.length).toBeGreaterThan(30);
    const replay = async (since: number, byHeader: boolean) => {
      const again = await openSse(
        server.url,
        threadId,
        byHeader ? ALL : { ...ALL, since },
        byHeader ? { "last-event-id": String(since) } : {},
      );
      const expected = all.slice(since);
      if (expected.length > 0) await again.events.until((_, seen) => seen.length === expected.length);
      again.close();
      expect(again.events.all).toEqual(expected);
    };
    for (let since = 0; since < all.length; since += 1) await replay(since, since % 2 === 1);
  });

  it("goes on from run to run, also of runs that REST started; a client that is up to date gets only what is new", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    await start(threadId, "counter", { n: 0 });
    const first = await stream.events.terminal(1);
    const late = await follow(threadId, { ...ALL, since: first.seq as number });
    await server.client.runs.wait(threadId, "counter", { input: { n: 10 } });
    const second = await stream.events.terminal(2);
    await late.events.terminal(1);
    expect(late.events.all[0]?.seq).toBe((first.seq as number) + 1);
    expect(late.events.all.at(-1)).toEqual(second);
    const runs = stream.events.all.flatMap((event) =>
      event.method === "lifecycle" && event.params.namespace.length === 0
        ? [(event.params as unknown as { run_id: string }).run_id]
        : [],
    );
    expect(new Set(runs).size).toBe(2);
  });

  it("a second run that is started before the first has ended reaches the listeners, too", async () => {
    const threadId = v7();
    const stream = await follow(threadId, { channels: ["lifecycle", "values"] });
    const first = await start(threadId, "slow", { ms: 30, steps: 3 });
    const second = await start(threadId, "counter", { n: 5 });
    await stream.events.terminal(2);
    const ends = stream.events.all.filter(isTerminal).map((event) => (event.params as { run_id?: string }).run_id);
    expect(ends).toEqual([first.run_id, second.run_id]);
    expect((await stateOf(threadId)).values).toMatchObject({ n: 8 });
  });

  it("is filtered by channel, namespace prefix and depth", async () => {
    const threadId = v7();
    const all = await follow(threadId);
    await start(threadId, "nested", { n: 0 });
    await all.events.terminal();
    const channels = { channels: ["values", "updates", "lifecycle"] };
    const seen = async (filter: Filter): Promise<readonly WireEvent[]> => {
      const expected = all.events.all.filter(({ method, params: { namespace } }) => {
        if (!filter.channels.includes(method)) return false;
        if (filter.namespaces === undefined) return true;
        return filter.namespaces.some(
          (prefix) =>
            prefix.every((segment, at) => namespace[at] === segment || namespace[at]?.split(":")[0] === segment) &&
            namespace.length - prefix.length <= (filter.depth ?? 99),
        );
      });
      const stream = await follow(threadId, filter);
      await stream.events.until((_, events) => events.length === expected.length);
      expect(stream.events.all).toEqual(expected);
      return expected;
    };
    expect((await seen({ ...channels, namespaces: [[]], depth: 0 })).length).toBeGreaterThan(3);
    expect((await seen({ ...channels, namespaces: [["sub"]] })).length).toBeGreaterThan(2);
    const exact = all.events.all.find(({ params }) => params.namespace[0]?.startsWith("sub:"))?.params.namespace ?? [];
    expect(exact.length).toBeGreaterThan(0);
    await seen({ ...channels, namespaces: [exact] });
    await seen({ channels: ["checkpoints"] });
  });

  it("a WebSocket gets an event once although several subscriptions match, and a late one is replayed to in order", async () => {
    const threadId = v7();
    const socket = await connect(threadId);
    await socket.succeed("subscription.subscribe", { channels: ["lifecycle", "values"] });
    const second = await socket.succeed<{ subscription_id: string }>("subscription.subscribe", {
      channels: ["values", "updates"],
    });
    expect(await socket.succeed("run.start", { assistant_id: "counter", input: { n: 0 } })).toMatchObject({
      run_id: expect.any(String) as string,
    });
    await socket.events.terminal();
    const seqs = socket.events.all.map(({ seq }) => seq as number);
    expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b));
    expect(new Set(socket.events.all.map(({ method }) => method))).toEqual(new Set(["lifecycle", "values", "updates"]));
    const before = socket.events.all.length;
    const late = await socket.command("subscription.subscribe", { channels: ["values", "checkpoints"] });
    const replayed = late.type === "success" ? (late.result as { replayed_events: number }).replayed_events : 0;
    expect(replayed).toBeGreaterThan(4);
    await socket.events.until((_, all) => all.length === before + replayed);
    expect(socket.responses.at(-1)?.afterEvents).toBe(before);
    const replay = socket.events.all.slice(before);
    expect(new Set(replay.map(({ method }) => method))).toEqual(new Set(["values", "checkpoints"]));
    expect(replay.map(({ seq }) => seq)).toEqual(replay.map(({ seq }) => seq as number).toSorted((a, b) => a - b));
    // Live from here on, once for all three.
    const from = socket.events.all.length;
    await socket.succeed("subscription.unsubscribe", { subscription_id: second.subscription_id });
    await socket.succeed("run.start", { assistant_id: "counter", input: { n: 3 } });
    await socket.events.until((event, all) => isTerminal(event) && all.filter(isTerminal).length === 2);
    const live = socket.events.all.slice(from).map(({ seq }) => seq);
    expect(new Set(live).size).toBe(live.length);
    expect(new Set(socket.events.all.slice(from).map(({ method }) => method))).toEqual(
      new Set(["lifecycle", "values", "checkpoints"]),
    );
  });

  it("subscriptions of a socket that was lost are restored on another one, from the last event that was seen", async () => {
    const threadId = v7();
    const lost = await connect(threadId);
    const { subscription_id: id } = await lost.succeed<{ subscription_id: string }>("subscription.subscribe", ALL);
    const { run_id: runId } = await lost.succeed<{ run_id: string }>("run.start", {
      assistant_id: "slow",
      input: { ms: 20, steps: 4 },
    });
    const seen = await lost.events.until(({ method }) => method === "custom");
    lost.close();
    const found = await connect(threadId);
    const restored = await found.command("subscription.reconnect", {
      run_id: runId,
      last_event_id: seen.event_id,
      subscriptions: [id],
    });
    checkResponse(restored);
    expect(restored).toMatchObject({
      type: "success",
      result: {
        restored: true,
        // As far as it has come by now.
        current_namespaces: expect.arrayContaining([
          { namespace: [], status: expect.stringMatching(/^(?:running|completed)$/) as string },
        ]) as unknown,
      },
    });
    await found.events.terminal();
    const seqs = found.events.all.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, index) => (seen.seq as number) + 1 + index));
    expect(await found.succeed("subscription.unsubscribe", { subscription_id: id })).toEqual({});
    expect(await found.command("subscription.reconnect", { run_id: v7() })).toMatchObject({ error: "no_such_run" });
    expect(await found.command("subscription.reconnect", { run_id: runId, subscriptions: ["x"] })).toMatchObject({
      error: "no_such_subscription",
    });
  });

  it("whoever connects again is told how much it has missed, and how it stands in every namespace", async () => {
    const threadId = v7();
    const lost = await connect(threadId);
    const { subscription_id: id } = await lost.succeed<{ subscription_id: string }>("subscription.subscribe", ALL);
    const { run_id: runId } = await lost.succeed<{ run_id: string }>("run.start", {
      assistant_id: "nested",
      input: { n: 1 },
    });
    const last = await lost.events.terminal();
    const inside = lost.events.all.find(({ params }) => params.namespace.length > 0)?.params.namespace;
    expect(inside?.[0]).toMatch(/^sub:/);
    const reconnect = async (lastEventId: string | undefined) => {
      const found = await connect(threadId);
      const restored = await found.succeed("subscription.reconnect", {
        run_id: runId,
        last_event_id: lastEventId,
        subscriptions: [id],
      });
      return { found, restored };
    };
    const current = [
      { namespace: [], status: "completed" },
      { namespace: inside, status: "completed" },
    ];
    for (const missed of [0, 1, 7, last.seq as number]) {
      const seen = lost.events.all[(last.seq as number) - missed - 1];
      const { found, restored } = await reconnect(seen?.event_id);
      expect(restored).toEqual({ restored: true, missed_events: missed, current_namespaces: current });
      if (missed > 0) await found.events.terminal();
      expect(found.events.all).toHaveLength(missed);
    }
  });

  it("a client that sees the end of a run finds it in the thread's state", async () => {
    for (let i = 0; i < 5; i += 1) {
      const threadId = v7();
      const stream = await follow(threadId, { channels: ["lifecycle"] });
      await start(threadId, "counter", { n: i });
      await stream.events.terminal();
      expect((await stateOf(threadId)).values).toMatchObject({ n: i + 3 });
      expect((await server.client.threads.get(threadId)).status).toBe("idle");
    }
  });

  it("says how far the log had come when a command was answered", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    const before = await command(server.url, threadId, "run.start", { assistant_id: "counter", input: { n: 0 } });
    const last = await stream.events.terminal();
    await until(async () => {
      const after = await command(server.url, threadId, "state.get", { namespace: [] });
      return after.type === "success" && after.meta?.applied_through_seq === last.seq;
    }, "the number of the last event");
    expect(before.type === "success" && (before.meta?.applied_through_seq as number)).toBeLessThan(last.seq as number);
  });

  it("ends when the thread is deleted", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    const socket = await connect(threadId);
    await socket.succeed("subscription.subscribe", ALL);
    await start(threadId, "counter", { n: 0 });
    await stream.events.terminal();
    await socket.events.terminal();
    const again = await follow(threadId);
    await again.events.terminal();
    await server.client.threads.delete(threadId);
    expect(await socket.closed).toEqual({ code: 4404, reason: "The thread was deleted." });
    await expect(again.events.until(() => false)).rejects.toThrow(/ended/);
  });
});
