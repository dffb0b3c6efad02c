import { expect, it } from "vitest";
import { ENVIRONMENT_VARIABLES, type EnvSettings, readEnv } from "../../src/config/env.js";
import type { ConfigProblem } from "../../src/config/problem.js";

/** The settings that one variable alone makes, and what it complains about. */
function read(name: string, value: string): EnvSettings & { readonly problems: readonly ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  return { ...readEnv({ [name]: value }, problems), problems };
}

const section = (name: string, key: string) => [
  `{"a":1}`,
  { sections: { [key]: { value: { a: 1 }, variable: name } } },
];

/** Of each variable: a value, and the setting that it makes. */
const effects: Readonly<Record<string, readonly unknown[]>> = {
  DATABASE_URI: ["sqlite:a", { storage: "sqlite:a", storageVariable: "DATABASE_URI" }],
  POSTGRES_URI: ["postgres://a", { storage: "postgres://a", storageVariable: "POSTGRES_URI" }],
  MONGODB_URI: ["mongodb://a", { storage: "mongodb://a", storageVariable: "MONGODB_URI" }],
  POSTGRES_DIRECT_URI: ["postgres://b", { directUri: "postgres://b" }],
  HEDDLE_COMPRESS_CHECKPOINTS: ["true", { compressCheckpoints: true }],
  LANGGRAPH_POSTGRES_POOL_MAX_SIZE: ["7", { maxConnections: 7 }],
  REDIS_URI: ["redis://a", { redis: "redis://a" }],
  HEDDLE_ROLE: ["Worker", { role: "worker" }],
  HEDDLE_AUDIT_LOG: ["/var/log/audit.jsonl", { auditFile: "/var/log/audit.jsonl" }],
  HEDDLE_TRUSTED_PROXY_HOPS: ["1", { trustedProxyHops: 1 }],
  HEDDLE_LIMITS: [
    '{"streams_per_caller":1}',
    { sections: { limits: { value: { streams_per_caller: 1 }, variable: "HEDDLE_LIMITS" } } },
  ],
  HEDDLE_PROTOCOLS: [
    '["openwop@/"]',
    { sections: { protocols: { value: ["openwop@/"], variable: "HEDDLE_PROTOCOLS" } } },
  ],
  HEDDLE_CRONS: [
    '{"missed_ticks":"once"}',
    { sections: { crons: { value: { missed_ticks: "once" }, variable: "HEDDLE_CRONS" } } },
  ],
  HEDDLE_ENCRYPTION_KEY: ["k1:abc", { encryption: { keys: "k1:abc" } }],
  HEDDLE_ENCRYPTION_KEY_FILE: ["/run/keys", { encryption: { keyFile: "/run/keys" } }],
  HEDDLE_ENCRYPTION_STRICT: ["true", { encryption: { strict: true } }],
  HEDDLE_ENCRYPTION_CLEAR_ITEM_FIELDS: ["kind, owner", { encryption: { clearItemFields: ["kind", "owner"] } }],
  BG_JOB_TIMEOUT_SECS: ["90", { runTimeoutMs: 90_000 }],
  PORT: ["3000", { port: 3000 }],
  HOST: ["0.0.0.0", { host: "0.0.0.0" }],
  LOG_LEVEL: ["WARNING", { logLevel: "warn" }],
  LOG_JSON: ["true", { logJson: true }],
  LANGGRAPH_CONFIG: [`{"agent":{"tags":["t"]}}`, { systemAssistants: { agent: { config: { tags: ["t"] } } } }],
  LANGSERVE_GRAPHS: section("LANGSERVE_GRAPHS", "graphs"),
  LANGGRAPH_UI: section("LANGGRAPH_UI", "ui"),
  LANGGRAPH_UI_CONFIG: section("LANGGRAPH_UI_CONFIG", "ui_config"),
  LANGGRAPH_STORE: section("LANGGRAPH_STORE", "store"),
  LANGGRAPH_AUTH: section("LANGGRAPH_AUTH", "auth"),
  LANGGRAPH_HTTP: section("LANGGRAPH_HTTP", "http"),
  LANGGRAPH_WEBHOOKS: section("LANGGRAPH_WEBHOOKS", "webhooks"),
  HEDDLE_WEBHOOK_SECRETS: ["whsec_a, whsec_b", { webhookSecrets: ["whsec_a", "whsec_b"] }],
  LANGGRAPH_CHECKPOINTER: ["postgres://c", { checkpointer: "postgres://c" }],
  LANGGRAPH_ENCRYPTION: section("LANGGRAPH_ENCRYPTION", "encryption"),
  LANGGRAPH_NODE_LOADER: ["tsx", { sections: { node_loader: { value: "tsx", variable: "LANGGRAPH_NODE_LOADER" } } }],
  LANGGRAPH_API_URL: ["https://a.example", { apiUrl: "https://a.example" }],
  LANGGRAPH_SCHEMA_RESOLVE_TIMEOUT_MS: ["5", { schemaTimeoutMs: 5 }],
  LANGSMITH_API_KEY: ["key", { langsmith: { hasApiKey: true, tracing: true } }],
  LANGCHAIN_API_KEY: ["key", { langsmith: { hasApiKey: true, tracing: true } }],
  HTTP_MAX_REQUEST_BODY_BYTES: ["100", { maxBodyBytes: 100 }],
};

const switches = ["LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2"];
/** There is nothing to do. */
const withoutEffect = ["BROWSER"];

it.each(Object.keys(effects))("%s is read", (name) => {
  const [value, expected] = effects[name] ?? [];
  expect(read(name, String(value))).toMatchObject({ problems: [], ...(expected as object) });
  // Without it the setting is another: the variable made the difference.
  expect({ ...readEnv({}, []) }).not.toMatchObject(expected as object);
});

it.each(switches)("%s switches tracing off", (name) => {
  const on = readEnv({ LANGSMITH_API_KEY: "key", [name]: "true" }, []);
  const off = readEnv({ LANGSMITH_API_KEY: "key", [name]: "False" }, []);
  expect([on.langsmith.tracing, off.langsmith.tracing]).toEqual([true, false]);
});

it("LANGGRAPH_CHECKPOINTER is the section, too, and nothing else", () => {
  expect(read("LANGGRAPH_CHECKPOINTER", `{"a":1}`)).toMatchObject({
    problems: [],
    checkpointer: undefined,
    sections: { checkpointer: { value: { a: 1 }, variable: "LANGGRAPH_CHECKPOINTER" } },
  });
  const { problems, checkpointer, sections } = read("LANGGRAPH_CHECKPOINTER", "secret/postgres");
  expect({ checkpointer, sections }).toEqual({ checkpointer: undefined, sections: {} });
  expect(problems).toMatchObject([{ code: "CONFIG_INVALID", field: "LANGGRAPH_CHECKPOINTER" }]);
  expect(problems[0]?.message).toMatch(/must be a URI \(postgres:.*\) or JSON\.$/);
});

it("every variable of the table has its case", () => {
  const cases = [...Object.keys(effects), ...switches, ...withoutEffect];
  expect(ENVIRONMENT_VARIABLES.map(({ name }) => name).toSorted()).toEqual(cases.toSorted());
});
