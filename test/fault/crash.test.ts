import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { collect, until } from "../support/server.js";
import { type ServedProcess, serve } from "./process.js";

let dir = "";
let running: ServedProcess[] = [];
const start = async (): Promise<ServedProcess> => {
  const server = await serve(join(dir, "heddle.db"));
  running.push(server);
  return server;
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-crash-"));
  running = [];
});
afterEach(async () => {
  for (const server of running) await server.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

interface Steps {
  done: number;
}

it("continues a run after kill -9 from its last checkpoint, and its stream can be joined", async () => {
  const first = await start();
  const { thread_id } = await first.client.threads.create();
  const run = await first.client.runs.create(thread_id, "steps", {
    input: { ms: 60, steps: 12 },
    streamMode: "updates",
    streamResumable: true,
  });
  await until(async () => ((await first.client.threads.getState<Steps>(thread_id)).values.done ?? 0) >= 4, "4 steps");
  await first.kill("SIGKILL");

  const second = await start();
  const events = await collect(
    second.client.runs.joinStream(thread_id, run.run_id, { lastEventId: "-1" }) as AsyncIterable<{
      id?: string;
      event: string;
      data: { attempt?: number };
    }>,
  );
  const attempts = events.filter((e) => e.event === "metadata").map((e) => e.data.attempt);
  expect(attempts).toEqual([1, 2]);
  expect(events.at(-1)).toMatchObject({ event: "end", data: { status: "success" } });
  expect(events.map((e) => Number(e.id))).toEqual(events.map((_, i) => i));
  // No step of a finished superstep ran twice: at most the one in flight is repeated.
  const updates = events.filter((e) => e.event === "updates").length;
  expect(updates).toBeGreaterThanOrEqual(12);
  expect(updates).toBeLessThanOrEqual(13);
  expect((await second.client.threads.getState<Steps>(thread_id)).values.done).toBe(12);
  expect((await second.client.runs.get(thread_id, run.run_id)).status).toBe("success");
  expect((await second.client.threads.get(thread_id)).status).toBe("idle");
});

it("loses no acknowledged thread, run, checkpoint or interrupt when it is killed at random moments", async () => {
  const acknowledged: { threadId: string; runId: string; finished: boolean }[] = [];
  const interrupted: string[] = [];
  // Two kills: a third one of the same run would be one attempt too many.
  for (let round = 0; round < 2; round++) {
    const { client, kill } = await start();
    const asked = await client.threads.create();
    await client.runs.wait(asked.thread_id, "ask", { input: {} });
    interrupted.push(asked.thread_id);
    for (let i = 0; i < 6; i++) {
      const { thread_id } = await client.threads.create();
      const finished = i % 2 === 0;
      const payload = { input: { ms: finished ? 1 : 40, steps: finished ? 3 : 10 } };
      const run = await client.runs.create(thread_id, "steps", payload);
      if (finished) await client.runs.join(thread_id, run.run_id);
      acknowledged.push({ threadId: thread_id, runId: run.run_id, finished });
    }
    await kill("SIGKILL");
  }
  const { client } = await start();
  for (const { threadId, runId, finished } of acknowledged) {
    if (!finished) await client.runs.join(threadId, runId);
    expect((await client.runs.get(threadId, runId)).status).toBe("success");
    const state = await client.threads.getState<Steps>(threadId);
    expect(state.values.done).toBe(finished ? 3 : 10);
    expect((await client.threads.get(threadId)).status).toBe("idle");
  }
  for (const threadId of interrupted) {
    expect((await client.threads.get(threadId)).status).toBe("interrupted");
    expect(await client.runs.wait(threadId, "ask", { command: { resume: "fine" } })).toEqual({ answer: "fine" });
  }
});

it("drains on SIGTERM: what can finish does, what cannot is handed back without counting the attempt", async () => {
  const first = await start();
  const quick = await first.client.threads.create();
  const long = await first.client.threads.create();
  const quickRun = await first.client.runs.create(quick.thread_id, "steps", { input: { ms: 30, steps: 5 } });
  const longRun = await first.client.runs.create(long.thread_id, "steps", { input: { ms: 600, steps: 20 } });
  await until(
    async () => (await first.client.runs.get(long.thread_id, longRun.run_id)).status === "running",
    "a start",
  );
  const stopped = first.kill("SIGTERM");
  const answer = (): Promise<number | "closed"> =>
    fetch(`${first.url}/ok?check_db=1`).then(
      (response) => response.status,
      () => "closed" as const,
    );
  // A signal arrives when it arrives; from then on nothing is healthy.
  await until(async () => [503, "closed"].includes(await answer()), "the beginning of the end");
  expect(await stopped).toBe(0);

  const second = await start();
  expect((await second.client.runs.get(quick.thread_id, quickRun.run_id)).status).toBe("success");
  const resumed = await collect(
    second.client.runs.joinStream(long.thread_id, longRun.run_id, { lastEventId: "-1" }) as AsyncIterable<{
      event: string;
      data: { attempt?: number };
    }>,
  ).then((events) => events.filter((e) => e.event === "metadata").map((e) => e.data.attempt));
  expect(resumed).toEqual([1, 1]);
  expect((await second.client.threads.getState<Steps>(long.thread_id)).values.done).toBe(20);
}, 60_000);
