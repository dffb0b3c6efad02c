import type { DriverContext } from "../core/driver.js";
import { clockFinding, type Finding, ok, pingFinding, problem, schemaFinding, warning } from "./findings.js";
import { inspectSchema, type KeptParts } from "./schema-versions.js";

const OLDEST_MAJOR = 5;

/** Look into a MongoDB storage. Changes nothing. */
export async function* diagnoseMongo(
  uri: string,
  context: DriverContext,
  parts: KeptParts,
): AsyncGenerator<Finding, void, void> {
  const { openMongo } = await import("../databases/mongodb/open.js");
  const database = await openMongo(uri, context);
  try {
    const [build, hello] = await Promise.all([
      database.db.admin().command({ buildInfo: 1 }),
      database.db.admin().command({ hello: 1 }),
    ]);
    const version = String(build["version"]);
    yield Number.parseInt(version, 10) < OLDEST_MAJOR
      ? warning("version", `MongoDB ${version}`, `Upgrade to ${OLDEST_MAJOR} or newer.`)
      : ok("version", `MongoDB ${version}, ${kindOf(hello)}`);
    if (hello["isWritablePrimary"] === false && hello["msg"] !== "isdbgrid") {
      const way = "Name all members of the replica set and its `replicaSet` in the URI, or give the primary's address.";
      yield problem("writing", "the server is not the primary of its replica set", way);
    }
    yield schemaFinding(await inspectSchema({ uri, context, parts }));
    yield await clockFinding(() => database.measureClock());
    yield await pingFinding(() => database.db.command({ ping: 1 }));
    const leases = parts === "checkpoints" ? "" : " and one of the lease thread";
    yield ok("pool", `up to ${database.client.options.maxPoolSize} connections${leases}, per process`);
  } finally {
    await database.close();
  }
}

function kindOf(hello: Readonly<Record<string, unknown>>): string {
  if (hello["msg"] === "isdbgrid") return "sharded";
  return typeof hello["setName"] === "string" ? `replica set ${hello["setName"]}` : "stand-alone";
}
