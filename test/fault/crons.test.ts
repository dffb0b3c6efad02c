import { MongoClient } from "mongodb";
import pg from "pg";
import { v5 } from "uuid";
import { afterEach, expect, it } from "vitest";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { createDatabase } from "../support/postgres.js";
import { readAudit } from "./audit.js";
import { type Cluster, eventually, openCluster, reportFault } from "./cluster.js";

const MINUTE_MS = 60_000;

interface Size {
  readonly processes: number;
  readonly crons: number;
  /** Minutes that each cron has missed: with `all` their ticks come one after the other, as fast as they go. */
  readonly missed: number;
  /** How many lines there are when a process is killed. */
  readonly kills: readonly number[];
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A database, and a way to set the clock of its crons back. */
interface Place {
  readonly uri: string;
  setNext(cronIds: readonly string[], at: number): Promise<void>;
}

async function onPostgres(): Promise<Place> {
  const { uri, drop } = await createDatabase();
  closers.push(drop);
  return {
    uri,
    async setNext(cronIds, at) {
      const client = new pg.Client({ connectionString: uri });
      await client.connect();
      await client.query("UPDATE heddle_crons SET next_run_at = $1 WHERE cron_id = ANY ($2)", [at, cronIds]);
      await client.end();
    },
  };
}

async function onMongo(): Promise<Place> {
  const { uri, drop } = await createMongoDatabase();
  closers.push(drop);
  return {
    uri,
    async setNext(cronIds, at) {
      const client = await MongoClient.connect(uri);
      const crons = client.db().collection<{ _id: string }>("heddle_crons");
      await crons.updateMany({ _id: { $in: [...cronIds] } }, { $set: { nextRunAt: at, nextRunKey: at } });
      await client.close();
    },
  };
}

/** When another worker's lines are so many, one of the processes is killed, and another one started. */
async function killAt(cluster: Cluster, counts: readonly number[], killed: Set<number>): Promise<void> {
  for (const [i, count] of counts.entries()) {
    await eventually(`${count} lines`, () => readAudit(cluster.auditFile).length >= count, 60_000);
    const victim = cluster.alive()[i % cluster.alive().length];
    if (victim === undefined) continue;
    killed.add(victim.pid);
    await victim.kill("SIGKILL");
    await cluster.start();
  }
}

/**
 * Every tick of every cron has one run, and every run is done once: but for those that were under way in a process that was killed,
 * which another one does again.
 */
async function auditTicks(place: Place, { processes, crons: count, missed, kills }: Size) {
  const crons = { missedTicks: "all", maxMissedTicks: 1_000 } as const;
  const cluster = await openCluster({ uri: place.uri, options: { worker: { concurrency: 4 }, crons } });
  closers.push(() => cluster.close());
  const [api] = await Promise.all([
    cluster.start({ role: "api" }),
    ...Array.from({ length: processes }, () => cluster.start({ role: "worker" })),
  ]);
  if (api === undefined) throw new Error("no process was started");
  const made = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      api.client.crons.create("audited", {
        schedule: "* * * * *",
        input: { target: 1, ms: 10 },
        // Half of them leave nothing behind that a second run of the same tick would be recognised by.
        onRunCompleted: i % 2 === 0 ? "delete" : "keep",
      }),
    ),
  );
  const cronIds = made.map((cron) => cron.cron_id);
  const first = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - missed * MINUTE_MS;
  await place.setNext(cronIds, first);

  const killed = new Set<number>();
  const workers: Cluster = { ...cluster, alive: () => cluster.alive().filter(({ pid }) => pid !== api.pid) };
  const startWorker: Cluster["start"] = () => cluster.start({ role: "worker" });
  await killAt({ ...workers, start: startWorker }, kills, killed);

  const nextOf = async (cronId: string): Promise<number> => {
    const cron = (await api.client.crons.search({ limit: 100 })).find((one) => one.cron_id === cronId);
    return Date.parse(cron?.next_run_date ?? "");
  };
  const expected = new Map<string, string>();
  for (const cronId of cronIds) {
    const next = await eventually(
      "the cron to be up to date",
      async () => {
        const at = await nextOf(cronId);
        return at > Date.now() ? at : null;
      },
      60_000,
    );
    await api.client.crons.update(cronId, { enabled: false });
    for (let tick = first; tick < next; tick += MINUTE_MS) {
      expected.set(v5(`run:${tick}`, cronId), `${cronId} ${new Date(tick).toISOString()}`);
    }
  }
  const ended = () =>
    new Set(readAudit(cluster.auditFile).flatMap((line) => (line.phase === "end" ? [line.runId] : [])));
  await eventually("all runs to be done", () => [...expected.keys()].every((runId) => ended().has(runId)), 60_000);
  const lines = readAudit(cluster.auditFile).filter(({ phase }) => phase === "start");
  const twice = [...expected].filter(
    ([runId]) => lines.filter((line) => line.runId === runId && !killed.has(line.pid)).length > 1,
  );
  const unknown = lines.filter(({ runId }) => !expected.has(runId));
  const again = lines.length - new Set(lines.map(({ runId }) => runId)).size;
  reportFault(`crons on ${new URL(place.uri).protocol.slice(0, -1)}, ${processes} processes`, {
    ticks: expected.size,
    "processes killed": killed.size,
    "done twice": twice.length,
    "of no tick": unknown.length,
    "done again after a kill": again,
  });
  return { ticks: expected.size, twice, unknown };
}

it("three processes on Postgres, killed one after the other, start each tick once", { timeout: 180_000 }, async () => {
  const size = { processes: 3, crons: 6, missed: 20, kills: [20, 80, 140] };
  const { ticks, ...wrong } = await auditTicks(await onPostgres(), size);
  expect(wrong).toEqual({ twice: [], unknown: [] });
  expect(ticks).toBeGreaterThanOrEqual(size.crons * size.missed);
});

it.runIf(hasMongo())(
  "two processes on MongoDB, killed one after the other, start each tick once",
  { timeout: 180_000 },
  async () => {
    // FerretDB, on which this is tested, takes one command at a time.
    const size = { processes: 2, crons: 3, missed: 6, kills: [8, 20] };
    const { ticks, ...wrong } = await auditTicks(await onMongo(), size);
    expect(wrong).toEqual({ twice: [], unknown: [] });
    expect(ticks).toBeGreaterThanOrEqual(size.crons * size.missed);
  },
);
