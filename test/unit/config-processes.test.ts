import { describe, expect, it } from "vitest";
import { describeConfig, secretsOf } from "../../src/config/describe.js";
import type { AppOptions } from "../../src/config/options.js";
import { resolveConfig } from "../../src/config/resolve.js";

function library(options: Omit<AppOptions, "graphs">) {
  return resolveConfig({ options: { graphs: { agent: () => null }, env: {}, ...options } });
}

describe("several processes", () => {
  it("take Redis, the pool, the direct address and the role from the environment; options win", async () => {
    const env = {
      POSTGRES_URI: "postgres://h/d",
      REDIS_URI: "redis://r",
      POSTGRES_DIRECT_URI: "postgres://direct/d",
      LANGGRAPH_POSTGRES_POOL_MAX_SIZE: "4",
      HEDDLE_ROLE: "worker",
      BG_JOB_TIMEOUT_SECS: "3",
    };
    expect(await library({ env })).toMatchObject({
      redis: "redis://r",
      database: { maxConnections: 4, directUri: "postgres://direct/d" },
      role: "worker",
      worker: { concurrency: 10, runTimeoutMs: 3_000 },
      warnings: [],
    });
    const options = { env, redis: "redis://o", database: { maxConnections: 5 }, role: "api" as const };
    expect(await library({ ...options, worker: { runTimeoutMs: 7 } })).toMatchObject({
      redis: "redis://o",
      database: { maxConnections: 5, directUri: "postgres://direct/d" },
      role: "api",
      worker: { runTimeoutMs: 7 },
    });
  });

  it("checkpoints are compressed as options, environment or langgraph.json say", async () => {
    const env = { HEDDLE_COMPRESS_CHECKPOINTS: "false" };
    expect((await library({ env })).database).toEqual({ compressCheckpoints: false });
    const options = { env, database: { compressCheckpoints: true } };
    expect((await library(options)).database).toEqual({ compressCheckpoints: true });
    expect((await library({})).database).toEqual({});
  });

  it("are one, with the drivers' defaults, when nothing is said", async () => {
    expect(await library({})).toMatchObject({
      redis: null,
      database: {},
      role: "all",
      worker: { concurrency: 10, runTimeoutMs: null, maxBlockedMs: 60_000 },
    });
  });

  it.each(["sqlite:./a.db", "memory:"])(
    "warns that Redis beside %s does not make several processes",
    async (storage) => {
      expect((await library({ storage, redis: "redis://h" })).warnings.join()).toMatch(
        /^redis: .*several processes need/,
      );
    },
  );

  it.each(["mongodb://h/d", "mongodb+srv://h/d", "postgres://h/d", "postgresql://h/d"])(
    "share %s, also for checkpoints, and Redis has nothing to warn of",
    async (uri) => {
      const config = await library({ storage: uri, checkpointer: uri, redis: "redis://h", role: "worker" });
      expect(config).toMatchObject({ storage: { uri }, checkpointer: { kind: "uri", uri }, warnings: [] });
    },
  );

  it("take no direct Postgres beside another storage, and say so", async () => {
    const config = await library({ storage: "mongodb://h/d", env: { POSTGRES_DIRECT_URI: "postgres://h/d" } });
    expect(config.database).toEqual({});
    expect(config.warnings).toEqual(["POSTGRES_DIRECT_URI is not used: the storage is no Postgres"]);
  });

  it("refuses Redis as storage, names the variable and both ways out", async () => {
    await expect(library({ env: { DATABASE_URI: "redis://h" } })).rejects.toThrow(
      /^DATABASE_URI: Redis can't be the storage.*REDIS_URI.*`checkpointer`/,
    );
    await expect(library({ storage: "sqlite:a.db", checkpointer: "redis://h" })).resolves.toBeDefined();
  });

  it("gives a process of role api no slot, and says when that overrules somebody", async () => {
    const api = await library({ storage: "postgres://h/d", role: "api" });
    expect(api).toMatchObject({ worker: { concurrency: 0 }, warnings: [] });
    const told = await library({ storage: "postgres://h/d", role: "api", worker: { concurrency: 4 } });
    expect(told.worker.concurrency).toBe(0);
    expect(told.warnings.join()).toMatch(/worker\.concurrency: 4 has no effect/);
  });

  it("warns of roles on one SQLite file", async () => {
    expect((await library({ storage: "sqlite:./a.db", role: "worker" })).warnings.join()).toMatch(/role worker: /);
  });

  it("prints no password of Redis or of the direct address", async () => {
    const config = await library({
      storage: "postgres://u:pw-one@h/d",
      redis: "redis://:pw-two@h",
      database: { directUri: "postgres://u:pw-three@h/d" },
    });
    const settings = describeConfig(config);
    expect(JSON.stringify(settings)).not.toMatch(/pw-/);
    expect(settings.find(({ name }) => name === "redis")?.value).toMatch(/^redis:\/\/.*\*\*\*@h$/);
    expect(secretsOf(config)).toEqual(expect.arrayContaining(["redis://:pw-two@h", "postgres://u:pw-three@h/d"]));
  });
});
