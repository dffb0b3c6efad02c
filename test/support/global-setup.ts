import { startPostgres } from "./postgres.js";

/** One Postgres server for all test files, unless `POSTGRES_TEST_URI` names one. Each file makes databases of its own. */
export default async function setup(): Promise<(() => Promise<void>) | void> {
  if (process.env["POSTGRES_TEST_URI"] !== undefined) return;
  const server = await startPostgres();
  process.env["POSTGRES_TEST_URI"] = server.uri;
  return () => server.close();
}
