import { type AddressInfo, type Server, connect, createServer } from "node:net";
import { Client } from "@langchain/langgraph-sdk";
import { afterEach, describe, expect, it } from "vitest";
import { STORAGES, type TestServer, startServer } from "../../support/server.js";

interface Line {
  readonly url: string;
  /** First lines of the requests that went through. */
  readonly requests: string[];
  close(): void;
}

/** A way to the server whose first answer breaks off after `dropAfterBytes`; `"head"`: right after its headers. */
async function brokenLine(serverUrl: string, dropAfterBytes: number | "head"): Promise<Line> {
  const { port, hostname } = new URL(serverUrl);
  const requests: string[] = [];
  let left = dropAfterBytes === "head" ? 1 : dropAfterBytes;
  const line: Server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.on("data", (data) => {
      requests.push(data.toString().split("\r\n", 1)[0] ?? "");
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      const cut = left > 0 && dropAfterBytes === "head" ? data.indexOf("\r\n\r\n") + 4 : data.length;
      client.write(data.subarray(0, cut));
      if (left <= 0) return;
      left -= data.length;
      if (left <= 0) client.destroySoon();
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on("close", () => other.destroy());
      one.on("error", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => line.listen(0, "127.0.0.1", resolve));
  const { port: own } = line.address() as AddressInfo;
  return { url: `http://127.0.0.1:${own}`, requests, close: () => void line.close() };
}

describe.each(STORAGES)("reconnecting by Location on %s", (storage) => {
  let server: TestServer | undefined;
  let line: Line | undefined;
  afterEach(async () => {
    line?.close();
    await server?.close();
  });

  it.each(["", "/agent/v1"])("§2.1.2 the JS SDK goes on where it was cut off, below %j", async (basePath) => {
    server = await startServer(storage, basePath === "" ? {} : { http: { basePath } });
    line = await brokenLine(server.url, 1_000);
    const client = new Client({ apiUrl: line.url + basePath, callerOptions: { maxRetries: 0 } });
    const direct = new Client({ apiUrl: server.url + basePath });
    const { thread_id: threadId } = await direct.threads.create();
    const ids: (string | undefined)[] = [];
    let runId = "";
    const events = client.runs.stream(threadId, "slow", {
      input: { ms: 100, steps: 4 },
      streamMode: ["values", "custom"],
      onRunCreated: (run) => (runId = run.run_id),
    });
    for await (const event of events) ids.push((event as { id?: string }).id);
    // metadata, the input, four steps with progress and values, end: each once and in order.
    expect(ids).toEqual(Array.from({ length: 11 }, (_, i) => String(i)));
    expect(line.requests).toEqual([
      `POST ${basePath}/threads/${threadId}/runs/stream HTTP/1.1`,
      `GET ${basePath}/threads/${threadId}/runs/${runId}/stream?last_event_id=-1 HTTP/1.1`,
    ]);
    // After a reload: the run id is known from Content-Location, and all of it is there.
    const again: (string | undefined)[] = [];
    for await (const event of direct.runs.joinStream(threadId, runId, { lastEventId: "-1" })) again.push(event.id);
    expect(again).toEqual(ids);
  });

  it("§2.1.2 a client cut off before its first event misses nothing", async () => {
    server = await startServer(storage);
    line = await brokenLine(server.url, "head");
    const client = new Client({ apiUrl: line.url, callerOptions: { maxRetries: 0 } });
    const { thread_id: threadId } = await server.client.threads.create();
    const names: string[] = [];
    const input = { ms: 20, steps: 2 };
    for await (const { event } of client.runs.stream(threadId, "slow", { input })) names.push(event);
    expect(names).toEqual(["metadata", "values", "values", "values", "end"]);
    expect(line.requests).toHaveLength(2);
  });

  it("§2.1.2 a stateless run that ends while its client is cut off gives it the rest", async () => {
    server = await startServer(storage);
    line = await brokenLine(server.url, 900);
    const client = new Client({ apiUrl: line.url, callerOptions: { maxRetries: 0 } });
    const names: string[] = [];
    // Shorter than the SDK's first delay of a second.
    const input = { ms: 100, steps: 3 };
    for await (const { event } of client.runs.stream(null, "slow", { input })) names.push(event);
    expect(names).toEqual(["metadata", "values", "values", "values", "values", "end"]);
    expect(line.requests).toHaveLength(2);
  });

  it("§2.9.4 a stream that is cut off cancels its run when it asked for that", async () => {
    server = await startServer(storage);
    line = await brokenLine(server.url, 600);
    const client = new Client({ apiUrl: line.url, callerOptions: { maxRetries: 0 } });
    const { thread_id: threadId } = await server.client.threads.create();
    const names: string[] = [];
    const input = { ms: 5_000, steps: 2 };
    const events = client.runs.stream(threadId, "slow", { input, onDisconnect: "cancel", streamResumable: true });
    for await (const { event } of events) names.push(event);
    expect(names).toEqual(["metadata", "values", "end"]);
    expect((await server.client.runs.list(threadId))[0]?.status).toBe("interrupted");
  });
});
