import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { createApp, type CreateAppOptions, type HeddleServer } from "../../src/app.js";
import { diary } from "./diary.js";
import { createMongoDatabase, hasMongo } from "./mongodb.js";
import { postgresSchemas } from "./postgres-schemas.js";
import { rawFiles, rawMongo, rawPostgres, rawRedis } from "./raw-storage.js";
import { hasRedis, openTestRedis, type TestRedis } from "./redis.js";

export interface Storage {
  readonly options: Pick<CreateAppOptions, "storage" | "redis" | "cwd">;
  dump(): Promise<string>;
  close(): Promise<void> | void;
}

const schemas = postgresSchemas();
let redis: TestRedis | undefined;
const folder = (): { readonly cwd: string; remove(): void } => {
  const cwd = mkdtempSync(join(tmpdir(), "heddle-encryption-"));
  return { cwd, remove: () => rmSync(cwd, { recursive: true, force: true }) };
};

export const STORAGES: Record<string, () => Promise<Storage>> = {
  async SQLite() {
    const { cwd, remove } = folder();
    return { options: { storage: "sqlite:./heddle.db", cwd }, dump: async () => rawFiles(cwd), close: remove };
  },
  async Postgres() {
    const { uri, drop } = await schemas.create();
    return { options: { storage: uri }, dump: () => rawPostgres(uri), close: drop };
  },
  ...(hasMongo() && {
    async MongoDB() {
      const { uri, drop } = await createMongoDatabase();
      return { options: { storage: uri }, dump: () => rawMongo(uri), close: drop };
    },
  }),
  ...(hasRedis() && {
    async "SQLite and Redis"() {
      const { cwd, remove } = folder();
      const { uri } = (redis ??= await openTestRedis());
      const dump = async (): Promise<string> => `${rawFiles(cwd)}\n${await rawRedis(uri)}`;
      return { options: { storage: "sqlite:./heddle.db", redis: uri, cwd }, dump, close: remove };
    },
  }),
};

afterAll(async () => redis?.close());

export const openDiary = (storage: Storage, options: Partial<CreateAppOptions>): Promise<HeddleServer> =>
  createApp({ graphs: { diary }, logLevel: "silent", env: {}, ...storage.options, ...options });
