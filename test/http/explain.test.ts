import { expect, test } from "vitest";
import { until } from "../support/server.js";
import { type HttpApp, openHttpApp } from "./app.js";

/** Four seconds of work. */
const long = { assistant_id: "slow", input: { ms: 10, steps: 400 }, config: { recursion_limit: 1000 } };

const create = async (app: HttpApp, threadId: string, body: object) =>
  ((await app.json("POST", `/threads/${threadId}/runs`, body)).body as { run_id: string }).run_id;
const explain = async (app: HttpApp, path: string) => (await app.json("GET", `${path}/explain`)).body;

const ISO = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string;

test("a run that waits names the one before it", async () => {
  const app = await openHttpApp();
  const threadId = await app.newThread();
  const first = await create(app, threadId, long);
  const second = await create(app, threadId, { ...long, after_seconds: 1 });
  const third = await create(app, threadId, { ...long, after_seconds: 2 });
  const waiting = await explain(app, `/runs/${third}`);
  expect(waiting).toEqual({
    run_id: third,
    thread_id: threadId,
    status: "pending",
    reason: expect.stringContaining(`run ${first} (running) and 1 more of this thread comes first`) as string,
    position: 2,
    blocking_run: { run_id: first, status: "running" },
    lease: null,
    attempt: 0,
    max_attempts: 3,
    next_attempt_at: null,
    due_at: ISO,
    cancel_requested: null,
    now: ISO,
  });
  expect(await explain(app, `/threads/${threadId}/runs/${second}`)).toMatchObject({ position: 1 });
  expect(await explain(app, `/runs/${first}`)).toMatchObject({
    status: "running",
    reason: expect.stringContaining("attempt 1 of 3") as string,
    position: 0,
    blocking_run: null,
    lease: { worker_id: expect.stringMatching(/./) as string, heartbeat_at: ISO, expires_at: ISO },
    attempt: 1,
  });
});

test("a run that has ended waits for nothing", async () => {
  const app = await openHttpApp({ worker: { maxAttempts: 7 } });
  const threadId = await app.newThread();
  const runId = await create(app, threadId, { assistant_id: "failing", input: {} });
  const path = `/threads/${threadId}/runs/${runId}`;
  await until(async () => ((await app.json("GET", path)).body as { status: string }).status === "error", "the end");
  expect(await explain(app, path)).toMatchObject({
    status: "error",
    reason: expect.stringMatching(/^The run has ended with status error: \w+/) as string,
    position: null,
    blocking_run: null,
    lease: null,
    max_attempts: 7,
  });
});

test("what is missing is 404, what is no id 422", async () => {
  const app = await openHttpApp();
  const [threadId, other] = [await app.newThread(), await app.newThread()];
  const runId = await create(app, threadId, long);
  const statusOf = async (path: string) => (await app.json("GET", path)).status;
  expect(await statusOf(`/threads/${threadId}/runs/${runId}/explain`)).toBe(200);
  expect(await statusOf(`/threads/${other}/runs/${runId}/explain`)).toBe(404);
  expect(await statusOf(`/threads/01a200be-4578-7232-be96-50610380c170/runs/${runId}/explain`)).toBe(404);
  expect(await statusOf("/runs/01a200be-4578-7232-be96-50610380c170/explain")).toBe(404);
  expect(await statusOf("/runs/nonsense/explain")).toBe(422);
});
