import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, it } from "vitest";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import { until } from "../support/server.js";
import { everyNth, withFaults } from "../support/faults.js";
import { openWrappedApp, FAST_STORAGES, type WrappedApp } from "./wrapped-app.js";

/** The fields of all answers that are looked at here. */
interface Body {
  readonly detail: string;
  readonly thread_id: string;
  readonly run_id: string;
  readonly status: string;
  readonly __error__?: object;
}

const post = async (
  app: WrappedApp,
  path: string,
  body: unknown = {},
): Promise<{ status: number; body: Body; id: string }> => {
  const request = new Request(`http://heddle${path}`, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });
  const response = await app.fetch(request);
  const text = await response.text();
  return { status: response.status, body: JSON.parse(text) as Body, id: response.headers.get("x-request-id") ?? "" };
};
const get = async (app: WrappedApp, path: string): Promise<{ status: number; body: Body }> => {
  const response = await app.fetch(new Request(`http://heddle${path}`));
  return { status: response.status, body: (await response.json()) as Body };
};

/** A fault is told with the request's id and without its inner text. */
function expectHonest(answer: { status: number; body: Body; id: string }): void {
  expect([200, 500, 503]).toContain(answer.status);
  if (answer.status === 200) return;
  expect(Object.keys(answer.body)).toEqual(["detail"]);
  expect(answer.body.detail).toContain(answer.id);
  expect(answer.body.detail).not.toContain("injected");
}

it.each(FAST_STORAGES.flatMap((storage) => [3, 5, 7].map((nth) => [storage, nth] as const)))(
  "every acknowledged run ends on %s while every %i. call of every storage fails",
  async (storage, nth) => {
    let isFaulty = false;
    const during = (decide: (name: string) => ReturnType<ReturnType<typeof everyNth>>) => (name: string) =>
      isFaulty ? decide(name) : "none";
    const isAsync = (name: string): boolean => !["append", "size", "isShared"].includes(name);
    const app = await openWrappedApp(storage, {
      store: (real) => ({ ...real, metadata: withFaults(real.metadata, during(everyNth(nth, () => true))) }),
      checkpointer: (real) => ({
        ...real,
        ...withFaultyDeletion(real, during(everyNth(nth, () => true))),
      }),
      eventLog: (real) => withFaults(real, during(everyNth(nth, isAsync))),
      options: { worker: { leaseMs: 1_000, pollMs: 50, maxAttempts: 50 } },
    });
    await app.start();
    isFaulty = true;
    const acknowledged: { threadId: string; runId: string; graphId: string }[] = [];
    const waited: Promise<{ status: number; body: Body; id: string }>[] = [];
    // Calls that come in step with the faults may be refused for a while.
    for (let i = 0; i < 400 && acknowledged.length < 20; i += 1) {
      const thread = await post(app, "/threads");
      expectHonest(thread);
      if (thread.status !== 200) continue;
      const graphId = i % 5 === 4 ? "failing" : "counter";
      const run = await post(app, `/threads/${thread.body.thread_id}/runs`, { assistant_id: graphId, input: {} });
      expectHonest(run);
      if (run.status === 200) acknowledged.push({ threadId: thread.body.thread_id, runId: run.body.run_id, graphId });
      if (i < 40) waited.push(post(app, "/runs/wait", { assistant_id: "counter", input: {} }));
    }
    expect(acknowledged.length).toBeGreaterThan(3);
    // Nothing hangs.
    for (const answer of await Promise.all(waited)) {
      // Its result was lost with its log.
      if (answer.status === 410) continue;
      expectHonest(answer.body.__error__ === undefined ? answer : { ...answer, status: 200 });
      const result = answer.status === 200 && answer.body.__error__ === undefined ? answer.body : { n: 3 };
      expect(result).toMatchObject({ n: 3 });
    }
    isFaulty = false;
    for (const { threadId, runId, graphId } of acknowledged) {
      const row = () => get(app, `/threads/${threadId}/runs/${runId}`);
      await until(async () => !["pending", "running"].includes((await row()).body.status), `the end of ${runId}`);
      expect((await row()).body.status).toBe(graphId === "failing" ? "error" : "success");
      expect((await get(app, `/threads/${threadId}`)).body.status).toBe(graphId === "failing" ? "error" : "idle");
      const joined = await get(app, `/threads/${threadId}/runs/${runId}/join`);
      expect(joined.status).toBe(200);
      const result = graphId === "failing" ? { __error__: {} } : { n: 3, log: ["one", "two", "three"] };
      expect(joined.body).toMatchObject(result);
    }
  },
  90_000,
);

/** The saver itself stays whole: a graph's own failure to save is an error of its run. */
function withFaultyDeletion(real: Checkpointer, decide: Parameters<typeof withFaults>[1]): Partial<Checkpointer> {
  const { deleteRun, deleteThread, copyThread } = withFaults(real, decide);
  return { deleteRun, deleteThread, copyThread };
}

const LOCKER = `
  const Database = require("better-sqlite3");
  const db = new Database(process.argv[1]);
  db.exec("BEGIN IMMEDIATE");
  console.log("locked");
  setTimeout(() => { db.exec("COMMIT"); db.close(); }, Number(process.argv[2]));
`;

it("waits for another process that locks the SQLite file, and loses nothing", async () => {
  const app = await openWrappedApp("sqlite");
  await app.start();
  const thread = await post(app, "/threads");
  const path = `/threads/${thread.body.thread_id}`;
  const running = await post(app, `${path}/runs`, { assistant_id: "slow", input: { ms: 20, steps: 5 } });
  // The event loop may stand still from the moment of the lock on.
  const startedAt = performance.now();
  const locker = spawn(process.execPath, ["-e", LOCKER, app.file, "2000"], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(locker, "exit");
  await once(locker.stdout, "data");
  const answers = await Promise.all([
    post(app, "/threads"),
    post(app, "/runs/wait", { assistant_id: "counter", input: {} }),
    post(app, `${path}/runs`, { assistant_id: "counter", input: {} }),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(answers[1].body).toMatchObject({ n: 3 });
  expect(performance.now() - startedAt).toBeGreaterThan(1_900);
  expect(await exited).toEqual([0, null]);
  for (const runId of [running.body.run_id, answers[2].body.run_id]) {
    await until(async () => (await get(app, `${path}/runs/${runId}`)).body.status === "success", "the runs");
  }
  expect(app.log.filter(({ level }) => level === "error")).toEqual([]);
});
