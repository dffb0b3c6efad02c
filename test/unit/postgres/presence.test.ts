import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from "vitest";
import type { Presence } from "../../../src/core/presence.js";
import { openPostgres, type PostgresDatabase } from "../../../src/databases/postgres/open.js";
import { createPresence, presenceKey } from "../../../src/databases/postgres/presence.js";
import { createDatabase, startPostgres, type TestPostgres } from "../../support/postgres.js";
import { startProgram } from "../../support/program.js";

type Test = (params: {
  readonly uri: string;
  /** One application with a connection of its own that has joined. */
  readonly enter: (workerId: string) => Promise<{ readonly database: PostgresDatabase; readonly presence: Presence }>;
}) => Promise<void>;

/** Runs of `holds(worker_id, status)` stand for the store's. */
const HOLDERS = "SELECT worker_id FROM holds WHERE status = 'running'";

/** Of the server's processes that hold the worker's lock. */
async function lockPids(database: PostgresDatabase, workerId: string): Promise<readonly number[]> {
  const rows = await database.query<{ pid: number }>(
    {
      name: "",
      text: `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
        AND (classid::bigint << 32 | objid::bigint) = $1::bigint`,
    },
    [presenceKey(workerId)],
  );
  return rows.map(({ pid }) => pid);
}

/** End the connection that holds the worker's lock, as an operator would. Resolves when another one holds it. */
async function reconnected(database: PostgresDatabase, workerId: string): Promise<void> {
  const before = await lockPids(database, workerId);
  await database.query({ name: "", text: "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid" }, [before]);
  await until(async () => (await lockPids(database, workerId)).some((pid) => !before.includes(pid)));
}

async function until(what: () => Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await what())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms`);
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
}

describe("createPresence", () => {
  const test = (work: Test) => async () => {
    const { uri, drop } = await createDatabase();
    const opened: { database: PostgresDatabase; presence: Presence }[] = [];
    const setup = await openPostgres(uri, { cwd: "/" });
    await setup.query({ name: "", text: "CREATE TABLE holds (worker_id text, status text)" });
    await setup.close();
    try {
      await work({
        uri,
        async enter(workerId) {
          const database = await openPostgres(uri, { cwd: "/" });
          const presence = createPresence(database, { holders: HOLDERS });
          opened.push({ database, presence });
          await presence.join(workerId);
          return { database, presence };
        },
      });
    } finally {
      for (const { database, presence } of opened) {
        await presence.close();
        await database.close();
      }
      await drop();
    }
  };
  /** The tests' server may have started just now: then nobody is named. */
  const settled = (database: PostgresDatabase): Promise<void> =>
    until(async () => {
      const text = "SELECT now() > pg_postmaster_start_time() + interval '5 s' AS settled";
      const [row] = await database.query({ name: "", text });
      return row?.["settled"] === true;
    });
  const hold = (database: PostgresDatabase, ...workerIds: readonly string[]) =>
    database.query({ name: "", text: "INSERT INTO holds SELECT unnest($1::text[]), 'running'" }, [workerIds]);

  it(
    "names a killed process that holds runs, in well under a second, and not one that is paused",
    test(async ({ uri, enter }) => {
      const { database, presence } = await enter("me");
      const [killed, paused] = await Promise.all([
        startProgram("present", [uri, "killed"]),
        startProgram("present", [uri, "paused"]),
      ]);
      try {
        expect([await killed.read(), await paused.read()]).toEqual(["joined", "joined"]);
        await hold(database, "me", "killed", "paused", "never joined");
        expect(await presence.gone()).toEqual(new Set());
        await settled(database);
        paused.signal("SIGSTOP");
        const killedAt = performance.now();
        killed.signal("SIGKILL");
        let gone = await presence.gone();
        while (gone.size === 0 && performance.now() - killedAt < 5_000) gone = await presence.gone();
        expect(gone).toEqual(new Set(["killed"]));
        expect(performance.now() - killedAt).toBeLessThan(900);
        expect(await presence.gone()).toEqual(new Set(["killed"]));
      } finally {
        await Promise.all([killed.close(), paused.close()]);
      }
    }),
  );

  it(
    "asks only after workers that hold running runs",
    test(async ({ enter }) => {
      const { database, presence } = await enter("me");
      const other = await enter("other");
      await other.presence.close();
      await other.presence.close();
      expect(await presence.gone()).toEqual(new Set());
      await hold(database, "other");
      await settled(database);
      expect(await presence.gone()).toEqual(new Set(["other"]));
      await database.query({ name: "", text: "UPDATE holds SET status = 'success'" });
      expect(await presence.gone()).toEqual(new Set());
    }),
  );

  it(
    "counts the others, those included that are absent and hold runs",
    test(async ({ enter }) => {
      const { database, presence } = await enter("me");
      await settled(database);
      expect(presence.others).toBeNull();
      await presence.gone();
      expect(presence.others).toBe(0);
      const [second, third] = [await enter("second"), await enter("third")];
      await until(async () => presence.others === null);
      await until(async () => {
        await presence.gone();
        return presence.others === 2;
      });
      await hold(database, "second");
      await second.presence.close();
      await third.presence.close();
      await presence.gone();
      expect(presence.others).toBe(1);
    }),
  );

  it(
    "takes the lock again after its connection was lost; who looks in between names nobody",
    test(async ({ enter }) => {
      const { database, presence } = await enter("me");
      const other = await enter("other");
      await hold(database, "me", "other");
      await settled(database);
      const [looked] = await Promise.all([presence.gone(), reconnected(database, "other")]);
      expect(looked).toEqual(new Set());
      expect(await presence.gone()).toEqual(new Set());
      // Whoever has just reconnected cannot tell others that reconnect from dead ones.
      await other.presence.close();
      await reconnected(database, "me");
      expect(await presence.gone()).toEqual(new Set());
    }),
  );

  it(
    "forgets workers that nobody has seen for long, and that hold nothing",
    test(async ({ enter }) => {
      const { database } = await enter("alive");
      for (const workerId of ["holding", "recent", "stale"]) await (await enter(workerId)).presence.close();
      await hold(database, "holding");
      await database.query({ name: "", text: "UPDATE heddle_workers SET joined_at = 0 WHERE worker_id <> 'recent'" });
      await enter("newcomer");
      const rows = await database.query({ name: "", text: "SELECT worker_id FROM heddle_workers ORDER BY 1" });
      expect(rows.map((row) => row["worker_id"])).toEqual(["alive", "holding", "newcomer", "recent"]);
    }),
  );

  it("locks under keys that no small number and no other worker has", () => {
    const keys = Array.from({ length: 1_000 }, (_, index) => BigInt(presenceKey(`worker ${index}`)));
    expect(new Set(keys).size).toBe(1_000);
    expect(keys.every((key) => key < 0n && key >= -(2n ** 63n))).toBe(true);
  });
});

describe("createPresence while the server restarts", () => {
  let server: TestPostgres;
  let databases: PostgresDatabase[];
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server.close());
  beforeEach(() => {
    databases = [];
  });
  afterEach(async () => {
    for (const database of databases) await database.close();
  });

  it("names nobody", async () => {
    const enter = async (workerId: string): Promise<Presence> => {
      const database = await openPostgres(server.uri, { cwd: "/" });
      databases.push(database);
      const presence = createPresence(database);
      await presence.join(workerId);
      return presence;
    };
    const presences = [await enter("a"), await enter("b"), await enter("c")];
    await server.stop();
    const looks = presences.map((presence) => presence.gone());
    await server.start();
    expect(await Promise.all(looks)).toEqual(presences.map(() => new Set()));
    const [database] = databases as [PostgresDatabase];
    for (const workerId of ["a", "b", "c"]) {
      await until(async () => {
        for (const presence of presences) expect(await presence.gone()).toEqual(new Set());
        return (await lockPids(database, workerId)).length > 0;
      });
    }
  });
});
