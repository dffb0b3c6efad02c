import pg from "pg";
import { afterAll } from "vitest";
import { createDatabase } from "./postgres.js";

/** Namespaces in one database: several times cheaper than a database each. */
export interface PostgresSchemas {
  create(): Promise<{ readonly uri: string; drop(): Promise<void> }>;
}

/** A database for the test file that calls this, made on first use and dropped after its last test. */
export function postgresSchemas(): PostgresSchemas {
  let opening: Promise<{ readonly uri: string; readonly admin: pg.Client; drop(): Promise<void> }> | undefined;
  let count = 0;
  const open = async () => {
    const database = await createDatabase();
    const admin = new pg.Client({ connectionString: database.uri });
    // It is cut off when a test stops the server.
    admin.on("error", () => undefined);
    await admin.connect();
    return { uri: database.uri, admin, drop: () => admin.end().then(() => database.drop()) };
  };
  afterAll(async () => {
    await (await opening)?.drop();
  });
  return {
    async create() {
      const { uri, admin } = await (opening ??= open());
      count += 1;
      const schema = `s${count}`;
      await admin.query(`CREATE SCHEMA ${schema}`);
      return {
        uri: `${uri}?options=-csearch_path%3D${schema}`,
        drop: async () => void (await admin.query(`DROP SCHEMA ${schema} CASCADE`)),
      };
    },
  };
}
