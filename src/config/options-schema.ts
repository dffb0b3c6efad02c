import { z } from "zod";
import { isAuthFactory } from "../core/auth.js";
import {
  authOpenapi,
  BASE_PATH_RULE,
  HEADER_NAME,
  HEADER_RULE,
  isBasePath,
  isRegExp,
} from "./langgraph-json-schema.js";
import { cronsOptions } from "./resolve-crons.js";
import { protocolsOptions } from "./resolve-protocols.js";
import { webhooksOptions } from "./resolve-webhooks.js";
import { auditOptions, headerPatterns, limitsOptions } from "./limits-schema.js";
import { type AppOptions, LOG_LEVELS, MIDDLEWARE_ORDERS, ROLES, ROUTE_GROUPS } from "./options.js";
import type { ConfigProblem } from "./problem.js";
import { threadsOptions } from "./threads-options.js";
import { storeOptions } from "./store-schema.js";

/** Longest delay that Node's timers take. */
const MAX_MS = 2 ** 31 - 1;

const milliseconds = z.number().int().min(1).max(MAX_MS).optional();
const bytes = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional();
const strings = z.array(z.string()).optional();

const SAVER_METHODS = ["getTuple", "list", "put", "putWrites", "deleteThread"];
const LOGGER_METHODS = ["debug", "info", "warn", "error"];

const authSource = z.custom(
  (value) => isFilled(value) || isAuthFactory(value) || hasHandlerCache(value),
  "must be the SDK's Auth object, one of Heddle's own, or \"file:export\"",
);

const authOptions = z.strictObject({
  use: authSource,
  disableStudioAuth: z.boolean().optional(),
  cache: z
    .strictObject({
      headers: z.array(z.string().regex(HEADER_NAME, HEADER_RULE)).min(1, "must name the headers that decide who asks"),
      ttlMs: milliseconds,
      maxEntries: z.number().int().min(1).max(1_000_000).optional(),
    })
    .optional(),
  openapi: authOpenapi.optional(),
});

const appOptions = z.strictObject({
  graphs: z
    .record(
      z.string().min(1),
      z.custom(
        (graph) => (typeof graph === "object" && graph !== null) || typeof graph === "function" || isFilled(graph),
        'must be a graph, a function that makes one, or "file:export"',
      ),
    )
    .optional(),
  config: z.string().min(1).optional(),
  storage: z.string().optional(),
  checkpointer: z
    .custom(
      (value) => typeof value === "string" || hasMethods(value, SAVER_METHODS),
      `must be a URI, or a LangGraph checkpoint saver with ${SAVER_METHODS.join(", ")}`,
    )
    .optional(),
  allowEphemeral: z.boolean().optional(),
  redis: z.string().optional(),
  database: z
    .strictObject({
      maxConnections: z.number().int().min(1).max(10_000).optional(),
      directUri: z.string().optional(),
      compressCheckpoints: z.boolean().optional(),
    })
    .optional(),
  encryption: z
    .strictObject({
      keys: z
        .custom(
          (keys) =>
            isFilled(keys) ||
            typeof keys === "function" ||
            (Array.isArray(keys) && keys.length > 0 && keys.every(isFilled)),
          "must be a key, a list of keys with the active one first, or a function that returns { active, keys }",
        )
        .optional(),
      keyFile: z.string().min(1).optional(),
      strict: z.boolean().optional(),
      clearItemFields: z.array(z.string().min(1)).optional(),
    })
    .optional(),
  role: z.enum(ROLES).optional(),
  worker: z
    .strictObject({
      concurrency: z.number().int().min(0).max(10_000).optional(),
      leaseMs: z.number().int().min(1_000).max(MAX_MS).optional(),
      drainMs: z.number().int().min(0).max(MAX_MS).optional(),
      maxAttempts: z.number().int().min(1).max(1_000).optional(),
      pollMs: milliseconds,
      runTimeoutMs: milliseconds,
      maxBlockedMs: milliseconds,
    })
    .optional(),
  auth: z.union([authSource, authOptions]).optional(),
  http: z
    .strictObject({
      basePath: z.string().refine(isBasePath, BASE_PATH_RULE).optional(),
      cors: z
        .union([
          z.literal(false),
          z.strictObject({
            allowOrigins: strings,
            allowOriginRegex: z.string().refine(isRegExp, "must be a regular expression").optional(),
            allowMethods: strings,
            allowHeaders: strings,
            allowCredentials: z.boolean().optional(),
            exposeHeaders: strings,
            maxAgeSeconds: z.number().int().min(0).optional(),
          }),
        ])
        .optional(),
      disable: z.array(z.enum(ROUTE_GROUPS)).optional(),
      maxBodyBytes: bytes,
      app: z
        .custom((value) => isFilled(value) || isHonoApp(value), 'must be a Hono app, or "file:export" of one')
        .optional(),
      middlewareOrder: z.enum(MIDDLEWARE_ORDERS).optional(),
      enableCustomRouteAuth: z.boolean().optional(),
      configurableHeaders: headerPatterns.optional(),
      loggingHeaders: headerPatterns.optional(),
      trustedProxyHops: z.number().int().min(0).max(32).optional(),
    })
    .optional(),
  limits: limitsOptions.optional(),
  webhooks: webhooksOptions.optional(),
  crons: cronsOptions.optional(),
  store: storeOptions.optional(),
  threads: threadsOptions.optional(),
  audit: z.union([z.custom((value) => typeof value === "function", "must be a function"), auditOptions]).optional(),
  streaming: z
    .strictObject({
      eventLogTtlMs: z.number().int().min(0).max(MAX_MS).optional(),
      unreadTtlMs: z.number().int().min(0).max(MAX_MS).optional(),
      maxBytes: bytes,
      heartbeatMs: milliseconds,
    })
    .optional(),
  ui: z.record(z.string().min(1), z.string().min(1)).optional(),
  uiConfig: z.strictObject({ shared: z.array(z.string().min(1)).optional() }).optional(),
  logger: z
    .custom((value) => hasMethods(value, LOGGER_METHODS), `must have the methods ${LOGGER_METHODS.join(", ")}`)
    .optional(),
  protocols: protocolsOptions.optional(),
  logLevel: z.enum(LOG_LEVELS).optional(),
  env: z.record(z.string(), z.string().optional()).optional(),
  cwd: z.string().min(1).optional(),
});

/** What is wrong with the options of `createApp`, by field. Values are never quoted: they may be secrets. */
export function checkOptions(options: AppOptions): readonly ConfigProblem[] {
  const parsed = appOptions.safeParse(options);
  if (parsed.success) return [];
  return parsed.error.issues.flatMap(problemsOfIssue);
}

function problemsOfIssue(issue: z.core.$ZodIssue): readonly ConfigProblem[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const field = [...path, key].join(".");
      return { code: "CONFIG_INVALID", field, message: "There is no such option." };
    });
  }
  if (issue.code === "invalid_union") {
    // The union's other member is `false`: what is wrong with the object is what the user wants to know.
    const inner = issue.errors.flat().filter((nested) => nested.path.length > 0 || nested.code === "unrecognized_keys");
    if (inner.length > 0)
      return inner.flatMap((nested) => problemsOfIssue({ ...nested, path: [...issue.path, ...nested.path] }));
  }
  return [{ code: "CONFIG_INVALID", field: path.join(".") || "options", message: `${issue.message}.` }];
}

function hasHandlerCache(value: unknown): boolean {
  return typeof value === "object" && value !== null && "~handlerCache" in value;
}

/** By its shape: the user's project may carry another copy of Hono. */
function isHonoApp(value: unknown): boolean {
  return hasMethods(value, ["fetch", "route", "use"]) && Array.isArray((value as { readonly routes?: unknown }).routes);
}

function isFilled(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function hasMethods(value: unknown, methods: readonly string[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  return methods.every((method) => typeof (value as Record<string, unknown>)[method] === "function");
}
