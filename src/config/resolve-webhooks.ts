import { z } from "zod";
import { SECRET_RULE, signingKey } from "../core/webhook-secret.js";
import { type EnvSettings, type Environment, SECRETS_VARIABLE } from "./env.js";
import type { ConfigProblem } from "./problem.js";
import type { SettingPicker } from "./setting-picker.js";

/** Which URLs runs may name as their webhook (docs/wire/langgraph-api.md §5.1). */
export interface WebhookUrlOptions {
  /** Default true. */
  readonly requireHttps?: boolean;
  /** Host names, or `*.example.com` for all below one. Default: any. */
  readonly allowedDomains?: readonly string[];
  /** Default: any. */
  readonly allowedPorts?: readonly number[];
  /** Default 65,536. */
  readonly maxUrlLength?: number;
  /** No loopback addresses, and no webhooks that begin with `/`. Default true. */
  readonly disableLoopback?: boolean;
  /** Addresses of private networks, too; never those of metadata services. Default false. */
  readonly allowPrivateNetworks?: boolean;
}

/** Webhooks of runs (docs/guides/webhooks.md). */
export interface WebhooksOptions {
  /** `whsec_…`; all of them sign, so that receivers can change from one to the next. Default: nothing is signed. */
  readonly secrets?: string | readonly string[];
  /** Sent with each webhook; values may hold `${{ env.NAME }}`. Default none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What names of variables in `headers` begin with. Default `LG_WEBHOOK_`. */
  readonly envPrefix?: string;
  readonly url?: WebhookUrlOptions;
  /** How long one attempt may take. Default 10,000. */
  readonly timeoutMs?: number;
  /** How long a webhook is tried again. Default 86,400,000 (a day). */
  readonly retryForMs?: number;
  /** How long what is delivered or given up stays in the log. Default 259,200,000 (three days). */
  readonly keepMs?: number;
  /** Webhooks under way at once in this process. Default 128. */
  readonly concurrency?: number;
  /** Of them to one host. Default 4. */
  readonly perHost?: number;
}

export interface ResolvedWebhooks {
  /** The one that receivers should have comes first. */
  readonly secrets: readonly string[];
  /** Without templates: values may be secrets. */
  readonly headers: Readonly<Record<string, string>>;
  readonly url: {
    readonly requireHttps: boolean;
    /** `null`, here and below: any. */
    readonly allowedDomains: readonly string[] | null;
    readonly allowedPorts: readonly number[] | null;
    readonly maxUrlLength: number;
    readonly disableLoopback: boolean;
    readonly allowPrivateNetworks: boolean;
  };
  readonly timeoutMs: number;
  readonly retryForMs: number;
  readonly keepMs: number;
  readonly concurrency: number;
  readonly perHost: number;
}

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const DOMAIN = /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/i;
/** Ours, or those that frame a request. */
const OWN_HEADERS = /^(?:webhook-.*|host|content-length|content-type|transfer-encoding|connection)$/i;
const MAX_MS = 2 ** 31 - 1;
const MAX_URL_LENGTH = 65_536;

const headers = z.record(
  z
    .string()
    .regex(HEADER_NAME, "must be the name of a header")
    .refine((name) => !OWN_HEADERS.test(name), "is set by the server itself"),
  z.string(),
);
const domain = z.string().regex(DOMAIN, "must be a host name, or *.name for all below one");
const port = z.number().int().min(1).max(65_535);
const ms = z.number().int().min(1).max(MAX_MS);
const keepMs = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const count = z.number().int().min(1).max(10_000);
const secret = z.string().refine((text) => signingKey(text) !== null, SECRET_RULE);

/** `webhooks` of createApp. */
export const webhooksOptions = z.strictObject({
  secrets: z.union([secret, z.array(secret)], SECRET_RULE).optional(),
  headers: headers.optional(),
  envPrefix: z.string().min(1).optional(),
  url: z
    .strictObject({
      requireHttps: z.boolean().optional(),
      allowedDomains: z.array(domain).optional(),
      allowedPorts: z.array(port).optional(),
      maxUrlLength: z.number().int().min(1).max(MAX_URL_LENGTH).optional(),
      disableLoopback: z.boolean().optional(),
      allowPrivateNetworks: z.boolean().optional(),
    })
    .optional(),
  timeoutMs: ms.optional(),
  retryForMs: keepMs.optional(),
  keepMs: keepMs.optional(),
  concurrency: count.optional(),
  perHost: count.optional(),
});

/** `webhooks` of langgraph.json; `delivery` and `allow_private_networks` are Heddle's own. */
export const webhooksSection = z.object({
  headers: headers.nullish(),
  env_prefix: z.string().min(1).nullish(),
  url: z
    .object({
      require_https: z.boolean().nullish(),
      allowed_domains: z.array(domain).nullish(),
      allowed_ports: z.array(port).nullish(),
      max_url_length: z.number().int().min(1).max(MAX_URL_LENGTH).nullish(),
      disable_loopback: z.boolean().nullish(),
      allow_private_networks: z.boolean().nullish(),
    })
    .nullish(),
  delivery: z
    .object({
      timeout_ms: ms.optional(),
      retry_for_ms: keepMs.optional(),
      keep_ms: keepMs.optional(),
      concurrency: count.optional(),
      per_host: count.optional(),
    })
    .optional(),
});

type WebhooksSection = z.output<typeof webhooksSection>;

/** Everything of `webhooks`, with the templates of its headers filled in. */
export function resolveWebhooks(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: { readonly webhooks?: WebhooksOptions };
  readonly env: Pick<EnvSettings, "webhookSecrets">;
  readonly manifest: { readonly webhooks?: WebhooksSection | undefined };
  /** Where templates find their variables. */
  readonly environment: Environment;
  readonly problems: ConfigProblem[];
}): ResolvedWebhooks {
  const { options, env, manifest, environment, problems } = params;
  const option = options.webhooks;
  const section = manifest.webhooks;
  const setting = <T>(name: string, ours: T | undefined, theirs: T | null | undefined, fallback: T): T =>
    params.pick<T>(`webhooks.${name}`, { option: ours, "langgraph.json": theirs ?? undefined, default: fallback });
  const secrets = params.pick<readonly string[]>("webhooks.secrets", {
    option: typeof option?.secrets === "string" ? [option.secrets] : option?.secrets,
    environment: env.webhookSecrets,
    default: [],
  });
  if (env.webhookSecrets?.some((text) => signingKey(text) === null) === true) {
    problems.push({ code: "CONFIG_INVALID", field: SECRETS_VARIABLE, message: `${SECRET_RULE}; several with commas.` });
  }
  const prefix = setting("envPrefix", option?.envPrefix, section?.env_prefix, "LG_WEBHOOK_");
  const templates = setting("headers", option?.headers, section?.headers, {});
  const delivery = section?.delivery;
  return {
    secrets: [...secrets],
    headers: filledHeaders(templates, { prefix, environment, problems }),
    url: {
      requireHttps: setting("url.requireHttps", option?.url?.requireHttps, section?.url?.require_https, true),
      allowedDomains: setting<readonly string[] | null>(
        "url.allowedDomains",
        option?.url?.allowedDomains,
        section?.url?.allowed_domains,
        null,
      ),
      allowedPorts: setting<readonly number[] | null>(
        "url.allowedPorts",
        option?.url?.allowedPorts,
        section?.url?.allowed_ports,
        null,
      ),
      maxUrlLength: setting(
        "url.maxUrlLength",
        option?.url?.maxUrlLength,
        section?.url?.max_url_length,
        MAX_URL_LENGTH,
      ),
      disableLoopback: setting(
        "url.disableLoopback",
        option?.url?.disableLoopback,
        section?.url?.disable_loopback,
        true,
      ),
      allowPrivateNetworks: setting(
        "url.allowPrivateNetworks",
        option?.url?.allowPrivateNetworks,
        section?.url?.allow_private_networks,
        false,
      ),
    },
    timeoutMs: setting("timeoutMs", option?.timeoutMs, delivery?.timeout_ms, 10_000),
    retryForMs: setting("retryForMs", option?.retryForMs, delivery?.retry_for_ms, 24 * 3_600_000),
    keepMs: setting("keepMs", option?.keepMs, delivery?.keep_ms, 3 * 24 * 3_600_000),
    concurrency: setting("concurrency", option?.concurrency, delivery?.concurrency, 128),
    perHost: setting("perHost", option?.perHost, delivery?.per_host, 4),
  };
}

const TEMPLATE = /\$\{\{(.*?)\}\}/gs;

function filledHeaders(
  templates: Readonly<Record<string, string>>,
  { prefix, environment, problems }: { prefix: string; environment: Environment; problems: ConfigProblem[] },
): Readonly<Record<string, string>> {
  const refuse = (name: string, message: string): string => {
    problems.push({ code: "CONFIG_INVALID", field: `webhooks.headers.${name}`, message });
    return "";
  };
  const filled = Object.entries(templates).map(([name, template]) => {
    const value = template.replaceAll(TEMPLATE, (_, inside: string) => {
      const variable = /^\s*env\.(\w+)\s*$/.exec(inside)?.[1];
      if (variable === undefined) return refuse(name, "holds a template other than ${{ env.NAME }}.");
      if (!variable.startsWith(prefix)) {
        return refuse(name, `names the variable ${variable}, and only those that begin with ${prefix} may be sent.`);
      }
      return environment[variable] ?? refuse(name, `needs the variable ${variable}, which is not set.`);
    });
    // A value with a line break would be another header.
    if (!/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value)) refuse(name, "has characters that no header can have.");
    return [name.toLowerCase(), value] as const;
  });
  return Object.fromEntries(filled);
}
