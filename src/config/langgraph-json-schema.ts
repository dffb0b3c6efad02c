import { z } from "zod";
import { AUTH_METHODS, readyMadeSections } from "./ready-made-auth.js";
import { cronsSection } from "./resolve-crons.js";
import { protocolsSection } from "./resolve-protocols.js";
import { webhooksSection } from "./resolve-webhooks.js";
import { auditSection, headerPatterns, limitsSection } from "./limits-schema.js";
import { checkpointerSection } from "./threads-options.js";
import { storeSection } from "./store-schema.js";

/** The rule that {@link isBasePath} checks, as a sentence. */
export const BASE_PATH_RULE = "must start with / and hold no spaces and none of : * ? # { } \\";

const strings = z.array(z.string());

/** A header's name (RFC 9110 §5.1). */
export const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
export const HEADER_RULE = "must be the name of a header";

const anyObject = z.record(z.string(), z.json());

/** What `auth.openapi` may add to the document. */
export const authOpenapi = z.strictObject({
  securitySchemes: anyObject.optional(),
  security: z.array(z.record(z.string(), z.array(z.string()))).optional(),
  /** By path and method. */
  paths: z.record(z.string().startsWith("/"), anyObject).optional(),
});

/** `http.cors` (docs/wire/langgraph-api.md §2.1.3). */
const corsSection = z.object({
  allow_origins: strings.optional(),
  allow_methods: strings.optional(),
  allow_headers: strings.optional(),
  allow_credentials: z.boolean().optional(),
  allow_origin_regex: z.string().refine(isRegExp, "must be a regular expression").optional(),
  expose_headers: strings.optional(),
  max_age: z.number().int().nonnegative().optional(),
});

const httpSection = z.object({
  disable_assistants: z.boolean().optional(),
  disable_threads: z.boolean().optional(),
  disable_runs: z.boolean().optional(),
  disable_store: z.boolean().optional(),
  disable_meta: z.boolean().optional(),
  disable_mcp: z.boolean().optional(),
  disable_a2a: z.boolean().optional(),
  disable_ui: z.boolean().optional(),
  disable_webhooks: z.boolean().optional(),
  cors: corsSection.optional(),
  app: z.string().min(1).optional(),
  middleware_order: z.enum(["auth_first", "middleware_first"]).optional(),
  enable_custom_route_auth: z.boolean().optional(),
  configurable_headers: headerPatterns.nullish(),
  logging_headers: headerPatterns.nullish(),
  trusted_proxy_hops: z.number().int().min(0).max(32).optional(),
  mount_prefix: z.string().refine(isBasePath, BASE_PATH_RULE).optional(),
});

/** `auth` (docs/wire/langgraph-api.md §5.1), with ways of ours beside `path`. */
const authSection = z
  .object({
    path: z.string().min(1).optional(),
    ...readyMadeSections,
    disable_studio_auth: z.boolean().optional(),
    cache: z
      .object({
        cache_keys: z
          .array(z.string().regex(HEADER_NAME, HEADER_RULE))
          .min(1, "must name the headers that decide who asks"),
        ttl_seconds: z.number().positive().max(86_400).optional(),
        max_size: z.number().int().min(1).max(1_000_000).optional(),
      })
      .optional(),
    openapi: authOpenapi.optional(),
  })
  .refine(
    (auth) => AUTH_METHODS.filter((method) => auth[method] !== undefined).length <= 1,
    `must have one of ${AUTH_METHODS.join(", ")}`,
  );

const graphFile = z
  .string()
  .min(1)
  .refine((path) => !/\.(?:py|ipynb)(?::|$)/.test(path), "is a Python graph; Heddle serves JavaScript and TypeScript");

/** The keys that Heddle honours; the others are judged by `LANGGRAPH_JSON_KEYS`. */
export const manifestSchema = z.object({
  graphs: z
    .record(
      z.string().min(1),
      z.union([graphFile, z.object({ path: graphFile, description: z.string().nullish() })]),
      'must be an object of graphs: {"agent": "./src/agent.ts:graph"}',
    )
    .optional(),
  env: z
    .union(
      [z.string(), z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String))],
      "must be the path of a dotenv file, or a map of variables; a list is not supported",
    )
    .optional(),
  node_version: z
    .union([z.string(), z.number()])
    .transform(String)
    .refine((version) => /^\d+(?:\.\d+)*$/.test(version), 'must be a version of Node, e.g. "24"')
    .optional(),
  node_loader: z.string().optional(),
  http: httpSection.optional(),
  limits: limitsSection.optional(),
  webhooks: webhooksSection.optional(),
  crons: cronsSection.optional(),
  protocols: protocolsSection.optional(),
  store: storeSection.optional(),
  checkpointer: checkpointerSection.optional(),
  audit: auditSection.optional(),
  auth: authSection.optional(),
  encryption: z
    .object({
      path: z
        .string()
        .min(1)
        .refine(
          (path) => !/\.py(?::|$)/.test(path),
          "is a Python module; Heddle takes a JavaScript or TypeScript function that returns { active, keys }",
        )
        .optional(),
    })
    .optional(),
  ui: z
    .record(z.string().min(1), z.string().min(1), 'must be an object of files: {"agent": "./src/ui.tsx"}')
    .optional(),
  ui_config: z.object({ shared: z.array(z.string().min(1)).optional() }).optional(),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** True for `""`, `/` and `/segments` without characters that mean something in a route. */
export function isBasePath(path: string): boolean {
  return path === "" || /^\/[^\s:*?#{}\\]*$/.test(path);
}

/** True when `new RegExp(source)` accepts it. */
export function isRegExp(source: string): boolean {
  try {
    return new RegExp(source) instanceof RegExp;
  } catch {
    return false;
  }
}
