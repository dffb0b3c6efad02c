import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeLangSmith, startFakeLangSmith, urlOf } from "../support/fake-langsmith.js";
import { type Call, framesOf, requester } from "../support/requests.js";
import { STORAGES, type TestServer, collect, startServer, statusOf } from "../support/server.js";

const input = { n: 0 };
let langsmith: FakeLangSmith;
beforeAll(async () => void (langsmith = await startFakeLangSmith((key) => (key === "refused" ? 403 : 200))));
afterAll(() => langsmith.close());

describe.each(STORAGES)("feedback_keys by the JS SDK on %s", (storage) => {
  let server: TestServer;
  let call: Call;
  beforeAll(async () => {
    // A key is what counts, not whether runs are traced.
    server = await startServer(storage, { env: { LANGSMITH_API_KEY: "test-key", LANGSMITH_TRACING: "false" } });
    call = requester(server.url);
  });
  afterAll(() => server.close());

  const newThread = async (): Promise<string> => (await server.client.threads.create()).thread_id;
  const urls = (runId: string, ...keys: string[]) =>
    Object.fromEntries(keys.map((key) => [key, urlOf({ run_id: runId, feedback_key: key })]));

  it("streams feedback after all other events", async () => {
    for (const threadId of [await newThread(), null]) {
      const events = (await collect(
        server.client.runs.stream(threadId as string, "counter", {
          input,
          streamMode: "updates",
          feedbackKeys: ["a", "b"],
        }),
      )) as { event: string; data: { run_id: string } }[];
      expect(events.map(({ event }) => event)).toEqual([
        "metadata",
        "updates",
        "updates",
        "updates",
        "feedback",
        "end",
      ]);
      expect(events.at(-2)!.data).toEqual(urls(events[0]!.data.run_id, "a", "b"));
      expect(events.at(-1)!.data).toMatchObject({ status: "success" });
    }
  });

  it("adds __feedback__ to the document of wait and join, and to nothing that is stored", async () => {
    const threadId = await newThread();
    const body = { assistant_id: "counter", input, feedback_keys: ["a"] };
    const waited = await call("POST", `/threads/${threadId}/runs/wait`, body);
    const [run] = await server.client.runs.list(threadId);
    const document = { n: 3, log: ["one", "two", "three"], __feedback__: urls(run!.run_id, "a") };
    expect(waited.json).toEqual(document);
    expect(await server.client.runs.join(threadId, run!.run_id)).toEqual(document);
    expect(await server.client.threads.getState(threadId)).toMatchObject({ values: { n: 3 } });
    expect((await call("GET", `/threads/${threadId}`)).text).not.toContain("__feedback__");

    const plain = await call("POST", `/threads/${threadId}/runs/wait`, { assistant_id: "counter", input });
    expect(plain.json).not.toHaveProperty("__feedback__");
    const updates = await call("POST", `/threads/${threadId}/runs/wait`, { ...body, stream_mode: "updates" });
    expect(updates.json).toMatchObject({ n: 3, __feedback__: { a: expect.any(String) as string } });
  });

  it("is kept with a background run, whose listeners get it later", async () => {
    const threadId = await newThread();
    const run = await server.client.runs.create(threadId, "counter", { input, feedbackKeys: ["later"] });
    await server.client.runs.join(threadId, run.run_id);
    const { text } = await call("GET", `/threads/${threadId}/runs/${run.run_id}/stream`, undefined, {
      "last-event-id": "-1",
    });
    expect(framesOf(text).at(-2)).toMatchObject({ event: "feedback", data: urls(run.run_id, "later") });
  });

  it("leaves a run alone whose feedback URL LangSmith refuses", async () => {
    const threadId = await newThread();
    const body = { assistant_id: "counter", input, feedback_keys: ["refused"] };
    const { json } = await call("POST", `/threads/${threadId}/runs/wait`, body);
    expect(json).toEqual({ n: 3, log: ["one", "two", "three"] });
    expect((await server.client.runs.list(threadId)).map(({ status }) => status)).toEqual(["success"]);
  });

  it("is refused by name without a LangSmith key, and nothing is created", async () => {
    const keyless = await startServer(storage);
    try {
      const { client } = keyless;
      const { thread_id } = await client.threads.create();
      const payload = { input, feedbackKeys: ["a"] };
      expect(await statusOf(client.runs.create(thread_id, "counter", payload))).toBe(422);
      expect(await statusOf(collect(client.runs.stream(thread_id, "counter", payload)))).toBe(422);
      const send = requester(keyless.url);
      for (const path of [`/threads/${thread_id}/runs/wait`, "/runs", "/runs/stream", "/runs/wait", "/runs/batch"]) {
        const run = { assistant_id: "counter", input, feedback_keys: ["a"] };
        const { status, json } = await send("POST", path, path === "/runs/batch" ? [run] : run);
        expect([path, status, json.detail]).toEqual([
          path,
          422,
          expect.stringMatching(/^feedback_keys .*LangSmith key/),
        ]);
      }
      expect(await client.runs.list(thread_id)).toEqual([]);
      expect(await client.threads.count({})).toBe(1);
    } finally {
      await keyless.close();
    }
  });
});
