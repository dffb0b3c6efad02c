import { describe, expect, it } from "vitest";
import { problemsOf } from "../../src/config/problem.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { isHeddleError } from "../../src/core/errors.js";

describe("options of createApp", () => {
  const resolve = (options: object) =>
    resolveConfig({ options: { graphs: { agent: () => null }, env: {}, ...options } });

  it.each([
    [{ storge: "memory:" }, "storge"],
    [{ storage: 1 }, "storage"],
    [{ storage: "./data.db" }, "storage"],
    [{ storage: "C:\\data.db" }, "storage"],
    [{ checkpointer: {} }, "checkpointer"],
    [{ checkpointer: "data.db" }, "checkpointer"],
    [{ graphs: { a: 1 } }, "graphs.a"],
    [{ graphs: {} }, "graphs"],
    [{ worker: { concurrency: -1 } }, "worker.concurrency"],
    [{ worker: { leaseMs: 10 } }, "worker.leaseMs"],
    [{ worker: { jobs: 1 } }, "worker.jobs"],
    [{ worker: { runTimeoutMs: 0 } }, "worker.runTimeoutMs"],
    [{ worker: { maxBlockedMs: 2 ** 31 } }, "worker.maxBlockedMs"],
    [{ storage: "redis://h" }, "storage"],
    [{ redis: "http://h" }, "redis"],
    [{ redis: 1 }, "redis"],
    [{ database: { maxConnections: 0 } }, "database.maxConnections"],
    [{ database: { directUri: "mysql://h" } }, "database.directUri"],
    [{ database: { pool: 1 } }, "database.pool"],
    [{ role: "boss" }, "role"],
    [{ role: "worker", storage: "memory:" }, "role"],
    [{ role: "worker", storage: "postgres://h/d", worker: { concurrency: 0 } }, "worker.concurrency"],
    [{ http: { basePath: "agent" } }, "http.basePath"],
    [{ http: { basePath: "/:id" } }, "http.basePath"],
    [{ http: { cors: { allowOriginRegex: "(" } } }, "http.cors.allowOriginRegex"],
    [{ http: { cors: { origins: [] } } }, "http.cors.origins"],
    [{ http: { disable: ["everything"] } }, "http.disable.0"],
    [{ streaming: { maxBytes: 0 } }, "streaming.maxBytes"],
    [{ http: { app: {} } }, "http.app"],
    [{ http: { middlewareOrder: "last" } }, "http.middlewareOrder"],
    [{ http: { configurableHeaders: { includes: ["a b"] } } }, "http.configurableHeaders.includes.0"],
    [{ http: { trustedProxyHops: -1 } }, "http.trustedProxyHops"],
    [{ protocols: "openwop" }, "protocols"],
    [{ protocols: ["openwop"] }, "protocols.0"],
    [{ protocols: [{ name: "openwop", path: "/wop", port: null }] }, "protocols.0"],
    [{ crons: { missedTicks: "some" } }, "crons.missedTicks"],
    [{ crons: { maxMissedTicks: 0 } }, "crons.maxMissedTicks"],
    [{ limits: { maxJsonDepth: 100_000 } }, "limits.maxJsonDepth"],
    [{ limits: { maxNameChars: 8 } }, "limits.maxNameChars"],
    [{ limits: { requestsPerCaller: { perSecond: 0 } } }, "limits.requestsPerCaller.perSecond"],
    [{ limits: { requests: 1 } }, "limits.requests"],
    [{ limits: { maxBodyBytes: 1 }, http: { maxBodyBytes: 2 } }, "limits.maxBodyBytes"],
    [{ limits: { runTimeoutMs: 1 }, worker: { runTimeoutMs: 2 } }, "limits.runTimeoutMs"],
    [{ limits: { maxEventLogBytes: 1 }, streaming: { maxBytes: 2 } }, "limits.maxEventLogBytes"],
    [{ audit: { file: "a", write: () => undefined } }, "audit"],
    [{ audit: {} }, "audit"],
    [{ ui: { agent: "" } }, "ui.agent"],
    [{ uiConfig: { shared: "react" } }, "uiConfig.shared"],
    [{ uiConfig: { external: [] } }, "uiConfig.external"],
    [{ logger: { info() {} } }, "logger"],
    [{ logLevel: "loud" }, "logLevel"],
  ])("%j is refused and the field named", async (options, field) => {
    const error = await resolve(options).catch((caught: unknown) => caught);
    if (!isHeddleError(error)) throw error;
    expect(error.code).toBe("CONFIG_INVALID");
    expect(problemsOf(error).map((problem) => problem.field)).toEqual([field]);
  });

  it("all valid ones arrive", async () => {
    const config = await resolve({
      storage: "postgresql://h/d",
      redis: "rediss://r",
      database: { maxConnections: 3, directUri: "postgres://direct/d" },
      role: "api",
      worker: {
        concurrency: 0,
        leaseMs: 5_000,
        drainMs: 0,
        maxAttempts: 1,
        pollMs: 50,
        runTimeoutMs: 9,
        maxBlockedMs: 8,
      },
      http: { basePath: "/a/b/", cors: false, disable: ["store"], maxBodyBytes: 10 },
      streaming: { eventLogTtlMs: 0, unreadTtlMs: 0, maxBytes: 1, heartbeatMs: 1 },
      ui: { agent: "ui.tsx" },
      uiConfig: { shared: ["a", "b/c"] },
      logLevel: "silent",
      allowEphemeral: true,
    });
    expect(config).toMatchObject({
      storage: { uri: "postgresql://h/d", scheme: "postgresql" },
      redis: "rediss://r",
      database: { maxConnections: 3, directUri: "postgres://direct/d" },
      role: "api",
      worker: {
        concurrency: 0,
        leaseMs: 5_000,
        drainMs: 0,
        maxAttempts: 1,
        pollMs: 50,
        runTimeoutMs: 9,
        maxBlockedMs: 8,
      },
      http: { basePath: "/a/b", cors: null, disabled: { store: true, runs: false }, maxBodyBytes: 10 },
      streaming: { eventLogTtlMs: 0, unreadTtlMs: 0, maxBytes: 1, heartbeatMs: 1 },
      ui: { files: { agent: "ui.tsx" }, dir: process.cwd(), shared: ["a", "b/c"] },
      logging: { level: "silent", format: "auto", logger: null },
      allowEphemeral: true,
    });
  });
});
