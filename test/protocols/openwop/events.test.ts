import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { framesOf } from "../../support/requests.js";
import { type Json, type Served, serve, typesOf } from "./served.js";

const STORAGES = ["memory", "sqlite", "postgres"] as const;

const textOf = ({ value }: { readonly value?: Uint8Array | undefined }): string => new TextDecoder().decode(value);

describe.each(STORAGES)("events on %s", (storage) => {
  let served: Served;
  let done: string;
  let log: readonly Json[];
  beforeAll(async () => {
    served = await serve(storage);
    done = await served.ann.start("conformance-multi-node");
    await served.ann.reaches(done, "completed");
    log = await served.ann.log(done);
  });
  afterAll(() => served.close());

  const poll = (runId: string, query: string) => served.ann.send("GET", `/v1/runs/${runId}/events/poll${query}`);

  test("18: a poll is repeatable, and gives what comes after", async () => {
    expect((await poll(done, "")).body).toEqual({ events: log, isComplete: true });
    expect((await poll(done, "")).body).toEqual({ events: log, isComplete: true });
    for (let after = 0; after < log.length; after += 1) {
      expect((await poll(done, `?lastSequence=${after}`)).body).toEqual({
        events: log.slice(after + 1),
        isComplete: true,
      });
    }
    expect(await poll(done, "?lastSequence=1000&timeout=1")).toMatchObject({
      status: 200,
      body: { events: [], isComplete: true },
    });
  });

  test.each(["lastSequence=-1", "lastSequence=abc", "lastSequence=1.5", "timeout=0", "timeout=61", "timeout=x"])(
    "18: a poll with %s is refused",
    async (query) => {
      expect(await poll(done, `?${query}`)).toMatchObject({ status: 400, body: { error: "validation_error" } });
    },
  );

  test("18: a long poll returns when an event arrives", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-delay", { inputs: { delayMs: 400 } });
    let after = -1;
    const began = performance.now();
    for (let polls = 0; polls < 20; polls += 1) {
      const { body } = await poll(runId, after < 0 ? "?timeout=30" : `?lastSequence=${after}&timeout=30`);
      expect(body.events.length).toBeGreaterThan(0);
      after = body.events.at(-1).sequence;
      if (body.isComplete) break;
    }
    expect(performance.now() - began).toBeGreaterThan(350);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect((await ann.log(runId)).at(-1).sequence).toBe(after);
  });

  test("18: a long poll without news ends when its time does", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-approval");
    await ann.reaches(runId, "waiting-approval");
    const { sequence } = (await ann.log(runId)).at(-1);
    const began = performance.now();
    expect((await poll(runId, `?lastSequence=${sequence}&timeout=1`)).body).toEqual({ events: [], isComplete: false });
    expect(performance.now() - began).toBeGreaterThan(900);
  });

  test("19: a stream is made of whole events, and ends with the run", async () => {
    const response = await served.ann.open(done, "?streamMode=debug");
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const frames = framesOf(await response.text());
    expect(frames.map(({ data }) => data)).toEqual(log);
    for (const { id, event, data } of frames) {
      expect(id).toBe(String(data.sequence));
      expect(event).toBe(data.type);
    }
  });

  test("19: a stream that is open sees the run to its end", async () => {
    const { ann } = served;
    const runId = await ann.start("counting", { inputs: { steps: 5, stepMs: 20 } });
    const frames = await ann.stream(runId, "?streamMode=debug");
    expect(frames.map(({ data }) => data)).toEqual(await ann.log(runId));
    expect(frames.at(-1)?.event).toBe("run.completed");
  });

  test("20: a stream goes on after the last event that was seen", async () => {
    for (let after = 0; after < log.length; after += 1) {
      const frames = await served.ann.stream(done, "?streamMode=debug", { "last-event-id": String(after) });
      expect(frames.map(({ data }) => data)).toEqual(log.slice(after + 1));
    }
  });

  test("21: updates is what a stream shows by default, debug is all", async () => {
    const types = (await served.ann.stream(done)).map(({ event }) => event);
    expect(types).toEqual(typesOf(log).filter((type) => type !== "node.started"));
    expect((await served.ann.stream(done, "?streamMode=updates")).map(({ event }) => event)).toEqual(types);
    expect((await served.ann.stream(done, "?streamMode=debug")).map(({ event }) => event)).toContain("node.started");
  });

  test("22: values are snapshots and nothing else", async () => {
    const frames = await served.ann.stream(done, "?streamMode=values");
    expect(new Set(frames.map(({ event }) => event))).toEqual(new Set(["state.snapshot"]));
    const { data } = frames.at(-1) as { readonly data: Json };
    expect(data).toMatchObject({ type: "state.snapshot", runId: done, sequence: log.length - 1 });
    expect(data.payload).toEqual(await served.ann.snapshot(done));
  });

  test.each(["nonsense", "values,updates", "updates,,debug", "", "updates,nonsense"])(
    "23: streamMode=%s is refused, also where JSON is wanted",
    async (mode) => {
      for (const accept of ["text/event-stream", "application/json"]) {
        const answer = await served.ann.send("GET", `/v1/runs/${done}/events?streamMode=${mode}`, undefined, {
          accept,
        });
        expect(answer).toMatchObject({
          status: 400,
          body: {
            error: "unsupported_stream_mode",
            details: { supported: ["updates", "values", "messages", "debug"] },
          },
        });
      }
    },
  );

  test("24: updates and messages go together", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-stream-text");
    await ann.reaches(runId, "completed");
    const both = await ann.stream(runId, "?streamMode=updates,messages");
    const types = both.map(({ event }) => event);
    expect(types).toContain("ai.message.chunk");
    expect(types).toContain("run.completed");
    const chunks = await ann.stream(runId, "?streamMode=messages");
    expect(new Set(chunks.map(({ event }) => event))).toEqual(new Set(["ai.message.chunk"]));
    const [first] = chunks;
    expect(first?.data.payload).toMatchObject({ runId, chunk: expect.any(String), isLast: false });
    expect(chunks.at(-1)?.data.payload.isLast).toBe(true);
    expect(chunks.length).toBeGreaterThan(2);
  });

  test("25: batches are the same events in arrays", async () => {
    const { ann } = served;
    const runId = await ann.start("counting", { inputs: { steps: 6, stepMs: 30 } });
    const began = performance.now();
    const frames = await ann.stream(runId, "?streamMode=debug&bufferMs=500");
    expect(new Set(frames.map(({ event }) => event))).toEqual(new Set(["batch"]));
    expect(frames.flatMap(({ data }) => data)).toEqual(await ann.log(runId));
    expect(frames.some(({ data }) => data.length > 1)).toBe(true);
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  test("25: the end of a run is not waited with", async () => {
    const began = performance.now();
    const frames = await served.ann.stream(done, "?streamMode=debug&bufferMs=5000");
    expect(frames.flatMap(({ data }) => data)).toEqual(log);
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  test("25: that a run waits is not waited with", async () => {
    const { ann } = served;
    const runId = await ann.start("conformance-approval");
    const began = performance.now();
    const response = await ann.open(runId, "?streamMode=debug&bufferMs=5000");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    while (!text.includes('"node.suspended"')) text += textOf(await reader.read());
    expect(performance.now() - began).toBeLessThan(2_000);
    await reader.cancel();
  });

  test("25: the end of a run reaches a client that is slow to read, too", async () => {
    const { ann, server } = served;
    const runId = await ann.start("conformance-cancellable");
    await ann.reaches(runId, "running");
    const headers = { authorization: `Bearer ${ann.secret}`, accept: "text/event-stream" };
    const path = `/openwop/v1/runs/${runId}/events?streamMode=debug&bufferMs=50`;
    // In this process nothing is read ahead of the client.
    const { body } = await server.fetch(new Request(`http://heddle${path}`, { headers }));
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    while (!text.includes("event: batch")) text += textOf(await reader.read());
    await ann.send("POST", `/v1/runs/${runId}/cancel`, {});
    const whole = await ann.log(runId);
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += textOf(part);
    expect(framesOf(text).flatMap(({ data }) => data)).toEqual(whole);
  });

  test.each(["5001", "-1", "x"])("25: bufferMs=%s is refused", async (bufferMs) => {
    const answer = await served.ann.send("GET", `/v1/runs/${done}/events?bufferMs=${bufferMs}`);
    expect(answer).toMatchObject({ status: 400, body: { error: "validation_error" } });
  });

  test("26: an idle stream gets comments, again and again", async () => {
    const beating = await serve(storage, { streaming: { heartbeatMs: 200 } });
    const { ann } = beating;
    const runId = await ann.start("conformance-approval");
    await ann.reaches(runId, "waiting-approval");
    const { sequence } = (await ann.log(runId)).at(-1);
    const response = await ann.open(runId, "", { "last-event-id": String(sequence) });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (let comments = 0; comments < 3; comments += 1) {
      expect(new TextDecoder().decode((await reader.read()).value)).toMatch(/^:/);
    }
    await reader.cancel();
    await beating.close();
  });
});
