import { afterEach, describe, expect, it } from "vitest";
import { openPostgres, type PostgresDatabase } from "../../../src/databases/postgres/open.js";
import { createDatabase } from "../../support/postgres.js";
import { startLossyProxy } from "./lossy-proxy.js";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function open() {
  const { uri, drop } = await createDatabase();
  closers.push(drop);
  const database = await openPostgres(uri, { cwd: "/" });
  closers.push(() => database.close());
  const proxy = await startLossyProxy(uri);
  closers.push(() => proxy.close());
  const listening = await openPostgres(uri, { cwd: "/", directUri: proxy.uri });
  closers.push(() => listening.close());
  return { database, proxy, listener: listening.listener() };
}

const notify = (database: PostgresDatabase, channel: string, payload: string) =>
  database.query({ name: "", text: "SELECT pg_notify($1, $2)" }, [channel, payload]);
const KILL_LISTENERS = {
  name: "",
  text: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heddle-listen' AND datname = current_database()",
};

/** What arrives, and a way to wait for it. */
function inbox() {
  const got: string[] = [];
  const waiting = new Set<() => void>();
  return {
    got,
    push(text: string): void {
      got.push(text);
      for (const look of waiting) look();
    },
    has: (text: string): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (got.includes(text)) resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

describe("the listening connection", () => {
  it("hears its channels, each listener its own, until it unsubscribes", async () => {
    const { database, listener } = await open();
    const [a, b] = [inbox(), inbox()];
    const leave = await listener.listen('a "quoted" channel', a.push);
    await Promise.all([listener.listen("b", b.push), listener.listen("b", b.push)]);
    await notify(database, 'a "quoted" channel', "one");
    await notify(database, "b", "two");
    await Promise.all([a.has("one"), b.has("two")]);
    leave();
    await notify(database, 'a "quoted" channel', "nobody");
    await notify(database, "b", "three");
    await b.has("three");
    expect(a.got).toEqual(["one"]);
    expect(b.got).toEqual(["two", "two", "three", "three"]);
  });

  it("comes back after it was lost: sessions first, then channels, then those who asked", async () => {
    const { database, listener } = await open();
    const log = inbox();
    await listener.onSession(async (client) => {
      await client.query("SELECT pg_advisory_lock_shared(77)");
      log.push("session");
    });
    await listener.listen("c", log.push);
    for (const round of [1, 2]) {
      const stop = listener.onReconnected(() => log.push(`back ${round}`));
      await database.query(KILL_LISTENERS);
      await log.has(`back ${round}`);
      stop();
      await notify(database, "c", `after ${round}`);
      await log.has(`after ${round}`);
      const held = {
        name: "",
        text: "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND granted",
      };
      expect(await database.query(held)).toEqual([{ n: 1 }]);
    }
    expect(log.got).toEqual(["session", "session", "back 1", "after 1", "session", "back 2", "after 2"]);
  });

  it("a first connection that fails is the caller's failure, and the next caller's chance", async () => {
    const { uri, drop } = await createDatabase();
    closers.push(drop);
    const directUri = new URL(uri);
    directUri.port = "1";
    const database = await openPostgres(uri, { cwd: "/", directUri: directUri.href });
    closers.push(() => database.close());
    const log = inbox();
    for (let tries = 0; tries < 2; tries += 1) {
      await expect(database.listener().listen("d", log.push)).rejects.toThrow("ECONNREFUSED");
      await expect(database.listener().onSession(async () => log.push("session"))).rejects.toThrow("ECONNREFUSED");
    }
    expect(log.got).toEqual([]);
  });

  it("what is asked for while it is away is there once it is back", async () => {
    const { database, proxy, listener } = await open();
    const log = inbox();
    await listener.listen("e", log.push);
    listener.onReconnected(() => log.push("back"));
    const lost = database.query(KILL_LISTENERS);
    const listening = listener.listen("f", log.push);
    await lost;
    await listening;
    await log.has("back");
    await notify(database, "f", "heard");
    await log.has("heard");
    expect(proxy.lost).toBe(0);
  });

  it("closes while it is away", async () => {
    const { proxy, listener } = await open();
    await listener.listen("g", () => {});
    await proxy.close();
    await listener.close();
    await expect(listener.listen("g", () => {})).rejects.toThrow("closed");
  });
});
