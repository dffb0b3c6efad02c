import type { RunConfig } from "../core/assistant.js";
import type { Caller } from "../core/auth.js";
import { ANONYMOUS } from "../core/auth.js";
import type { JsonObject, JsonValue } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import type { Run } from "../core/run.js";

const hasKeys = (value: unknown): value is JsonObject => isJsonObject(value) && Object.keys(value).length > 0;

/**
 * Keep `config.configurable` and `context` in step when only one of them is given, as the Platform does: older graphs
 * read the first, newer ones the second (docs/wire/langgraph-api.md §2.3.1, §2.9.1).
 */
export function mirrorContext(
  config: RunConfig,
  context: JsonValue | undefined,
): { readonly config: RunConfig; readonly context: JsonValue | undefined } {
  const configurable = config["configurable"];
  if (hasKeys(context) && !hasKeys(configurable)) return { config: { ...config, configurable: context }, context };
  if (hasKeys(configurable) && !hasKeys(context) && (context === undefined || isJsonObject(context))) {
    return { config, context: configurable };
  }
  return { config, context };
}

/** Assistant config ⊕ run config: top-level keys replace, `configurable` and `metadata` merge key by key (§2.9.1 step 2). */
export function mergeConfig(base: RunConfig, over: RunConfig): RunConfig {
  const merged: Record<string, JsonValue | undefined> = { ...base, ...over };
  for (const key of ["configurable", "metadata"] as const) {
    if (isJsonObject(base[key]) && isJsonObject(over[key])) merged[key] = { ...base[key], ...over[key] };
  }
  return merged;
}

/** Assistant context ⊕ run context: shallow; a context that is not an object wins as it is. */
export function mergeContext(base: JsonValue, over: JsonValue | undefined): JsonValue | undefined {
  if (over === undefined) return hasKeys(base) || !isJsonObject(base) ? base : undefined;
  return isJsonObject(base) && isJsonObject(over) ? { ...base, ...over } : over;
}

const CALLER_KEY = /^langgraph_auth_/;

/** A config without what only the server says of a caller: whoever sends it would be believed. */
export function withoutCaller(config: RunConfig): RunConfig {
  const configurable = config["configurable"];
  if (!isJsonObject(configurable) || !Object.keys(configurable).some((key) => CALLER_KEY.test(key))) return config;
  const kept = Object.entries(configurable).filter(([key]) => !CALLER_KEY.test(key));
  return { ...config, configurable: Object.fromEntries(kept) };
}

/** What a graph may know of its caller (docs/wire/langgraph-api.md §2.9.1, §7.5). */
export function callerConfigurable(caller: Caller): JsonObject {
  if (caller.identity === null) return {};
  return {
    langgraph_auth_user: caller.user,
    langgraph_auth_user_id: caller.identity,
    langgraph_auth_permissions: caller.permissions,
  };
}

/** Who created a run, as it is stored with it: for what its graph asks of the server. */
export function callerOfRun(run: Run): Caller {
  const configurable = run.kwargs.config["configurable"];
  if (!isJsonObject(configurable)) return ANONYMOUS;
  const { langgraph_auth_user: user, langgraph_auth_user_id: identity } = configurable;
  const { langgraph_auth_permissions: permissions } = configurable;
  if (typeof identity !== "string") return ANONYMOUS;
  return {
    identity,
    permissions: Array.isArray(permissions) ? permissions.filter((one) => typeof one === "string") : [],
    user: isJsonObject(user) ? user : null,
  };
}

/** Add keys to `config.configurable`; they win over what is there. */
export function withConfigurable(config: RunConfig, extra: JsonObject): RunConfig {
  if (Object.keys(extra).length === 0) return config;
  const configurable = config["configurable"];
  return { ...config, configurable: { ...(isJsonObject(configurable) ? configurable : {}), ...extra } };
}
