import { afterEach, expect, it } from "vitest";
import { CHECKPOINT_TABLES } from "../../../src/checkpointers/postgres-schema.js";
import { migrate, storedVersions } from "../../../src/databases/postgres/migrate.js";
import { openPostgres, type PostgresDatabase } from "../../../src/databases/postgres/open.js";
import { createStoreRegistry } from "../../../src/stores/registry.js";
import { COMPONENTS } from "../../../src/stores/postgres/migrations.js";
import { EVENT_COMPONENT } from "../../../src/streaming/postgres-event-storage.js";
import { createDatabase } from "../../support/postgres.js";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function fresh(): Promise<{ readonly uri: string; readonly database: PostgresDatabase }> {
  const { uri, drop } = await createDatabase();
  closers.push(drop);
  const database = await openPostgres(uri, { cwd: "/" });
  closers.push(() => database.close());
  return { uri, database };
}

const FIRST = "CREATE TABLE t (a int)";

it("applies each migration once, however many start together", async () => {
  const { uri, database } = await fresh();
  const opened = await Promise.all(
    Array.from({ length: 8 }, () => createStoreRegistry().open(uri, { cwd: "/", maxConnections: 2 })),
  );
  for (const { metadata, items } of opened) {
    await metadata.ping();
    await items.close();
    await metadata.close();
  }
  const versions = await storedVersions(database);
  for (const { name, migrations } of COMPONENTS) expect([name, versions.get(name)]).toEqual([name, migrations.length]);
});

it("applies what is new, in order, and leaves nothing of what fails", async () => {
  const { database } = await fresh();
  expect(await storedVersions(database)).toEqual(new Map());
  await migrate(database, [{ name: "x", migrations: [FIRST] }]);
  const broken = [FIRST, "ALTER TABLE t ADD COLUMN b int; INSERT INTO t VALUES (1, 2)", "CREATE TABLE t (again int)"];
  const failing = migrate(database, [{ name: "x", migrations: broken }]);
  await expect(failing).rejects.toMatchObject({ code: "STORAGE_UNAVAILABLE", details: { component: "x", version: 3 } });
  expect(await storedVersions(database)).toEqual(new Map([["x", 1]]));
  expect(await database.query({ name: "", text: "SELECT * FROM t" })).toEqual([]);
  await migrate(database, [{ name: "x", migrations: broken.slice(0, 2) }]);
  expect(await database.query({ name: "", text: "SELECT * FROM t" })).toEqual([{ a: 1, b: 2 }]);
});

it("refuses a database of a newer Heddle, and leaves it alone", async () => {
  const { database } = await fresh();
  await migrate(database, [{ name: "x", migrations: [FIRST, "CREATE TABLE u (a int)"] }]);
  const older = migrate(database, [{ name: "x", migrations: [FIRST] }]);
  await expect(older).rejects.toThrow('its "x" tables have version 2, this one knows 1. Upgrade heddle');
  expect(await storedVersions(database)).toEqual(new Map([["x", 2]]));
});

it("keeps to the schema that the URI names", async () => {
  const { uri, database } = await fresh();
  await database.query({ name: "", text: "CREATE SCHEMA a; CREATE SCHEMA b" });
  for (const schema of ["a", "b"]) {
    const { metadata, items } = await createStoreRegistry().open(`${uri}?options=-csearch_path%3D${schema}`, {
      cwd: "/",
    });
    await metadata.threads.create({ threadId: "t", metadata: { schema }, access: { kind: "all" } });
    expect(await metadata.threads.count({ access: { kind: "all" } })).toBe(1);
    await items.close();
    await metadata.close();
  }
  expect(await storedVersions(database)).toEqual(new Map());
  const rows = await database.query({
    name: "",
    text: "SELECT metadata ->> 'schema' AS of FROM b.heddle_thread_metadata",
  });
  expect(rows).toEqual([{ of: "b" }]);
});

it("goes without lz4 on servers whose grammar does not know it", async () => {
  const { database } = await fresh();
  let changed = 0;
  // What Postgres 13 makes of it.
  const unknown = (sql: string): string =>
    sql.replaceAll("SET COMPRESSION lz4", () => {
      changed += 1;
      return "SET NO_SUCH_WORD lz4";
    });
  const components = [...COMPONENTS, EVENT_COMPONENT, CHECKPOINT_TABLES].map(({ name, migrations }) => ({
    name,
    migrations: migrations.map(unknown),
  }));
  await migrate(database, components);
  expect(changed).toBeGreaterThanOrEqual(4);
  const versions = await storedVersions(database);
  for (const { name, migrations } of components) expect(versions.get(name)).toBe(migrations.length);
});
