import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ENVIRONMENT_VARIABLES } from "../../src/config/env.js";
import { LANGGRAPH_JSON_KEYS } from "../../src/config/langgraph-json-keys.js";
import { problemsOf } from "../../src/config/problem.js";
import { resolveConfig } from "../../src/config/resolve.js";
import type { ResolvedConfig } from "../../src/config/resolved-config.js";
import { isHeddleError } from "../../src/core/errors.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-keys-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The manifest with one more key, dotted. */
async function withKey(key: string, value: unknown): Promise<ResolvedConfig> {
  const path = key.split(".");
  const section = path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
  writeFileSync(
    join(dir, "langgraph.json"),
    JSON.stringify({ graphs: { agent: "./a.ts:graph" }, ...(section as object) }),
  );
  return resolveConfig({ flags: {}, options: { cwd: dir, env: {} } });
}

const keys = (status: string) => LANGGRAPH_JSON_KEYS.filter((row) => row.status === status).map(({ key }) => key);
const refused = (field: string, message: RegExp) => ({ field, message: expect.stringMatching(message) as string });

describe("the table of langgraph.json's keys", () => {
  it("has every key that the wire reference names in part 5.1", () => {
    const reference = readFileSync(new URL("../../docs/wire/langgraph-api.md", import.meta.url), "utf8");
    const part = reference.slice(
      reference.indexOf("## 5.1 Every key"),
      reference.indexOf("## 5.2 Environment variables"),
    );
    const rows = part.split("\n").filter((line) => line.startsWith("| `"));
    expect(rows.length).toBeGreaterThan(30);
    // The key is what a backtick opens at the start or after a comma; `http.disable_a/b` stands for several.
    const named = rows.flatMap((row) => {
      const cell = row.replaceAll(/^\| |\([^)]*\)|\{[^}]*\}/g, "").split(" | ")[0] ?? "";
      return [...cell.matchAll(/`([^`:]+)[^`]*`/g)].flatMap(([, name = ""]) => {
        const [first = "", ...others] = name.trim().split("/");
        const prefix = first.slice(0, first.lastIndexOf("_") + 1);
        return [first].concat(others.map((other) => prefix + other));
      });
    });
    const table = LANGGRAPH_JSON_KEYS.map(({ key }) => key);
    const known = (name: string) => table.some((key) => key === name || name.startsWith(`${key}.`));
    expect(named).toContain("http.disable_webhooks");
    expect(named).toContain("_INTERNAL_docker_tag");
    expect(named.filter((name) => !known(name))).toEqual([]);
    expect(new Set(table).size).toBe(table.length);
  });

  it.each(keys("refused"))("%s is refused by name, with a way out", async (key) => {
    const error = await withKey(key, { some: "value" }).catch((caught: unknown) => caught);
    if (!isHeddleError(error)) throw error;
    expect(error.code).toBe("UNSUPPORTED_OPTION");
    expect(problemsOf(error)).toEqual([expect.objectContaining({ ...refused(key, /\.$/), line: 1 })]);
  });

  it.each(keys("refused"))("%s: asking for nothing is no reason to refuse", async (key) => {
    await expect(withKey(key, null)).resolves.toMatchObject({ warnings: [] });
  });

  it.each(keys("build-only"))("%s is ignored on purpose, without a warning", async (key) => {
    await expect(withKey(key, ["x"])).resolves.toMatchObject({ warnings: [] });
  });

  const effects: Readonly<Record<string, readonly [value: unknown, effect: object]>> = {
    graphs: [{ b: { path: "./b.ts", description: "B" } }, { graphs: { b: { path: "./b.ts", description: "B" } } }],
    env: [{ NAME: "value" }, { graphEnv: { NAME: "value" } }],
    node_version: ["1", { warnings: [expect.stringContaining("asks for Node 1")] }],
    node_loader: ["tsx", { warnings: [] }],
    "http.app": [
      "./routes.ts:app",
      {
        http: {
          app: {
            source: { kind: "file", path: "./routes.ts:app" },
            middlewareOrder: "middleware_first",
            isAuthenticated: false,
          },
        },
      },
    ],
    "http.middleware_order": ["auth_first", { origins: { "http.middlewareOrder": "langgraph.json" } }],
    "http.enable_custom_route_auth": [true, { origins: { "http.enableCustomRouteAuth": "langgraph.json" } }],
    "http.configurable_headers": [
      { includes: ["x-a", "my-*"], excludes: ["my-secret"] },
      { http: { configurableHeaders: { includes: ["x-a", "my-*"], excludes: ["my-secret"] } } },
    ],
    "http.logging_headers": [{ includes: ["x-a"] }, { http: { loggingHeaders: { includes: ["x-a"], excludes: [] } } }],
    "http.trusted_proxy_hops": [2, { http: { trustedProxyHops: 2 } }],
    protocols: [
      ["snapstate", "state-store@/", "agentex-states@:3001", { name: "openwop", path: "/wop", port: 0 }],
      {
        protocols: [
          { kind: "named", name: "snapstate" },
          { kind: "named", name: "state-store", path: "/" },
          { kind: "named", name: "agentex-states", port: 3001 },
          { kind: "named", name: "openwop", path: "/wop", port: 0 },
        ],
        origins: { protocols: "langgraph.json" },
      },
    ],
    crons: [
      { missed_ticks: "all", max_missed_ticks: 7 },
      { crons: { missedTicks: "all", maxMissedTicks: 7 }, origins: { "crons.missedTicks": "langgraph.json" } },
    ],
    limits: [
      {
        max_body_bytes: 1,
        max_json_depth: 2,
        max_url_bytes: 64,
        max_header_bytes: 512,
        max_name_chars: 36,
        max_metadata_chars: 6,
        requests_per_caller: { per_second: 0.5 },
        streams_per_caller: 7,
        queued_runs_per_caller: 8,
        queued_runs_per_thread: 9,
        run_timeout_ms: 10,
        max_event_log_bytes: 11,
        headers_timeout_ms: 12,
        request_timeout_ms: 13,
        stalled_ms: 14,
        reauthenticate_ms: 1_000,
      },
      {
        http: { maxBodyBytes: 1 },
        worker: { runTimeoutMs: 10 },
        streaming: { maxBytes: 11 },
        limits: {
          maxJsonDepth: 2,
          maxUrlBytes: 64,
          maxHeaderBytes: 512,
          maxNameChars: 36,
          maxMetadataChars: 6,
          requestsPerCaller: { perSecond: 0.5, burst: 1 },
          streamsPerCaller: 7,
          queuedRunsPerCaller: 8,
          queuedRunsPerThread: 9,
          headersTimeoutMs: 12,
          requestTimeoutMs: 13,
          stalledMs: 14,
          reauthenticateMs: 1_000,
        },
      },
    ],
    audit: [
      { file: "audit.log", required: true },
      { audit: { kind: "file", path: expect.stringMatching(/heddle-keys-.*audit\.log$/) as string, required: true } },
    ],
    "http.mount_prefix": ["/api/", { http: { basePath: "/api" } }],
    "encryption.path": [
      "./keys.ts:keys",
      { encryption: { from: { kind: "module", path: "./keys.ts:keys" }, strict: false, clearItemFields: [] } },
    ],
    "auth.path": ["./auth.ts:auth", { auth: { source: { kind: "file", path: "./auth.ts:auth" }, cache: null } }],
    "auth.api_key": [
      { owner_key: null, tenant_key: "org", cache_ms: 5, roles: { my_role: ["*"] } },
      {
        auth: {
          source: {
            kind: "ready-made",
            method: "apiKey",
            options: { ownerKey: null, tenantKey: "org", cacheMs: 5, roles: { my_role: ["*"] } },
          },
        },
      },
    ],
    "auth.jwt": [
      { issuer: "https://i", audience: ["a"], jwks_uri: "https://i/k", metadata_claims: { my_team: "team_id" } },
      {
        auth: {
          source: {
            kind: "ready-made",
            method: "jwt",
            options: {
              issuer: "https://i",
              audience: ["a"],
              jwksUri: "https://i/k",
              metadataClaims: { my_team: "team_id" },
            },
          },
        },
      },
    ],
    auth: [
      {
        path: "./auth.ts:auth",
        disable_studio_auth: true,
        cache: { cache_keys: ["Authorization"], ttl_seconds: 1.5, max_size: 2 },
        openapi: { security: [{ key: [] }] },
      },
      {
        auth: {
          disableStudioAuth: true,
          cache: { headers: ["authorization"], ttlMs: 1_500, maxEntries: 2 },
          openapi: { security: [{ key: [] }] },
        },
      },
    ],
    "store.index": [
      { dims: 3, embed: "ollama:a:latest", fields: ["text"], max_texts: 5, timeout_ms: 6 },
      {
        store: {
          index: {
            dims: 3,
            embed: { kind: "model", provider: "ollama", model: "a:latest" },
            fields: ["text"],
            version: null,
            maxTexts: 5,
            concurrency: 4,
            timeoutMs: 6,
          },
        },
      },
    ],
    "checkpointer.ttl": [
      { strategy: "keep_latest", default_ttl: 1.5, sweep_interval_minutes: 10, sweep_limit: 20 },
      { threads: { ttl: { strategy: "keep_latest", ttlMs: 90_000 }, sweepEveryMs: 600_000, sweepLimit: 20 } },
    ],
    "store.ttl": [
      { refresh_on_read: false, default_ttl: 1.5, sweep_interval_minutes: 10 },
      { store: { ttl: { refreshOnRead: false, defaultTtlMs: 90_000, sweepEveryMs: 600_000 } } },
    ],
    ui: [{ agent: "./ui.tsx" }, { ui: { files: { agent: "./ui.tsx" }, shared: [] } }],
    "ui_config.shared": [["lucide-react"], { ui: { files: {}, shared: ["lucide-react"] } }],
    "http.cors": [
      {
        allow_origins: ["https://a.example"],
        allow_methods: ["GET"],
        allow_headers: ["x-a"],
        allow_credentials: true,
        allow_origin_regex: "https://.*\\.b\\.example",
        expose_headers: ["X-Mine"],
        max_age: 5,
      },
      {
        http: {
          cors: {
            allowOrigins: ["https://a.example"],
            allowOriginRegex: /^(?:https:\/\/.*\.b\.example)$/,
            allowMethods: ["GET"],
            allowHeaders: ["x-a"],
            allowCredentials: true,
            exposeHeaders: ["content-location", "x-pagination-total", "location", "x-pagination-next", "x-mine"],
            maxAgeSeconds: 5,
          },
        },
      },
    ],
    "webhooks.headers": [{ "X-A": "b" }, { webhooks: { headers: { "x-a": "b" } } }],
    "webhooks.env_prefix": ["MINE_", { origins: { "webhooks.envPrefix": "langgraph.json" } }],
    "webhooks.url": [
      {
        require_https: false,
        allowed_domains: ["*.example.com"],
        allowed_ports: [443],
        max_url_length: 100,
        disable_loopback: false,
        allow_private_networks: true,
      },
      {
        webhooks: {
          url: {
            requireHttps: false,
            allowedDomains: ["*.example.com"],
            allowedPorts: [443],
            maxUrlLength: 100,
            disableLoopback: false,
            allowPrivateNetworks: true,
          },
        },
      },
    ],
    "webhooks.delivery": [
      { timeout_ms: 1, retry_for_ms: 2, keep_ms: 3, concurrency: 4, per_host: 5 },
      { webhooks: { timeoutMs: 1, retryForMs: 2, keepMs: 3, concurrency: 4, perHost: 5 } },
    ],
    "checkpointer.compress": [true, { database: { compressCheckpoints: true } }],
    ...Object.fromEntries(
      ["assistants", "threads", "runs", "store", "meta", "mcp", "a2a", "ui", "webhooks"].map((group) => [
        `http.disable_${group}`,
        [true, { http: { disabled: { [group]: true } } }],
      ]),
    ),
  };

  it.each(keys("honoured"))("%s is honoured", async (key) => {
    // Other keys of auth mean nothing without a way to authenticate.
    const name = key.startsWith("auth.") && !(key in effects) ? "auth" : key;
    const [value, effect] = effects[name] ?? [];
    expect(effect, `a case for ${key}`).toBeDefined();
    await expect(withKey(name, value)).resolves.toMatchObject(effect ?? {});
  });

  it("takes one way to authenticate, and names what is wrong with it", async () => {
    const jwt = { issuer: "https://i", audience: "a" };
    const wrong: readonly (readonly [object, string])[] = [
      [{ path: "./a.ts", jwt }, "auth"],
      [{ api_key: {}, jwt }, "auth"],
      [{ jwt: { audience: "a" } }, "auth.jwt.issuer"],
      [{ jwt: { ...jwt, isuer: "x" } }, 'auth.jwt: Unrecognized key: "isuer"'],
      [{ api_key: { cache_ms: "1" } }, "auth.api_key.cache_ms"],
    ];
    for (const [auth, field] of wrong) {
      const error = await withKey("auth", auth).catch((caught: unknown) => caught);
      if (!isHeddleError(error)) throw error;
      expect([error.code, error.message.includes(field)], error.message).toEqual(["CONFIG_INVALID", true]);
    }
  });

  it("refuses another loader by name", async () => {
    await expect(withKey("node_loader", "ts-node/esm")).rejects.toMatchObject({ code: "UNSUPPORTED_OPTION" });
  });

  it("keeps credentials off beside a wildcard, and says so", async () => {
    const { http, warnings } = await withKey("http.cors", { allow_credentials: true });
    expect(http.cors).toMatchObject({ allowOrigins: ["*"], allowCredentials: false });
    expect(warnings.join()).toMatch(/credentials/);
  });

  it("allows only what a regular expression matches when it stands alone", async () => {
    const { http } = await withKey("http.cors", { allow_origin_regex: "https://a" });
    expect(http.cors?.allowOrigins).toEqual([]);
    expect(http.cors?.allowOriginRegex?.test("https://a.evil.example")).toBe(false);
    expect(http.cors?.allowOriginRegex?.test("https://a")).toBe(true);
  });
});

describe("the table of environment variables", () => {
  it("has every variable that the wire reference names in part 5.2, but those of other servers", () => {
    const reference = readFileSync(new URL("../../docs/wire/langgraph-api.md", import.meta.url), "utf8");
    const part = reference.slice(reference.indexOf("## 5.2 Environment variables"), reference.indexOf("## 5.3 "));
    const named = [...part.matchAll(/\b[A-Z]{3,}(?:_[A-Z0-9]+)*\b/g)]
      .map(([name]) => name)
      .filter((name) => name.includes("_") || name === "PORT");
    const known = new Set(ENVIRONMENT_VARIABLES.map(({ name }) => name));
    const foreign = new Set(["FF_V2_EVENT_STREAMING"]);
    expect([...new Set(named)].filter((name) => !known.has(name) && !foreign.has(name))).toEqual([]);
  });
});
