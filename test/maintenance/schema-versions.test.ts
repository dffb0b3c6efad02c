import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { schemeOf } from "../../src/core/driver.js";
import { openCopySide } from "../../src/maintenance/open-side.js";
import { inspectSchema, pendingComponents, upgradeSchema } from "../../src/maintenance/schema-versions.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { createDatabase } from "../support/postgres.js";
import { seedStorage, temporaryFolder } from "./seeded-storage.js";

const folder = temporaryFolder();
const context = { cwd: folder };

const DATABASES: readonly (readonly [string, () => Promise<{ readonly uri: string; drop(): Promise<void> }>])[] = [
  ["SQLite", async () => ({ uri: `sqlite:${join(folder, "v.db")}`, drop: async () => {} })],
  ["Postgres", createDatabase],
  ...(hasMongo() ? ([["MongoDB", createMongoDatabase]] as const) : []),
];

describe.each(DATABASES)("the tables of %s", (_, create) => {
  it("are behind until they are brought up to date, once and for all", async () => {
    const { uri, drop } = await create();
    try {
      const access = { uri, context, parts: "all" } as const;
      const before = await inspectSchema(access);
      expect(pendingComponents(before)).toEqual(before.components);
      const names = before.components.map(({ name }) => name);
      for (const name of ["metadata", "items", "checkpoints"]) expect(names).toContain(name);
      // Looking changed nothing.
      expect(await inspectSchema(access)).toEqual(before);
      expect(schemeOf(uri) === "sqlite" && existsSync(join(folder, "v.db"))).toBe(false);

      await upgradeSchema({ ...access, parts: "checkpoints" });
      expect(pendingComponents(await inspectSchema({ ...access, parts: "checkpoints" }))).toEqual([]);
      expect(pendingComponents(await inspectSchema({ ...access, parts: "storage" }))).not.toEqual([]);
      await upgradeSchema(access);
      await upgradeSchema(access);
      const after = await inspectSchema(access);
      expect(after.components.map(({ name, stored }) => [name, stored])).toEqual(
        before.components.map(({ name, latest }) => [name, latest]),
      );
      await (await openCopySide({ uri, cwd: folder })).close();
    } finally {
      await drop();
    }
  });

  it("know every component that a server makes", async () => {
    const { uri, drop } = await create();
    try {
      await seedStorage(uri, 1);
      const versions = await inspectSchema({ uri, context, parts: "all" });
      expect(versions.unknown).toEqual([]);
      expect(pendingComponents(versions)).toEqual([]);
    } finally {
      await drop();
    }
  });
});

it("have no versions where nothing outlives its process", async () => {
  expect((await inspectSchema({ uri: "memory:", context, parts: "all" })).components).toEqual([]);
  await expect(inspectSchema({ uri: "oracle://h", context, parts: "all" })).rejects.toMatchObject({
    code: "SCHEME_UNKNOWN",
  });
});
