import { randomUUID } from "node:crypto";
import type { DriverContext } from "../core/driver.js";
import type { RedisDatabase } from "../databases/redis/open.js";
import { clockFinding, type Finding, measureClock, ok, pingFinding, problem, warning } from "./findings.js";

/** BullMQ 6 asks for 6.2 and refuses under 5. */
const OLDEST_VERSION = [6, 2] as const;
const PUBLISH_WAIT_MS = 2_000;

/** Look into a Redis that carries event logs and notifications. Writes nothing; publishes one message. */
export async function* diagnoseRedis(uri: string, context: DriverContext): AsyncGenerator<Finding, void, void> {
  const { openRedis } = await import("../databases/redis/open.js");
  const database = await openRedis(uri, context);
  try {
    const info = infoOf(await database.client.info());
    yield versionFinding(info);
    if (info.get("role") === "slave") {
      yield problem("writing", "the server is a replica", "Give the address of the primary.");
    }
    if (info.get("cluster_enabled") === "1") {
      yield problem(
        "cluster",
        "this is a Redis Cluster",
        "Use one Redis: what Heddle keeps in it is small and lives for minutes.",
      );
    }
    yield memoryFinding(info);
    yield ok("persistence", `${persistence(info)}; Heddle needs none: Redis may be emptied at any time`);
    yield await modulesFinding(database);
    yield await clockFinding(() =>
      measureClock(async () => {
        const [seconds, microseconds] = await database.client.time();
        return Number(seconds) * 1000 + Number(microseconds) / 1000;
      }),
    );
    yield await pingFinding(() => database.client.ping());
    yield await publishFinding(database);
  } finally {
    await database.close();
  }
}

/** `INFO` as names and values. */
function infoOf(text: string): ReadonlyMap<string, string> {
  const pairs = text.split(/\r?\n/).flatMap((line): [string, string][] => {
    const colon = line.indexOf(":");
    return colon < 1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
  });
  return new Map(pairs);
}

function versionFinding(info: ReadonlyMap<string, string>): Finding {
  const version = info.get("redis_version") ?? "unknown";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_VERSION;
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor)
    ? problem("version", `Redis ${version}`, `Upgrade to ${OLDEST_VERSION.join(".")} or newer: BullMQ needs it.`)
    : ok("version", `Redis ${version}`);
}

function memoryFinding(info: ReadonlyMap<string, string>): Finding {
  const policy = info.get("maxmemory_policy") ?? "unknown";
  const limit = Number(info.get("maxmemory") ?? 0);
  const used = `${info.get("used_memory_human") ?? "?"} of ${limit === 0 ? "no limit" : (info.get("maxmemory_human") ?? limit)} used`;
  if (policy === "noeviction") return ok("memory", `noeviction, ${used}`);
  return problem(
    "memory",
    `maxmemory-policy is ${policy} (${used}): when memory runs short Redis removes jobs and parts of event logs`,
    "Set maxmemory-policy to noeviction, which BullMQ demands.",
  );
}

function persistence(info: ReadonlyMap<string, string>): string {
  return info.get("aof_enabled") === "1" ? "append-only file" : "no append-only file";
}

/** Only a checkpointer needs modules. */
async function modulesFinding({ client }: RedisDatabase): Promise<Finding> {
  const listed = await client.call("MODULE", "LIST").catch(() => null);
  if (listed === null) return ok("modules", "not to be seen by this user");
  const text = JSON.stringify(listed).toLowerCase();
  const has = text.includes("rejson") && text.includes("search");
  return ok(
    "modules",
    has
      ? "RedisJSON and RediSearch: fit for a checkpointer too"
      : "no RedisJSON and RediSearch: no checkpointer here, which is fine",
  );
}

async function publishFinding({ client, subscriber, prefix }: RedisDatabase): Promise<Finding> {
  const channel = `${prefix}:doctor:${randomUUID()}`;
  const arrived = Promise.withResolvers<number>();
  const { ready, stop } = subscriber.subscribe(channel, () => arrived.resolve(performance.now()));
  await ready;
  const sentAt = performance.now();
  await client.publish(channel, "");
  const timer = setTimeout(() => arrived.resolve(-1), PUBLISH_WAIT_MS);
  const arrivedAt = await arrived.promise;
  clearTimeout(timer);
  stop();
  if (arrivedAt >= 0) return ok("notifications", `published and heard in ${(arrivedAt - sentAt).toFixed(1)} ms`);
  return warning(
    "notifications",
    "a published message did not arrive",
    "Allow this user SUBSCRIBE and PUBLISH on all channels (ACL &*).",
  );
}
