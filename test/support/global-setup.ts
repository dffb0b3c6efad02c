import { provideMongo } from "./mongodb.js";
import { startPostgres } from "./postgres.js";

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

async function providePostgres(): Promise<() => Promise<void>> {
  if (process.env["POSTGRES_TEST_URI"] !== undefined) return async () => {};
  const server = await startPostgres();
  process.env["POSTGRES_TEST_URI"] = server.uri;
  return () => server.close();
}
