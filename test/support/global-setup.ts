import { provideMongo } from "./mongodb.js";
import { providePostgres } from "./postgres.js";

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
