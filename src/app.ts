import type { Hono } from "hono";
import { type ApiKeyAdmin, createApiKeyAdmin } from "./auth/api-key-admin.js";
import type { AppOptions } from "./config/options.js";
import { resolveConfig } from "./config/resolve.js";
import type { ResolvedConfig } from "./config/resolved-config.js";
import { type Caller, SERVER } from "./core/auth.js";
import type { HeddleError } from "./core/errors.js";
import type { ObserveRun } from "./core/run-observer.js";
import type { StreamTicketStore } from "./core/stream-ticket.js";
import type { Logger } from "./core/logger.js";
import type { WebhookPolicy } from "./core/webhook.js";
import type { MetadataStore } from "./core/metadata-store.js";
import { createIndexedItems } from "./embeddings/indexed-items.js";
import { createReembedding } from "./embeddings/reembed.js";
import type { GraphFailure } from "./engine/loading/load-graph.js";
import { apiPaths, createHttpApp } from "./http/create-http-app.js";
import { askedAgain } from "./http/credentials-watch.js";
import type { HttpDeps } from "./http/http-deps.js";
import { INTERNAL_ENV } from "./http/remote-address.js";
import { withQueryCredentials } from "./http/query-credentials.js";
import { withStreamTickets } from "./http/stream-ticket.js";
import { settledWithin } from "./core/settled-within.js";
import { createLogger } from "./logging/logger.js";
import { eventStreamRoutes } from "./protocols/event-stream/index.js";
import { expiryOptions, httpSettings, runtimeOptions, serverInfo, tickPolicy } from "./app-settings.js";
import type { Protocol } from "./protocols/protocol.js";
import type { OpenAuth } from "./open-auth.js";
import { openEngine } from "./open-engine.js";
import { CLOSE_WITHIN_MS, closeParts, openParts, type Parts } from "./open-parts.js";
import { chosenProtocols, openProtocols, type ServedProtocol, servedProtocols, viewedItems } from "./open-protocols.js";
import { openWebhooks } from "./open-webhooks.js";
import type { StorageDrivers } from "./open-storage.js";
import { createCronScheduler } from "./runtime/cron-scheduler.js";
import { createRuntime } from "./runtime/create-runtime.js";
import { createExpiry } from "./runtime/expiry.js";
import { createLifecycle } from "./runtime/lifecycle.js";
import { createItemReembedder, type ItemReembedder } from "./runtime/reembed-items.js";
import { systemClock } from "./runtime/system-clock.js";
import { createWorkerId } from "./runtime/worker-identity.js";
import { callerOfRun } from "./services/run-config.js";
import { createCronFiring } from "./services/cron-firing.js";
import { withThreadTtl } from "./services/thread-ttl.js";
import { itemPrefixOf } from "./services/authorization.js";
import { createServices, type Services } from "./services/create-services.js";
import { createIdempotency } from "./services/idempotency.js";
import { createRecordHints, type RecordHints } from "./services/record-hints.js";
import { SSE_HEADERS, sseStream } from "./streaming/sse.js";
import { waitResponse } from "./streaming/wait-response.js";
import { createWebhookSender } from "./runtime/webhook-sender.js";
import type { Resolve } from "./webhooks/send-request.js";

/** When a webhook is tried again: after 5 s, 20 s, 80 s, 5 min, 21 min, 85 min, and every four hours from there on. */
const RETRIES = { firstRetryMs: 5_000, maxRetryMs: 4 * 3_600_000 } as const;

/** A server: an ordinary Hono app, with what executes its runs. */
export interface HeddleServer {
  /** Mount it with `parent.route("/agent", server.app)`, or serve {@link HeddleServer.fetch}. */
  readonly app: Hono;
  readonly fetch: (request: Request, env?: object) => Response | Promise<Response>;
  /** The policy behind the routes, for code in the same process. */
  readonly services: Services;
  /** Keys of `apiKey()`: create, list, revoke. */
  readonly apiKeys: ApiKeyAdmin;
  /** Each protocol alone, by name: for a port of its own, which `listen` opens, or a place of the deployer's choice. */
  readonly protocols: Readonly<Record<string, ServedProtocol>>;
  /** Start executing runs. The first request does it too. */
  start(): Promise<void>;
  /** Drain runs, hand back what is unfinished, end streams, close everything. The only stop. */
  close(): Promise<void>;
}

export interface CreateAppOptions extends AppOptions {
  /** Storages beside the built-in ones, for URI schemes of your own (docs/guides/writing-a-driver.md). */
  readonly drivers?: StorageDrivers;
}

/** A {@link HeddleServer} whose graph files may have failed to load. */
export interface OpenedApp extends HeddleServer {
  readonly graphFailures: readonly GraphFailure[];
  /** Entries of `ui` that could not be built. */
  readonly uiFailures: readonly HeddleError[];
}

/** How a server is opened, beside its configuration. */
interface OpenAppOptions {
  readonly logger: Logger;
  /** Reload graph files when their sources change. */
  readonly watch?: boolean;
  /** Serve although some graph files failed to load, or components to build. */
  readonly allowGraphFailures?: boolean;
  readonly drivers?: StorageDrivers;
  /** Let Studio in without a key, unless `auth` says otherwise: only where nobody else can reach the server. */
  readonly studio?: boolean;
  /** In place of the system's resolver, for the receivers of webhooks. */
  readonly resolveHost?: Resolve;
}

/**
 * Open a server: checks everything, executes nothing until the first request or `start()`.
 * @example
 * const server = await createApp({ graphs: { agent }, storage: "sqlite:./heddle.db" });
 * parent.route("/agent", server.app);
 * @throws HeddleError `CONFIG_INVALID` or `UNSUPPORTED_OPTION` (names the fields), `GRAPH_LOAD_FAILED`, and what opening
 * the storage throws
 */
export async function createApp(options: CreateAppOptions = {}): Promise<HeddleServer> {
  const { drivers = {}, ...rest } = options;
  const config = await resolveConfig({ options: rest });
  const logger = config.logging.logger ?? (await createLogger(config.logging));
  for (const warning of config.warnings) logger.warn({}, warning);
  const { graphFailures: _, uiFailures: __, ...server } = await openApp(config, { logger, drivers });
  return server;
}

/** Open a server from a resolved configuration. */
export async function openApp(config: ResolvedConfig, options: OpenAppOptions): Promise<OpenedApp> {
  const { logger, watch = false, studio = false } = options;
  const clock = systemClock;
  const chosen = chosenProtocols(config);
  let seed = (): Promise<void> => Promise.resolve();
  const { graphs, ui, storage, auth, guard, customApp, itemIndex } = await openParts(config, {
    ...options,
    watch,
    studio,
    onReload: () => seed(),
  });
  const hints = createRecordHints({ dispatcher: storage.dispatcher, clock }, { pollMs: config.worker.pollMs });
  const items = await viewedItems(
    chosen,
    createIndexedItems({ items: storage.items, index: itemIndex, ttl: config.store.ttl }),
    { records: storage.metadata.records, hints, isAuthenticated: config.auth !== null },
  );
  const { engine, callers } = openEngine(config, { graphs, storage, items, logger }, (request) =>
    inner.fetch(request, INTERNAL_ENV),
  );
  const { checkpointer, eventLog, dispatcher } = storage;
  const store = withThreadTtl(storage.metadata, config.threads.ttl, clock);
  const workerId = createWorkerId();
  const { webhooks, sender } = openSender(config, { ...options, store, callers, workerId }, (request) =>
    inner.fetch(request, INTERNAL_ENV),
  );
  const parts = { store, engine, checkpointer, eventLog, dispatcher, clock, logger };
  const wakeSender = () => sender.wake();
  const observe: ObserveRun = (claimed, lease) => protocols.observe?.(claimed, lease) ?? null;
  const runtime = createRuntime(
    { ...parts, onWebhook: wakeSender, ...(config.protocols.length > 0 && { observe }) },
    runtimeOptions(config, workerId),
  );
  const closeAll = () => closeParts({ engine, ui, auth, guard, storage, itemIndex, logger });
  const closing = new AbortController();
  const limitedStore = guard.limited(store);
  const services = createServices({
    ...parts,
    store: limitedStore,
    ...(guard.onOperation !== null && { onOperation: guard.onOperation }),
    ...(guard.requestConfigurable !== null && { requestConfigurable: guard.requestConfigurable }),
    items,
    launcher: runtime.launcher,
    authorizer: auth.authorizer,
    maxAttempts: config.worker.maxAttempts,
    wakeSender,
    onCronChange: () => scheduler.wake(),
    closing: closing.signal,
  });
  const scheduler = openScheduler(config, { store: limitedStore, services, logger });
  const reembedder = openReembedder({ storage, itemIndex, workerId, logger });
  const idempotency = createIdempotency({ records: store.records, clock, logger });
  const protocols = await openProtocols(chosen, {
    ...parts,
    store: limitedStore,
    services,
    itemPrefix: (caller: Caller) => itemPrefixOf(auth.authorizer, caller),
    idempotency,
    hints,
    webhooks: webhooks.policy,
    wakeSender,
    closing: closing.signal,
    config,
    own: apiPaths(eventStreamRoutes),
  }).catch(async (error: unknown) => {
    await closeAll();
    throw error;
  });
  const { sweepThemselves } = protocols;
  const expiry = openExpiry(config, { ...parts, items: storage.items, hints, workerId, sweepThemselves });
  const work: Work = { runtime, expiry, reembedder, scheduler, sender };
  const sends = webhooks.policy !== null;
  const lifecycle = openLifecycle(config, { ...work, protocols, sends, closing, closeAll });
  const httpDeps: HttpDeps = {
    ...parts,
    services,
    idempotency,
    ...wireSettings(config, { customApp, guard, ui, webhooks }),
    ...authentication(config, { auth, callers, tickets: store.tickets, protocols: chosen }),
    onRequest: () => lifecycle.start(),
    isDraining: () => lifecycle.isStopping(),
    checkStorage: () => store.ping(),
    closing: closing.signal,
    mounts: protocols.shared,
  };
  const { inner, app } = createApps(config, httpDeps);
  // A graph that loads for the first time after a reload gets its system assistant then.
  seed = () => services.assistants.seedSystemAssistants(SERVER, config.systemAssistants);
  await seed();
  return {
    app,
    fetch: (request, env) => app.fetch(request, env),
    services,
    apiKeys: createApiKeyAdmin(store.keys),
    protocols: servedProtocols(config, protocols, httpDeps),
    start: () => lifecycle.start(),
    close: () => lifecycle.stop(),
    graphFailures: graphs.failures,
    uiFailures: ui.failures,
  };
}

/** What the HTTP app is told of the configuration, and what it serves beside the REST API. */
function wireSettings(
  config: ResolvedConfig,
  parts: Pick<Parts, "customApp" | "guard" | "ui"> & { readonly webhooks: { readonly policy: WebhookPolicy | null } },
): Pick<
  HttpDeps,
  "streaming" | "settings" | "info" | "authDocument" | "protocolRoutes" | "customApp" | "guard" | "ui"
> {
  const { customApp, guard, ui, webhooks } = parts;
  return {
    customApp,
    guard: guard.guard,
    ui: ui.bundles,
    streaming: { sseHeaders: SSE_HEADERS, sseStream, waitResponse },
    settings: { ...httpSettings(config), webhooks: webhooks.policy },
    info: serverInfo(config),
    authDocument: config.auth === null ? null : (config.auth.openapi ?? {}),
    protocolRoutes: eventStreamRoutes,
  };
}

/** What removes whatever has expired; who follows records hears of theirs. */
function openExpiry(
  config: ResolvedConfig,
  deps: Omit<Parameters<typeof createExpiry>[0], "onExpired"> & {
    readonly hints: RecordHints;
    readonly workerId: string;
    readonly sweepThemselves: readonly string[];
  },
) {
  const { hints, workerId, sweepThemselves } = deps;
  return createExpiry(
    { ...deps, onExpired: (keys) => keys.forEach((key) => hints.touched(key)) },
    expiryOptions(config, workerId, sweepThemselves),
  );
}

/** What fires due crons. */
function openScheduler(
  config: ResolvedConfig,
  { store, services, logger }: { readonly store: MetadataStore; readonly services: Services; readonly logger: Logger },
) {
  return createCronScheduler({
    crons: store.crons,
    fire: createCronFiring({ store, runs: services.runs, logger }, tickPolicy(config)),
    clock: systemClock,
    logger,
  });
}

/** Webhooks, and what sends them. Those to a path of this server go to `serve`, as the caller of their run. */
function openSender(
  config: ResolvedConfig,
  deps: {
    readonly store: MetadataStore;
    readonly callers: WeakMap<Request, Caller>;
    readonly workerId: string;
    readonly logger: Logger;
    readonly resolveHost?: Resolve;
  },
  serve: (request: Request) => Response | Promise<Response>,
) {
  const { store, callers, workerId, logger, resolveHost } = deps;
  const webhooks = openWebhooks(config, {
    clock: systemClock,
    serveOwn(request, run) {
      // It may do what whoever named the path may do, and nothing more.
      callers.set(request, callerOfRun(run));
      return serve(request);
    },
    ...(resolveHost !== undefined && { resolve: resolveHost }),
  });
  const sender = createWebhookSender(
    { store, send: webhooks.send, clock: systemClock, logger },
    { ...config.webhooks, ...RETRIES, workerId, pollMs: config.worker.pollMs },
  );
  return { webhooks, sender };
}

/** `inner` answers the server's own graphs and webhooks; `app` is what others reach, which is little of a worker. */
function createApps({ role }: ResolvedConfig, deps: HttpDeps): { readonly inner: Hono; readonly app: Hono } {
  const inner = createHttpApp(deps);
  if (role !== "worker") return { inner, app: inner };
  const settings = { ...deps.settings, workerOnly: true };
  return { inner, app: createHttpApp({ ...deps, settings, customApp: null }) };
}

/** What works beside the requests. */
interface Work {
  readonly runtime: ReturnType<typeof createRuntime>;
  readonly expiry: ReturnType<typeof createExpiry>;
  readonly reembedder: ItemReembedder | null;
  readonly scheduler: ReturnType<typeof createCronScheduler>;
  readonly sender: ReturnType<typeof createWebhookSender>;
}

/** Start and stop of everything, in order; what was opened is closed last. */
function openLifecycle(
  config: ResolvedConfig,
  work: Work & {
    readonly protocols: Pick<Awaited<ReturnType<typeof openProtocols>>, "start" | "stop">;
    /** Webhooks are not switched off. */
    readonly sends: boolean;
    readonly closing: AbortController;
    readonly closeAll: () => Promise<void>;
  },
) {
  const { protocols, sends, closing, closeAll, sender } = work;
  return createLifecycle({
    start: async () => {
      await startWork({ ...work, sender: sends ? sender : null }, config);
      protocols.start();
    },
    stop: async () => {
      await stopWork(work, config);
      closing.abort();
      await protocols.stop();
      await closeAll();
    },
  });
}

/** @param work without the sender: webhooks are switched off */
async function startWork(
  work: Omit<Work, "sender"> & { readonly sender: Work["sender"] | null },
  { worker }: ResolvedConfig,
): Promise<void> {
  await work.runtime.start();
  work.expiry.start();
  work.reembedder?.start();
  // Who executes nothing leaves crons to those who do.
  if (worker.concurrency === 0) return;
  work.scheduler.start();
  work.sender?.start();
}

async function stopWork(work: Work, { worker }: ResolvedConfig): Promise<void> {
  const { runtime, expiry, reembedder, scheduler, sender } = work;
  await settledWithin(systemClock, CLOSE_WITHIN_MS, expiry.stop());
  if (reembedder !== null) await settledWithin(systemClock, CLOSE_WITHIN_MS, reembedder.stop());
  await settledWithin(systemClock, CLOSE_WITHIN_MS, scheduler.stop());
  await runtime.stop({ drainMs: worker.drainMs });
  await sender.stop();
}

/** Who asks, and who still does. Requests of graphs come as the caller of their run, whatever has become of its credentials. */
function authentication(
  config: ResolvedConfig,
  deps: {
    readonly auth: OpenAuth;
    readonly callers: WeakMap<Request, Caller>;
    readonly tickets: StreamTicketStore;
    readonly protocols: readonly Protocol[];
  },
): Pick<HttpDeps, "authenticate" | "reauthenticate"> {
  const { auth, callers, tickets, protocols } = deps;
  const streams = protocols.flatMap(({ credentialsInQuery = [] }) => credentialsInQuery);
  const { authenticate, reauthenticate } = withStreamTickets({
    tickets,
    clock: systemClock,
    authenticate: (request) => callers.get(request) ?? auth.authenticate(withQueryCredentials(request, streams)),
    stillValid: (caller) => auth.stillValid?.(caller) ?? true,
  });
  return {
    authenticate,
    reauthenticate:
      config.auth === null
        ? null
        : (request, caller) => (callers.has(request) ? caller : reauthenticate(askedAgain(request), caller)),
  };
}

/** Brings vectors of another index up to date; `null` without an index. */
function openReembedder(
  deps: Pick<Parts, "storage" | "itemIndex"> & { readonly workerId: string; readonly logger: Logger },
): ItemReembedder | null {
  const { storage, itemIndex, workerId, logger } = deps;
  if (itemIndex === null) return null;
  const reembedding = createReembedding({ items: storage.items, index: itemIndex, logger });
  return createItemReembedder({ reembedding, chores: storage.metadata.chores, workerId, clock: systemClock, logger });
}
