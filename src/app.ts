import type { Hono } from "hono";
import { type ApiKeyAdmin, createApiKeyAdmin } from "./auth/api-key-admin.js";
import type { AppOptions } from "./config/options.js";
import { resolveConfig } from "./config/resolve.js";
import type { ResolvedConfig } from "./config/resolved-config.js";
import { heddleVersion } from "./config/version.js";
import { ANONYMOUS, type Caller, SERVER } from "./core/auth.js";
import { HeddleError } from "./core/errors.js";
import type { IndexedItems } from "./core/indexed-items.js";
import type { StreamTicketStore } from "./core/stream-ticket.js";
import type { Engine } from "./core/engine.js";
import type { Logger } from "./core/logger.js";
import { createIndexedItems, type ItemIndex } from "./embeddings/indexed-items.js";
import { createReembedding } from "./embeddings/reembed.js";
import { createEngine, installedLanggraphVersion } from "./engine/create-engine.js";
import type { GraphFailure } from "./engine/loading/load-graph.js";
import { createLoopback } from "./engine/execution/loopback.js";
import { createHttpApp } from "./http/create-http-app.js";
import type { CustomApp } from "./http/custom-app.js";
import { askedAgain } from "./http/credentials-watch.js";
import { createLoggingHeaders } from "./http/header-rules.js";
import type { HttpDeps, HttpSettings } from "./http/http-deps.js";
import { INTERNAL_ENV } from "./http/remote-address.js";
import { withStreamTickets } from "./http/stream-ticket.js";
import { settledWithin } from "./core/settled-within.js";
import { createLogger } from "./logging/logger.js";
import { eventStreamRoutes } from "./protocols/event-stream/index.js";
import { openAuth, type OpenAuth } from "./open-auth.js";
import { openCustomApp } from "./open-custom-app.js";
import { openGraphs, type OpenGraphs } from "./open-graphs.js";
import { openGuard, type OpenGuard } from "./open-guard.js";
import { openItemIndex } from "./open-item-index.js";
import { openWebhooks } from "./open-webhooks.js";
import { openStorage, type OpenStorage, type StorageDrivers } from "./open-storage.js";
import { createCronScheduler } from "./runtime/cron-scheduler.js";
import { createRuntime } from "./runtime/create-runtime.js";
import { createExpiry, type ExpiryOptions } from "./runtime/expiry.js";
import { createLifecycle } from "./runtime/lifecycle.js";
import { createItemReembedder, type ItemReembedder } from "./runtime/reembed-items.js";
import { systemClock } from "./runtime/system-clock.js";
import { createWorkerId, mayBeAlive } from "./runtime/worker-identity.js";
import { callerOfRun } from "./services/run-config.js";
import { createCronFiring } from "./services/cron-firing.js";
import type { TickPolicy } from "./services/cron-ticks.js";
import { withThreadTtl } from "./services/thread-ttl.js";
import { createServices, type Services } from "./services/create-services.js";
import { SSE_HEADERS, sseStream } from "./streaming/sse.js";
import { waitResponse } from "./streaming/wait-response.js";
import type { OpenUi } from "./ui/open-ui.js";
import { createWebhookSender } from "./runtime/webhook-sender.js";
import type { Resolve } from "./webhooks/send-request.js";
import type { ServerInfo } from "./wire/system.js";

/** How often expired event logs and leftovers of stateless runs are removed. */
const SWEEP_EVERY_MS = 5_000;

/** When a webhook is tried again: after 5 s, 20 s, 80 s, 5 min, 21 min, 85 min, and every four hours from there on. */
const RETRIES = { firstRetryMs: 5_000, maxRetryMs: 4 * 3_600_000 } as const;

/** How long each part may take to close: a stop must not hang on what is away. */
const CLOSE_WITHIN_MS = 5_000;

/** A server: an ordinary Hono app, with what executes its runs. */
export interface HeddleServer {
  /** Mount it with `parent.route("/agent", server.app)`, or serve {@link HeddleServer.fetch}. */
  readonly app: Hono;
  readonly fetch: (request: Request, env?: object) => Response | Promise<Response>;
  /** The policy behind the routes, for code in the same process. */
  readonly services: Services;
  /** Keys of `apiKey()`: create, list, revoke. */
  readonly apiKeys: ApiKeyAdmin;
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

/**
 * Open a server from a resolved configuration.
 * @param options.watch reload graph files when their sources change
 * @param options.allowGraphFailures serve although some graph files failed to load, or components to build
 */
export async function openApp(
  config: ResolvedConfig,
  options: {
    readonly logger: Logger;
    readonly watch?: boolean;
    readonly allowGraphFailures?: boolean;
    readonly drivers?: StorageDrivers;
    /** Let Studio in without a key, unless `auth` says otherwise: only where nobody else can reach the server. */
    readonly studio?: boolean;
    /** In place of the system's resolver, for the receivers of webhooks. */
    readonly resolveHost?: Resolve;
  },
): Promise<OpenedApp> {
  const { logger, watch = false, studio = false } = options;
  const clock = systemClock;
  let seed = (): Promise<void> => Promise.resolve();
  const { graphs, ui, storage, auth, guard, customApp, itemIndex } = await openParts(config, {
    ...options,
    watch,
    studio,
    onReload: () => seed(),
  });
  const items = createIndexedItems({ items: storage.items, index: itemIndex, ttl: config.store.ttl });
  const { engine, callers } = createGraphEngine(config, { graphs, storage, items, logger }, (request) =>
    inner.fetch(request, INTERNAL_ENV),
  );
  const { checkpointer, eventLog, dispatcher } = storage;
  const store = withThreadTtl(storage.metadata, config.threads.ttl, clock);
  const workerId = createWorkerId();
  const webhooks = openWebhooks(config, {
    clock,
    serveOwn(request, { run }) {
      // It may do what whoever named the path may do, and nothing more.
      callers.set(request, callerOfRun(run));
      return inner.fetch(request, INTERNAL_ENV);
    },
    ...(options.resolveHost !== undefined && { resolve: options.resolveHost }),
  });
  const sender = createWebhookSender(
    { store, send: webhooks.send, clock, logger },
    { ...config.webhooks, ...RETRIES, workerId, pollMs: config.worker.pollMs },
  );
  const runtime = createRuntime(
    { store, engine, checkpointer, eventLog, dispatcher, clock, logger, onWebhook: () => sender.wake() },
    runtimeOptions(config, workerId),
  );
  const closing = new AbortController();
  const limitedStore = guard.limited(store);
  const services = createServices({
    store: limitedStore,
    ...(guard.onOperation !== null && { onOperation: guard.onOperation }),
    ...(guard.requestConfigurable !== null && { requestConfigurable: guard.requestConfigurable }),
    items,
    checkpointer,
    engine,
    eventLog,
    dispatcher,
    launcher: runtime.launcher,
    authorizer: auth.authorizer,
    clock,
    logger,
    maxAttempts: config.worker.maxAttempts,
    wakeSender: () => sender.wake(),
    onCronChange: () => scheduler.wake(),
    closing: closing.signal,
  });
  const scheduler = createCronScheduler({
    crons: store.crons,
    fire: createCronFiring({ store: limitedStore, runs: services.runs, logger }, tickPolicy(config)),
    clock,
    logger,
  });
  const expiry = createExpiry(
    { store, items: storage.items, checkpointer, eventLog, clock, logger },
    expiryOptions(config, workerId),
  );
  const reembedder = openReembedder({ storage, itemIndex, workerId, logger });
  const lifecycle = createLifecycle({
    start: async () => {
      await runtime.start();
      expiry.start();
      reembedder?.start();
      // Who executes nothing leaves crons to those who do.
      if (config.worker.concurrency > 0) scheduler.start();
      if (config.worker.concurrency > 0 && webhooks.policy !== null) sender.start();
    },
    stop: async () => {
      await settledWithin(clock, CLOSE_WITHIN_MS, expiry.stop());
      if (reembedder !== null) await settledWithin(clock, CLOSE_WITHIN_MS, reembedder.stop());
      await settledWithin(clock, CLOSE_WITHIN_MS, scheduler.stop());
      await runtime.stop({ drainMs: config.worker.drainMs });
      await sender.stop();
      closing.abort();
      await closeParts({ engine, ui, auth, guard, storage, logger });
    },
  });
  const httpDeps: HttpDeps = {
    services,
    streaming: { sseHeaders: SSE_HEADERS, sseStream, waitResponse },
    clock,
    logger,
    settings: { ...httpSettings(config), webhooks: webhooks.policy },
    customApp,
    guard: guard.guard,
    info: serverInfo(config),
    authDocument: config.auth === null ? null : (config.auth.openapi ?? {}),
    ui: ui.bundles,
    ...authentication(config, { auth, callers, tickets: store.tickets }),
    onRequest: () => lifecycle.start(),
    isDraining: () => lifecycle.isStopping(),
    checkStorage: () => store.ping(),
    closing: closing.signal,
    protocolRoutes: eventStreamRoutes,
  };
  const inner = createHttpApp(httpDeps);
  const app =
    config.role === "worker"
      ? createHttpApp({ ...httpDeps, settings: { ...httpDeps.settings, workerOnly: true }, customApp: null })
      : inner;
  // A graph that loads for the first time after a reload gets its system assistant then.
  seed = () => services.assistants.seedSystemAssistants(SERVER, config.systemAssistants);
  await seed();
  return {
    app,
    fetch: (request, env) => app.fetch(request, env),
    services,
    apiKeys: createApiKeyAdmin(store.keys),
    start: () => lifecycle.start(),
    close: () => lifecycle.stop(),
    graphFailures: graphs.failures,
    uiFailures: ui.failures,
  };
}

/** A tick of a minute ago has been missed: a process that restarts takes less. */
const MISSED_AFTER_MS = 60_000;

function tickPolicy({ crons }: ResolvedConfig): TickPolicy {
  return { missed: crons.missedTicks, maxMissed: crons.maxMissedTicks, missedAfterMs: MISSED_AFTER_MS };
}

function expiryOptions({ threads, store }: ResolvedConfig, workerId: string): ExpiryOptions {
  return {
    workerId,
    threads: { everyMs: threads.sweepEveryMs, limit: threads.sweepLimit },
    items: { everyMs: store.ttl.sweepEveryMs },
  };
}

function runtimeOptions(config: ResolvedConfig, workerId: string): Parameters<typeof createRuntime>[1] {
  const { eventLogTtlMs } = config.streaming;
  return { ...config.worker, workerId, mayBeAlive, sweepEveryMs: SWEEP_EVERY_MS, eventLogTtlMs };
}

/** Who asks, and who still does. Requests of graphs come as the caller of their run, whatever has become of its credentials. */
function authentication(
  config: ResolvedConfig,
  deps: {
    readonly auth: OpenAuth;
    readonly callers: WeakMap<Request, Caller>;
    readonly tickets: StreamTicketStore;
  },
): Pick<HttpDeps, "authenticate" | "reauthenticate"> {
  const { auth, callers, tickets } = deps;
  const { authenticate, reauthenticate } = withStreamTickets({
    tickets,
    clock: systemClock,
    authenticate: (request) => callers.get(request) ?? auth.authenticate(request),
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

/** In the reverse order of their opening. */
async function closeParts(
  parts: Pick<Parts, "ui" | "auth" | "guard" | "storage"> & { readonly engine: Engine; readonly logger: Logger },
): Promise<void> {
  const { engine, ui, auth, guard, storage, logger } = parts;
  if (!(await settledWithin(systemClock, CLOSE_WITHIN_MS, engine.close()))) {
    logger.warn({}, "closing without the graphs");
  }
  await ui.bundles.close();
  await auth.close();
  await guard.close();
  await storage.close();
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

/** The engine, and who the requests of its graphs are from: they come as the caller of their run. */
function createGraphEngine(
  config: ResolvedConfig,
  deps: Pick<Parts, "graphs" | "storage"> & { readonly items: IndexedItems; readonly logger: Logger },
  serve: (request: Request) => Response | Promise<Response>,
): { readonly engine: Engine; readonly callers: WeakMap<Request, Caller> } {
  const callers = new WeakMap<Request, Caller>();
  const { graphs, items, logger } = deps;
  const { checkpointer, metadata } = deps.storage;
  const engine = createEngine({
    graphs: graphs.source,
    checkpointer,
    items,
    clock: systemClock,
    logger,
    server: config.apiUrl === null ? {} : { apiUrl: config.apiUrl },
    langsmith: config.langsmith.hasApiKey,
    // Graphs reach the whole API also where the network does not.
    runInContext: createLoopback((request, run) => {
      // A graph may bring credentials of its own. Not `x-api-key`, which the SDK takes from the environment unasked.
      if (!request.headers.has("authorization")) callers.set(request, run === null ? ANONYMOUS : callerOfRun(run));
      return serve(request);
    }, config.http.basePath),
    // Runs of a store that ends with the process are never taken over.
    ...(metadata.durable && { holdsLease: (lease) => metadata.runs.holds(lease) }),
  });
  return { engine, callers };
}

function httpSettings(config: ResolvedConfig): Omit<HttpSettings, "webhooks"> {
  return {
    ...config.http,
    ...config.limits,
    loggingHeaders: createLoggingHeaders(config.http.loggingHeaders),
    heartbeatMs: config.streaming.heartbeatMs,
    langsmith: config.langsmith.hasApiKey,
  };
}

interface Parts {
  readonly graphs: OpenGraphs;
  readonly ui: OpenUi;
  readonly storage: OpenStorage;
  readonly auth: OpenAuth;
  readonly guard: OpenGuard;
  readonly customApp: CustomApp | null;
  readonly itemIndex: ItemIndex | null;
}

/** Graphs and storage side by side, since neither needs the other; then auth. If one fails the others are closed again. */
async function openParts(
  config: ResolvedConfig,
  options: Parameters<typeof openApp>[1] & {
    readonly watch: boolean;
    readonly studio: boolean;
    readonly onReload: () => Promise<void>;
  },
): Promise<Parts> {
  const { logger, watch, studio, drivers = {}, onReload } = options;
  const [graphs, ui, storage] = await Promise.allSettled([
    openGraphs(config, { watch, logger, onReload }),
    openComponents(config, { watch, logger }),
    openStorage(config, { clock: systemClock, logger, drivers }),
  ]);
  let closeAuth = async (): Promise<void> => {};
  const close = async () => {
    if (graphs.status === "fulfilled") await graphs.value.source.close();
    if (ui.status === "fulfilled") await ui.value.bundles.close();
    if (storage.status === "fulfilled") await storage.value.close();
  };
  try {
    if (graphs.status === "rejected") throw graphs.reason;
    if (ui.status === "rejected") throw ui.reason;
    if (storage.status === "rejected") throw storage.reason;
    const failures = [...graphs.value.failures.map(({ error }) => error), ...ui.value.failures];
    if (failures.length > 0 && options.allowGraphFailures !== true) throw loadError(failures);
    const auth = await openAuth(config.auth, {
      keys: storage.value.metadata.keys,
      clock: systemClock,
      logger,
      watch,
      studio,
    });
    closeAuth = () => auth.close();
    const customApp = await openCustomApp(config.http.app);
    const itemIndex = await openItemIndex(config.store.index, systemClock);
    const guard = await openGuard(config, { clock: systemClock, logger });
    return { graphs: graphs.value, ui: ui.value, storage: storage.value, auth, guard, customApp, itemIndex };
  } catch (error) {
    await closeAuth();
    await close();
    throw error;
  }
}

/** What `ui` names, where this process serves it. The bundler is loaded only when there is something to bundle. */
async function openComponents(
  { ui: { files, dir, shared }, role, http }: ResolvedConfig,
  options: { readonly watch: boolean; readonly logger: Logger },
): Promise<OpenUi> {
  if (Object.keys(files).length === 0 || role === "worker" || http.disabled.ui) {
    return { bundles: { get: () => null, close: async () => {} }, failures: [] };
  }
  const { openUi } = await import("./ui/open-ui.js");
  return openUi({ files, shared, cwd: dir, ...options });
}

function loadError(errors: readonly HeddleError[]): HeddleError {
  const [first] = errors;
  if (first !== undefined && errors.length === 1) return first;
  return new HeddleError(first?.code ?? "GRAPH_LOAD_FAILED", {
    message: errors.map(({ message }) => message).join("\n"),
  });
}

function serverInfo(config: ResolvedConfig): ServerInfo {
  return {
    version: heddleVersion(),
    langgraphVersion: installedLanggraphVersion(),
    flags: {
      assistants: !config.http.disabled.assistants,
      crons: !config.http.disabled.runs,
      langsmith: config.langsmith.tracing,
    },
  };
}
