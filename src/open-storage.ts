import { adoptSaver } from "./checkpointers/adopt.js";
import { readNewestCheckpoint } from "./checkpointers/newest-checkpoint.js";
import { createCheckpointerRegistry } from "./checkpointers/registry.js";
import type { ResolvedConfig } from "./config/resolved-config.js";
import { configError } from "./config/problem.js";
import { splitBrainProblem } from "./config/split-brain.js";
import type { Checkpointer } from "./core/checkpointer.js";
import type { Clock } from "./core/clock.js";
import type { Dispatcher } from "./core/dispatcher.js";
import { type Driver, type DriverContext, schemeOf } from "./core/driver.js";
import type { EventLog } from "./core/event-log.js";
import type { ItemStore } from "./core/item-store.js";
import type { Logger } from "./core/logger.js";
import type { MetadataStore } from "./core/metadata-store.js";
import { settledWithin } from "./core/settled-within.js";
import { checkStorage } from "./encryption/check-storage.js";
import { openCipher } from "./encryption/open-cipher.js";
import { sealedItemStore } from "./encryption/sealed-item-store.js";
import { sealedMetadataStore } from "./encryption/sealed-metadata-store.js";
import { createStoreRegistry, type OpenedStore } from "./stores/registry.js";
import { createDispatcherRegistry, type DispatcherContext } from "./streaming/dispatchers.js";
import { createEventLogRegistry, type EventLogContext } from "./streaming/registry.js";

/** Drivers beside the built-in ones, for URI schemes of your own. */
export interface StorageDrivers {
  readonly stores?: readonly Driver<OpenedStore>[];
  readonly checkpointers?: readonly Driver<Checkpointer>[];
  readonly eventLogs?: readonly Driver<EventLog, EventLogContext>[];
  readonly dispatchers?: readonly Driver<Dispatcher, DispatcherContext>[];
}

/** How long each part may take to close: a stop must not hang on a database that is away. */
const CLOSE_WITHIN_MS = 5_000;

/** Everything that a server keeps data in. */
export interface OpenStorage {
  readonly metadata: MetadataStore;
  readonly items: ItemStore;
  readonly checkpointer: Checkpointer;
  readonly eventLog: EventLog;
  readonly dispatcher: Dispatcher;
  /** In reverse order of opening. */
  close(): Promise<void>;
}

/**
 * Open what the URIs name. What was opened before a failure is closed again.
 * @throws HeddleError `SCHEME_UNKNOWN`, `DEPENDENCY_MISSING`, `STORAGE_UNAVAILABLE`, `CONFIG_INVALID` (a durable part
 * beside one that a restart forgets)
 */
export async function openStorage(
  config: ResolvedConfig,
  deps: { readonly clock: Clock; readonly logger: Logger; readonly drivers?: StorageDrivers },
): Promise<OpenStorage> {
  const { clock, logger, drivers = {} } = deps;
  const shared = new Map<string, unknown>();
  const { storage, streaming, redis } = config;
  const cipher = await openCipher(config.encryption, loadKeyFunction);
  const { index } = config.store;
  const context = {
    cwd: storage.cwd,
    shared,
    logger,
    ...config.database,
    ...(cipher !== undefined && { cipher }),
    ...(index !== null && { vectors: { dims: index.dims } }),
  };
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) {
      const closed = closer();
      closed.catch((error: unknown) => logger.warn({ err: error }, "a storage could not be closed in order"));
      if (!(await settledWithin(clock, CLOSE_WITHIN_MS, closed))) {
        logger.warn({}, "a storage does not close; the process ends without it");
      }
    }
  };
  try {
    const opened = await createStoreRegistry(drivers.stores ?? []).open(storage.uri, context);
    const metadata = cipher === undefined ? opened.metadata : sealedMetadataStore(opened.metadata, cipher, logger);
    const items = cipher === undefined ? opened.items : sealedItemStore(opened.items, cipher, context.vectors);
    closers.push(
      () => metadata.close(),
      () => items.close(),
    );
    const checkpointer = await openCheckpointer(config, context, drivers.checkpointers ?? []);
    closers.push(() => checkpointer.close());
    // Asked of the URIs when the configuration was resolved; only opened drivers know for sure.
    const problem = splitBrainProblem({
      storageDurable: metadata.durable,
      checkpointerDurable: checkpointer.durable,
      allowEphemeral: config.allowEphemeral,
    });
    if (problem !== null) throw configError([problem]);
    const parts = { metadata, items, checkpointer };
    for (const suspicion of await checkStorage(parts, cipher !== undefined, readNewestCheckpoint)) {
      logger.warn({ err: suspicion }, "Something looks encrypted, and no keys are configured");
    }
    const limits = {
      ttlMs: streaming.eventLogTtlMs,
      unreadTtlMs: streaming.unreadTtlMs,
      maxBytes: streaming.maxBytes,
    };
    const logs = createEventLogRegistry(drivers.eventLogs ?? []);
    const hub = redis ?? storage.uri;
    const eventLog = await logs.open(hub, {
      ...context,
      clock,
      logger,
      limits,
      holdsLease: (lease) => metadata.runs.holds(lease),
    });
    closers.push(() => eventLog.close());
    const dispatchers = createDispatcherRegistry(drivers.dispatchers ?? []);
    const { concurrency } = config.worker;
    // A storage of one's own need not carry messages: its processes find work by polling.
    const carrier = dispatchers.schemes().includes(schemeOf(hub) ?? "") ? hub : "memory:";
    const dispatcher = await dispatchers.open(carrier, { ...context, clock, logger, concurrency });
    closers.push(() => dispatcher.close());
    return { metadata, items, checkpointer, eventLog, dispatcher, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Loaded only when needed: it brings esbuild. */
async function loadKeyFunction(source: { readonly path: string; readonly cwd: string }): Promise<unknown> {
  const { loadExport } = await import("./engine/loading/load-export.js");
  return (await loadExport({ field: "encryption.path", ...source, version: 0 })).value;
}

async function openCheckpointer(
  config: ResolvedConfig,
  context: DriverContext,
  drivers: readonly Driver<Checkpointer>[],
): Promise<Checkpointer> {
  const { checkpointer, storage } = config;
  const { cipher } = context;
  if (checkpointer.kind === "instance")
    return adoptSaver(checkpointer.saver, { ...(cipher !== undefined && { cipher }) });
  const { uri, cwd } = checkpointer.kind === "uri" ? checkpointer : storage;
  const { directUri, ...others } = context;
  return createCheckpointerRegistry(drivers).open(uri, {
    ...others,
    cwd,
    // Of another database it would be the wrong address.
    ...(directUri !== undefined && uri === storage.uri && { directUri }),
  });
}
