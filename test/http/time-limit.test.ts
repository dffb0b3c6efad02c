import { expect, test } from "vitest";
import { framesOf, openHttpApp } from "./app.js";

/** Four seconds of work, which its run is not given. */
const long = { assistant_id: "slow", input: { ms: 10, steps: 400 }, config: { recursion_limit: 1000 } };
const error = { error: "RunTimeout", message: "The run took longer than 0.05 s and was stopped." };

test("ends a run as timeout, and its thread as error", async () => {
  const app = await openHttpApp();
  const threadId = await app.newThread();
  const startedAt = performance.now();
  const streamed = await app.request("POST", `/threads/${threadId}/runs/stream`, { ...long, timeout_seconds: 0.05 });
  const frames = framesOf(await streamed.text());
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  expect(frames.at(-1)).toMatchObject({ event: "error", data: error });
  const [run] = (await app.json("GET", `/threads/${threadId}/runs`)).body as { run_id: string }[];
  expect(run).toMatchObject({ status: "timeout", kwargs: { timeout_seconds: 0.05 } });
  expect((await app.json("GET", `/threads/${threadId}`)).body).toMatchObject({ status: "error" });
  // Whoever asks later is told the same.
  expect((await app.json("GET", `/threads/${threadId}/runs/${run?.run_id}/join`)).body).toEqual({ __error__: error });
});

test("lets no run take longer than the server's limit, and the next one of its thread start", async () => {
  const app = await openHttpApp({ worker: { runTimeoutMs: 50 } });
  const threadId = await app.newThread();
  const path = `/threads/${threadId}/runs/wait`;
  expect((await app.json("POST", path, { ...long, timeout_seconds: 60 })).body).toEqual({ __error__: error });
  const quick = { assistant_id: "echo", input: { messages: [{ role: "user", content: "hi" }] } };
  expect(JSON.stringify((await app.json("POST", path, quick)).body)).toContain("echo: hi");
  expect((await app.json("POST", "/runs/wait", long)).body).toEqual({ __error__: error });
});
