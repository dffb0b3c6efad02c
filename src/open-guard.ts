import { openAudit } from "./audit/open-audit.js";
import type { ResolvedConfig } from "./config/resolved-config.js";
import type { AuditLog } from "./core/audit.js";
import type { Clock } from "./core/clock.js";
import type { JsonObject } from "./core/json.js";
import { callerKey } from "./core/limits.js";
import type { Logger } from "./core/logger.js";
import type { MetadataStore } from "./core/metadata-store.js";
import type { OperationListener } from "./core/request-scope.js";
import { settledWithin } from "./core/settled-within.js";
import { createConfigurableHeaders } from "./http/header-rules.js";
import { auditOperation, RequestGuard } from "./http/request-guard.js";
import { createRequestScopes } from "./http/request-scopes.js";
import { createConcurrencyGauge } from "./limits/concurrency.js";
import { withQueueLimits } from "./limits/queued-runs.js";
import { createTokenBuckets } from "./limits/token-bucket.js";

/** How long the last entries of the audit log may take: a stop must not hang on who takes them. */
const CLOSE_WITHIN_MS = 5_000;

/** Limits per caller, headers for runs and the audit log; with none of them there is nothing in a request's way. */
export interface OpenGuard {
  readonly guard: RequestGuard | null;
  /** What services tell of operations; `null`: nobody listens. */
  readonly onOperation: OperationListener | null;
  /** From the headers of the request at hand, for the `configurable` of its runs; `null`: nothing is. */
  readonly requestConfigurable: (() => JsonObject) | null;
  /** The store as services are to use it. */
  limited(store: MetadataStore): MetadataStore;
  close(): Promise<void>;
}

/**
 * Open what requests are held to.
 * @throws HeddleError `CONFIG_INVALID` for an audit file that can't be written, `STORAGE_UNAVAILABLE` when Redis refuses
 */
export async function openGuard(
  config: ResolvedConfig,
  deps: { readonly clock: Clock; readonly logger: Logger },
): Promise<OpenGuard> {
  const { limits, http } = config;
  const { queuedRunsPerThread: perThread, queuedRunsPerCaller: perCaller } = limits;
  const configurableHeaders = createConfigurableHeaders(http.configurableHeaders);
  const scopes = createRequestScopes();
  const limitsQueue = perThread !== null || perCaller !== null;
  const isNeeded = [limits.requestsPerCaller, limits.streamsPerCaller, perCaller, configurableHeaders, config.audit];
  const requests = await openRequestLimiter(config, deps);
  let audit: AuditLog | null = null;
  try {
    audit = config.audit === null ? null : await openAudit(config.audit, deps.logger);
  } catch (error) {
    await requests?.close();
    throw error;
  }
  const callerOf = (): string | null => {
    const scope = scopes.current();
    // The deployer's own code asks without a request.
    if (scope === null || (scope.isInternal && scope.caller.identity === null)) return null;
    return callerKey(scope.caller, scope.address);
  };
  return {
    guard: isNeeded.every((part) => part === null)
      ? null
      : new RequestGuard({
          requests,
          streams: limits.streamsPerCaller === null ? null : createConcurrencyGauge(limits.streamsPerCaller),
          audit,
          scopes,
          configurableHeaders,
          trustedProxyHops: http.trustedProxyHops,
          clock: deps.clock,
        }),
    onOperation: audit === null ? null : auditOperation(audit, scopes),
    requestConfigurable: configurableHeaders === null ? null : () => scopes.current()?.configurable ?? {},
    limited: (store) => (limitsQueue ? withQueueLimits(store, { perThread, perCaller }, callerOf, deps.clock) : store),
    async close() {
      if (audit !== null && !(await settledWithin(deps.clock, CLOSE_WITHIN_MS, audit.close()))) {
        deps.logger.warn({}, "closing without the last entries of the audit log");
      }
      await requests?.close();
    },
  };
}

async function openRequestLimiter(config: ResolvedConfig, deps: { readonly clock: Clock; readonly logger: Logger }) {
  const rate = config.limits.requestsPerCaller;
  if (rate === null) return null;
  if (config.redis === null) return createTokenBuckets(rate, deps);
  const { openRedisTokenBuckets } = await import("./limits/redis-token-bucket.js");
  return openRedisTokenBuckets(config.redis, rate, { ...deps, cwd: config.storage.cwd });
}
