import { afterEach } from "vitest";
import { type OpenedApp, openApp } from "../../src/app.js";
import { createCheckpointerRegistry } from "../../src/checkpointers/registry.js";
import { resolveConfig } from "../../src/config/resolve.js";
import type { AppOptions } from "../../src/config/options.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import type { EventLog } from "../../src/core/event-log.js";
import { createStoreRegistry, type OpenedStore } from "../../src/stores/registry.js";
import { createEventLogRegistry } from "../../src/streaming/registry.js";
import { createStorage, STORAGES, type StorageName } from "../support/server.js";
import * as graphs from "../fixtures/graphs/index.js";

/** Storages of a single process. */
export const SINGLE_STORAGES = STORAGES.filter((storage) => storage !== "two processes");

/** Without FerretDB, which stands in for MongoDB and takes one command at a time: for what needs thousands. */
export const FAST_STORAGES = SINGLE_STORAGES.filter((storage) => storage !== "mongodb");

export interface WrappedApp extends OpenedApp {
  /** Of SQLite. */
  readonly file: string;
  /** Warnings and errors. */
  readonly log: readonly { readonly level: string; readonly fields: object; readonly message: string }[];
  /** The real one. */
  readonly eventLog: EventLog & { readonly size: number };
}

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** An app through `openApp`'s own drivers, each around the real one. */
export async function openWrappedApp(
  storage: StorageName,
  wrap: {
    readonly store?: (real: OpenedStore) => OpenedStore;
    readonly checkpointer?: (real: Checkpointer) => Checkpointer;
    readonly eventLog?: (real: EventLog) => EventLog;
    readonly options?: Partial<AppOptions>;
  } = {},
): Promise<WrappedApp> {
  const { uri, drop } = await createStorage(storage);
  const log: { level: string; fields: object; message: string }[] = [];
  const at = (level: string) => (fields: object, message: string) => void log.push({ level, fields, message });
  const logger = { debug: () => undefined, info: () => undefined, warn: at("warn"), error: at("error") };
  let eventLog: EventLog | undefined;
  const named = { schemes: ["wrapped"], requires: [] };
  const config = await resolveConfig({
    options: { graphs: { ...graphs }, storage: "wrapped:it", env: {}, allowEphemeral: true, ...wrap.options },
  });
  const app = await openApp(config, {
    logger,
    drivers: {
      stores: [
        {
          ...named,
          open: async (_uri, context) => {
            const real = await createStoreRegistry().open(uri, context);
            return wrap.store?.(real) ?? real;
          },
        },
      ],
      checkpointers: [
        {
          ...named,
          open: async (_uri, context) => {
            const real = await createCheckpointerRegistry().open(uri, context);
            return wrap.checkpointer?.(real) ?? real;
          },
        },
      ],
      eventLogs: [
        {
          ...named,
          open: async (_uri, context) => {
            const real = await createEventLogRegistry().open(uri, context);
            eventLog = real;
            return wrap.eventLog?.(real) ?? real;
          },
        },
      ],
    },
  });
  closers.push(async () => {
    await app.close();
    await drop();
  });
  return { ...app, file: uri.replace(/^sqlite:/, ""), log, eventLog: eventLog as WrappedApp["eventLog"] };
}
