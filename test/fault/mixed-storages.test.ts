import { afterEach, expect, it } from "vitest";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { createDatabase } from "../support/postgres.js";
import { readAudit } from "./audit.js";
import { type Cluster, eventually, follow, holes, openCluster, reportFault } from "./cluster.js";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const STEPS = 12;
const closers: (() => Promise<unknown> | void)[] = [];
let cluster: Cluster;
afterEach(async () => {
  await cluster.close();
  for (const close of closers.splice(0)) await close();
});

interface Done {
  readonly done: number;
}

/** Checkpointers beside a storage in Postgres. */
const CHECKPOINTERS: readonly (readonly [string, () => Promise<string>])[] = [
  [
    "SQLite",
    async () => {
      const dir = mkdtempSync(join(tmpdir(), "heddle-mixed-"));
      closers.push(() => rmSync(dir, { recursive: true, force: true }));
      return `sqlite:${join(dir, "checkpoints.db")}`;
    },
  ],
  [
    "another Postgres database",
    async () => {
      const { uri, drop } = await createDatabase();
      closers.push(drop);
      return uri;
    },
  ],
  [
    "MongoDB",
    async () => {
      const { uri, drop } = await createMongoDatabase();
      closers.push(drop);
      return uri;
    },
  ],
];

const usable = CHECKPOINTERS.filter(([name]) => name !== "MongoDB" || hasMongo());

it.each(usable)(
  "Postgres with %s: killed, then paused, no step is lost or written twice",
  async (name, checkpointer) => {
    cluster = await openCluster({ options: { checkpointer: await checkpointer() } });
    const api = await cluster.start({ role: "api" });
    const workers = [await cluster.start({ role: "worker" }), await cluster.start({ role: "worker" })];
    const { thread_id } = await api.client.threads.create();
    const run = await api.client.runs.create(thread_id, "audited", {
      input: { target: STEPS, ms: 100 },
      streamMode: ["updates"],
      durability: "sync",
    });
    const seen = follow(() => [api], thread_id, run.run_id);
    const starts = () =>
      readAudit(cluster.auditFile).filter((line) => line.runId === run.run_id && line.phase === "start");
    await eventually("some steps", () => starts().length >= 3);
    const killed = workers.find(({ pid }) => pid === starts()[0]?.pid);
    const zombie = workers.find((worker) => worker !== killed);
    if (killed === undefined || zombie === undefined) throw new Error("a worker that is not of the cluster");
    await killed.kill("SIGKILL");
    await eventually("the takeover of the killed one, and two steps", () => {
      return starts().filter((line) => line.pid === zombie.pid).length >= 2;
    });
    zombie.signal("SIGSTOP");
    const successor = await cluster.start({ role: "worker" });
    await eventually("the takeover of the paused one", () => starts().some((line) => line.pid === successor.pid));
    zombie.signal("SIGCONT");
    const events = await seen;
    expect(events.at(-1)).toMatchObject({ event: "end", data: { status: "success" } });
    expect(holes(events)).toEqual([]);
    const history = await api.client.threads.getHistory<Done>(thread_id, { limit: 1_000 });
    const steps = history.map(({ metadata }) => metadata?.step);
    expect(new Set(steps).size).toBe(steps.length);
    expect((await api.client.threads.getState<Done>(thread_id)).values.done).toBe(STEPS);
    // One attempt of each of the three workers, and with `sync` nothing again that was stored.
    const pids = [...new Set(starts().map((line) => line.pid))];
    expect(pids).toEqual([killed.pid, zombie.pid, successor.pid]);
    const repeated = starts().length - STEPS;
    expect(repeated).toBeLessThanOrEqual(2);
    reportFault(`Postgres with checkpoints in ${name}`, { "steps begun again": repeated });
  },
  90_000,
);
