import { afterAll, beforeAll, expect, it } from "vitest";
import { statusOf } from "../support/server.js";
import type { ServedProcess } from "../support/served-process.js";
import { readAudit } from "./audit.js";
import { type Cluster, eventually, follow, holes, openCluster } from "./cluster.js";

interface Done {
  readonly done: number;
}

/** Two seconds of work, in the process that does not serve. */
const long = { input: { target: 20, ms: 100 } };
const short = { input: { target: 1, ms: 1 } };

let cluster: Cluster;
let api: ServedProcess;
let worker: ServedProcess;
beforeAll(async () => {
  cluster = await openCluster();
  api = await cluster.start({ role: "api" });
  worker = await cluster.start({ role: "worker" });
}, 60_000);
afterAll(() => cluster.close());

const stepsOf = (runId: string) => readAudit(cluster.auditFile).filter((line) => line.runId === runId);
const done = async (threadId: string) => (await api.client.threads.getState<Done>(threadId)).values.done;

/** A run that the worker has done a step of. */
async function running(): Promise<{ readonly threadId: string; readonly runId: string }> {
  const { thread_id: threadId } = await api.client.threads.create();
  const { run_id: runId } = await api.client.runs.create(threadId, "audited", long);
  await eventually("a step", () => stepsOf(runId).some(({ phase }) => phase === "end"));
  await eventually("a stored step", async () => (await done(threadId)) > 0);
  return { threadId, runId };
}

/** The run does no more steps, and did all of them in the other process. */
async function expectStopped(runId: string): Promise<void> {
  const steps = stepsOf(runId);
  expect(new Set(steps.map(({ pid }) => pid))).toEqual(new Set([worker.pid]));
  expect(steps.filter(({ phase }) => phase === "start").length).toBeLessThan(20);
  // The step that was under way may end; a next one would have started by then.
  await new Promise((resolve) => setTimeout(resolve, 20));
  const begun = stepsOf(runId).filter(({ phase }) => phase === "start").length;
  await eventually("time for two more steps", () => Date.now() > (steps.at(-1)?.at ?? 0) + 300);
  expect(stepsOf(runId).filter(({ phase }) => phase === "start")).toHaveLength(begun);
}

it("cancels what another process executes, and keeps its steps", async () => {
  const { threadId, runId } = await running();
  const askedAt = Date.now();
  await api.client.runs.cancel(threadId, runId, true);
  expect(Date.now() - askedAt).toBeLessThan(2_000);
  expect((await api.client.runs.get(threadId, runId)).status).toBe("interrupted");
  expect(await done(threadId)).toBeGreaterThan(0);
  await expectStopped(runId);
});

it("rolls back what another process executes: run and checkpoints are gone", async () => {
  const { threadId, runId } = await running();
  await api.client.runs.cancel(threadId, runId, true, "rollback");
  expect(await statusOf(api.client.runs.get(threadId, runId))).toBe(404);
  expect(await api.client.threads.getHistory(threadId)).toEqual([]);
  expect((await api.client.threads.get(threadId)).status).toBe("idle");
  await expectStopped(runId);
});

it.each([
  // The steps of the first run stay, and the second does what is left of both; or they are gone.
  { strategy: "interrupt", first: "interrupted", fewest: 21, most: 21 },
  { strategy: "rollback", first: 404, fewest: 1, most: 1 },
] as const)("double texting with $strategy reaches the other process", async ({ strategy, first, fewest, most }) => {
  const { threadId, runId } = await running();
  const next = await api.client.runs.create(threadId, "audited", { ...short, multitaskStrategy: strategy });
  await api.client.runs.join(threadId, next.run_id);
  expect((await api.client.runs.get(threadId, next.run_id)).status).toBe("success");
  const outcome = api.client.runs.get(threadId, runId).then(
    ({ status }) => status,
    (error: unknown) => (error as { status?: number }).status,
  );
  expect(await outcome).toBe(first);
  expect(await done(threadId)).toBeGreaterThanOrEqual(fewest);
  expect(await done(threadId)).toBeLessThanOrEqual(most);
  // No step of the first after the first step of the second.
  const order = readAudit(cluster.auditFile).filter((line) => line.threadId === threadId && line.phase === "start");
  const firstOfNext = order.findIndex((line) => line.runId === next.run_id);
  expect(order.slice(firstOfNext).map((line) => line.runId)).not.toContain(runId);
  expect(new Set(order.map(({ pid }) => pid))).toEqual(new Set([worker.pid]));
});

it("joins and streams what another process executes, while it does", async () => {
  const { threadId, runId } = await running();
  const [values, events] = await Promise.all([
    api.client.runs.join(threadId, runId),
    follow(() => [api], threadId, runId),
  ]);
  expect(values).toMatchObject({ done: 20 });
  expect(events.at(-1)).toMatchObject({ event: "end", data: { status: "success" } });
  expect(holes(events)).toEqual([]);
});

it("explains a run of another process, and one that waits for it", async () => {
  const { threadId, runId } = await running();
  const next = await api.client.runs.create(threadId, "audited", short);
  const explain = async (id: string): Promise<unknown> => (await fetch(`${api.url}/runs/${id}/explain`)).json();
  expect(await explain(runId)).toMatchObject({
    status: "running",
    position: 0,
    blocking_run: null,
    // Names host and process.
    lease: { worker_id: expect.stringContaining(String(worker.pid)) as string },
    attempt: 1,
  });
  expect(await explain(next.run_id)).toMatchObject({
    status: "pending",
    position: 1,
    blocking_run: { run_id: runId, status: "running" },
    lease: null,
  });
  await api.client.runs.cancelMany({ threadId, runIds: [runId, next.run_id] });
});

it("ends what another process executes as timeout", async () => {
  const { thread_id: threadId } = await api.client.threads.create();
  const response = await fetch(`${api.url}/threads/${threadId}/runs`, {
    method: "POST",
    body: JSON.stringify({ assistant_id: "audited", input: long.input, timeout_seconds: 0.5 }),
  });
  const { run_id: runId } = (await response.json()) as { run_id: string };
  const events = await follow(() => [api], threadId, runId);
  expect(events.at(-1)).toMatchObject({ event: "error", data: { error: "RunTimeout" } });
  expect((await api.client.runs.get(threadId, runId)).status).toBe("timeout");
  expect((await api.client.threads.get(threadId)).status).toBe("error");
  await expectStopped(runId);
});
