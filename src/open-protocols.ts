import { settledWithin } from "./core/settled-within.js";
import { HeddleError } from "./core/errors.js";
import type { IndexedItems } from "./core/indexed-items.js";
import type { ObserveRun } from "./core/run-observer.js";
import type { ResolvedConfig } from "./config/resolved-config.js";
import { heddleVersion } from "./config/version.js";
import type { ResolvedProtocol } from "./config/resolve-protocols.js";
import type { HttpDeps } from "./http/http-deps.js";
import { createMountApp } from "./http/mounts/add-mounts.js";
import { refuseOverlaps } from "./http/mounts/overlaps.js";
import type { Mount } from "./http/mounts/serve-mount.js";
import type { ItemsViewDeps, OpenProtocol, Protocol, ProtocolContext } from "./protocols/protocol.js";
import { PROTOCOLS } from "./protocols/registry.js";

/** Protocols of a server, open. */
export interface OpenProtocols {
  /** Those that share the port of the LangGraph API. */
  readonly shared: readonly Mount[];
  /** All, by name; with a port of its own or `null`. */
  readonly all: readonly (Mount & { readonly port: number | null })[];
  /** For the runtime; `null`: none follows runs. */
  readonly observe: ObserveRun | null;
  /** Spaces of records whose expiry they look after themselves. */
  readonly sweepThemselves: readonly string[];
  start(): void;
  stop(): Promise<void>;
}

/** One protocol, as `fetch` answers it. */
export interface ServedProtocol {
  /** With `http.basePath`, unless it has a port of its own. */
  readonly path: string;
  /** `null`: {@link HeddleServer.app} serves it. 0: any free one. */
  readonly port: number | null;
  readonly fetch: (request: Request, env?: object) => Response | Promise<Response>;
}

/** How long one of them may take to stop. */
const STOP_WITHIN_MS = 5_000;

/**
 * The protocols of a configuration, before anything is opened.
 * @throws HeddleError `CONFIG_INVALID` for one that can't be where it is wanted
 */
export function chosenProtocols({ protocols }: Pick<ResolvedConfig, "protocols">): readonly Protocol[] {
  return protocols.map(protocolOf);
}

/** The long-term store as it is while these protocols are served. */
export async function viewedItems(
  protocols: readonly Protocol[],
  items: IndexedItems,
  deps: ItemsViewDeps,
): Promise<IndexedItems> {
  let viewed = items;
  for (const protocol of protocols) viewed = (await protocol.viewItems?.(viewed, deps)) ?? viewed;
  return viewed;
}

/**
 * Open protocols.
 * @param own paths of the LangGraph API's routes
 * @throws HeddleError `CONFIG_INVALID` for mounts that overlap
 */
export async function openProtocols(
  protocols: readonly Protocol[],
  {
    own,
    config,
    ...deps
  }: Omit<ProtocolContext, "mountPath" | "settings" | "version" | "records" | "authorize"> & {
    readonly own: readonly string[];
    readonly config: Pick<ResolvedConfig, "http" | "worker" | "streaming">;
  },
): Promise<OpenProtocols> {
  const context: Omit<ProtocolContext, "mountPath"> = {
    ...deps,
    authorize: deps.services.authorize,
    records: deps.store.records,
    version: heddleVersion(),
    settings: {
      heartbeatMs: config.streaming.heartbeatMs,
      maxBodyBytes: config.http.maxBodyBytes,
      pollMs: config.worker.pollMs,
    },
  };
  const open: { readonly protocol: Protocol; readonly opened: OpenProtocol }[] = [];
  const stop = async (): Promise<void> => {
    for (const { protocol, opened } of open.toReversed()) {
      const stopped = Promise.resolve(opened.stop?.()).catch((error: unknown) => {
        deps.logger.error({ protocol: protocol.name, err: error }, "a protocol failed to stop");
      });
      await settledWithin(deps.clock, STOP_WITHIN_MS, stopped);
    }
  };
  try {
    for (const protocol of protocols) {
      const basePath = protocol.port === null ? config.http.basePath : "";
      const opened = await protocol.open({ ...context, mountPath: basePath + protocol.path });
      open.push({ protocol, opened });
    }
    const all = open.map(({ protocol: { name, path, port }, opened }) => ({ name, path, port, face: opened }));
    const shared = all.filter(({ port }) => port === null);
    refuseOverlaps(shared, own);
    return {
      shared,
      all,
      observe: observerOf(open.map(({ opened }) => opened)),
      sweepThemselves: open.flatMap(({ opened }) => opened.sweepsItself ?? []),
      start() {
        for (const { opened } of open) opened.start?.();
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @throws HeddleError `CONFIG_INVALID` */
function protocolOf(resolved: ResolvedProtocol): Protocol {
  // Branded by `defineProtocol`, of whichever copy of this package.
  const protocol = resolved.kind === "value" ? (resolved.value as Protocol) : named(resolved);
  const { name, path, port, sharesRoot } = protocol;
  if (path !== "" || port !== null || sharesRoot) return protocol;
  throw new HeddleError("CONFIG_INVALID", {
    message:
      `protocols: ${name} can't share the root with the LangGraph API: only openwop and state-store can. ` +
      `Give it a path ({ path: "/${name}" }) or a port of its own ({ port: 3001 })`,
  });
}

function named({ name, path, port }: Extract<ResolvedProtocol, { kind: "named" }>): Protocol {
  return PROTOCOLS[name]({ ...(path !== undefined && { path }), ...(port !== undefined && { port }) });
}

/** The first that wants a run gets it. */
function observerOf(opened: readonly OpenProtocol[]): ObserveRun | null {
  const observers = opened.flatMap(({ observe }) => (observe === undefined ? [] : [observe]));
  if (observers.length === 0) return null;
  return async (claimed, lease) => {
    for (const observe of observers) {
      const observer = await observe(claimed, lease);
      if (observer !== null) return observer;
    }
    return null;
  };
}

/** Each protocol on its own. @param deps of the app beside them */
export function servedProtocols(
  { http, role }: Pick<ResolvedConfig, "http" | "role">,
  { all }: OpenProtocols,
  deps: HttpDeps,
): Readonly<Record<string, ServedProtocol>> {
  const settings = { ...deps.settings, workerOnly: role === "worker" };
  const served = all.map(({ port, ...mount }): [string, ServedProtocol] => {
    const path = (port === null ? http.basePath : "") + mount.path;
    const app = createMountApp({ ...mount, path }, { ...deps, settings, customApp: null });
    return [mount.name, { path, port, fetch: (request, env) => app.fetch(request, env) }];
  });
  return Object.fromEntries(served);
}
