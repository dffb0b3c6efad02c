import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import { apiKey } from "../../../src/auth/api-key.js";
import { type StateChange, StateStoreClient, StateStoreError } from "../../../src/state-store/index.js";
import { startTcpProxy } from "../../support/tcp-proxy.js";
import { serve, type Served, soon, workflow } from "./served.js";

describe("heddle/state-store", () => {
  let served: Served;
  let client: StateStoreClient;
  beforeAll(async () => {
    served = await serve("memory");
    client = new StateStoreClient({ baseUrl: `${served.url}/` });
  });
  afterAll(() => served.close());

  it("sets, gets, lists and deletes", async () => {
    const id = `${workflow()}/a b`;
    expect(await client.get(id, "k")).toBeNull();
    expect(await client.set(id, "k", { n: 1 })).toEqual({ version: 1 });
    expect(await client.set(id, "a/b", null)).toEqual({ version: 1 });
    const found = await client.get<{ n: number }>(id, "k");
    expect(found).toEqual({ value: { n: 1 }, version: 1 });
    expectTypeOf(found?.value).toEqualTypeOf<{ n: number } | undefined>();
    expect(await client.get(id, "a/b")).toEqual({ value: null, version: 1 });
    expect(await client.list(id)).toEqual(["a/b", "k"]);
    expect(await client.delete(id, "k")).toBe(true);
    expect(await client.delete(id, "k")).toBe(false);
    await client.set(id, "short", 1, { ttl: 0.05 });
    await soon(
      async () => (await client.get(id, "short")) === null,
      () => "its end",
    );
  });

  it("compares and sets: a conflict is an error of the one, an answer of the other", async () => {
    const id = workflow();
    expect(await client.setIfVersion(id, "k", 1, 0)).toEqual({ version: 1 });
    const conflict = await client.setIfVersion(id, "k", 2, 0).catch((error: unknown) => error);
    expect(conflict).toBeInstanceOf(StateStoreError);
    expect(conflict).toMatchObject({ status: 409, code: "VERSION_CONFLICT", currentVersion: 1 });
    expect(await client.compareAndSet(id, "k", 2, 0)).toEqual({ ok: false, currentVersion: 1 });
    expect(await client.compareAndSet(id, "k", 2, 1)).toEqual({ ok: true, version: 2 });
    await expect(client.compareAndSet(id, "k", 2, -1)).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });

  it("refuses what no request could carry", async () => {
    await expect(client.set("w", "k", undefined)).rejects.toThrow("send null");
    for (const name of ["", ".", ".."]) {
      await expect(client.get("w", name)).rejects.toThrow(TypeError);
      await expect(client.list(name)).rejects.toThrow(TypeError);
    }
    await expect(client.get("w", "k", { signal: AbortSignal.abort() })).rejects.toThrow("aborted");
  });

  it("follows a value, and stops when the loop is left", async () => {
    const id = workflow();
    const seen: StateChange<number>[] = [];
    const onOpen = (): void => void client.set(id, "k", 1).then(() => client.set(id, "k", 2));
    for await (const change of client.subscribe<number>(id, "k", { onOpen })) {
      seen.push(change);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([
      { oldValue: null, newValue: 1, version: 1 },
      { oldValue: 1, newValue: 2, version: 2 },
    ]);
    await soon(
      () => served.hints().listenerCount === 0,
      () => "no listeners",
    );
  });

  it("ends with its signal, also while nothing comes", async () => {
    const controller = new AbortController();
    const changes = client.subscribe(workflow(), "k", { signal: controller.signal, onOpen: () => controller.abort() });
    expect(await changes.next()).toEqual({ done: true, value: undefined });
  });

  /** Follow `k` of a workflow through a proxy; `use` begins when the subscription is open and its first change is waited for. */
  const followCut = async (
    id: string,
    use: (following: {
      readonly changes: AsyncGenerator<StateChange<unknown>>;
      readonly first: Promise<IteratorResult<StateChange<unknown>>>;
      readonly proxy: Awaited<ReturnType<typeof startTcpProxy>>;
      readonly opened: () => number;
    }) => Promise<void>,
  ): Promise<void> => {
    const target = new URL(served.url);
    const proxy = await startTcpProxy({ port: Number(target.port) });
    const through = new StateStoreClient({ baseUrl: `http://127.0.0.1:${proxy.port}${target.pathname}` });
    let opened = 0;
    const changes = through.subscribe(id, "k", { onOpen: () => (opened += 1) });
    try {
      const first = changes.next();
      await soon(
        () => opened === 1,
        () => "the first connection",
      );
      await use({ changes, first, proxy, opened: () => opened });
    } finally {
      await changes.return(undefined);
      await proxy.close();
    }
  };

  it("comes again after a lost connection, and gets what it missed as one change", async () => {
    const id = workflow();
    await followCut(id, async ({ changes, first, proxy, opened }) => {
      await client.set(id, "k", "a");
      expect((await first).value).toMatchObject({ newValue: "a", version: 1 });
      const second = changes.next();
      proxy.cut();
      await client.set(id, "k", "b");
      await client.set(id, "k", "c");
      proxy.heal();
      expect((await second).value).toMatchObject({ newValue: "c", version: 3 });
      expect(opened()).toBe(2);
    });
  });

  it("gets what it missed also where nothing was heard before the connection was lost", async () => {
    const id = workflow();
    await client.set(id, "k", "before");
    await followCut(id, async ({ first, proxy }) => {
      proxy.cut();
      await client.set(id, "k", "missed");
      proxy.heal();
      expect((await first).value).toEqual({ oldValue: null, newValue: "missed", version: 2 });
    });
  });

  it("reads a value of many megabytes in no more time than it takes to come", async () => {
    const encoder = new TextEncoder();
    const line = `data: ${JSON.stringify({ oldValue: null, newValue: "x".repeat(8 * 1024 * 1024), version: 1 })}\n\n`;
    const chunks = Array.from({ length: Math.ceil(line.length / 2_048) }, (_, at) =>
      encoder.encode(line.slice(at * 2_048, (at + 1) * 2_048)),
    );
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = chunks.shift();
        if (chunk !== undefined) controller.enqueue(chunk);
      },
    });
    const large = new StateStoreClient({ baseUrl: "http://x", fetch: async () => new Response(body) });
    const changes = large.subscribe<string>("w", "k");
    const began = performance.now();
    expect((await changes.next()).value?.newValue).toHaveLength(8 * 1024 * 1024);
    // Looked through anew with each of its 4,096 parts it is 17 GB.
    expect(performance.now() - began).toBeLessThan(3_000);
    await changes.return(undefined);
  });

  it("sends its key; a refusal ends the loop with its error", async () => {
    const guarded = await serve("memory", { auth: apiKey() });
    try {
      const { secret } = await guarded.server.apiKeys.create({ identity: "ada", permissions: ["*"] });
      const ada = new StateStoreClient({ baseUrl: guarded.url, apiKey: secret });
      expect(await ada.set("w", "k", 1)).toEqual({ version: 1 });
      const caughtUp = ada.subscribe("w", "k", { afterVersion: 0 });
      expect((await caughtUp.next()).value).toEqual({ oldValue: null, newValue: 1, version: 1 });
      await caughtUp.return(undefined);
      const nobody = new StateStoreClient({ baseUrl: guarded.url });
      await expect(nobody.get("w", "k")).rejects.toMatchObject({ status: 401, code: "UNAUTHORIZED" });
      await expect(nobody.subscribe("w", "k").next()).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    } finally {
      await guarded.close();
    }
  });

  it("understands any stream of events, and answers that are none of the State Store's", async () => {
    const server = createServer((request, response) => {
      if (request.url?.endsWith("/stream") !== true) {
        response.writeHead(502).end("<html>");
        return;
      }
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(': hello\r\n\r\nid: 1\r\ndata:{"oldValue":null,\r\ndata: "newValue":"ü","version":1}\r');
      response.write("\n\r\n");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const other = new StateStoreClient({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    const changes = other.subscribe("w", "k");
    try {
      expect((await changes.next()).value).toEqual({ oldValue: null, newValue: "ü", version: 1 });
      await expect(other.get("w", "k")).rejects.toMatchObject({ status: 502, code: "HTTP_502" });
    } finally {
      await changes.return(undefined);
      server.closeAllConnections();
      server.close();
    }
  });
});
