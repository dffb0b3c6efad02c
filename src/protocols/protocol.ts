import type { Caller } from "../core/auth.js";
import type { Checkpointer } from "../core/checkpointer.js";
import type { Clock } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { Engine } from "../core/engine.js";
import type { EventLog } from "../core/event-log.js";
import type { Idempotency } from "../core/idempotency.js";
import type { IndexedItems } from "../core/indexed-items.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { MountOptions, ProtocolMount } from "../core/protocol.js";
import { brandProtocol, isMountPath, isPort, MOUNT_PATH_RULE, PORT_RULE } from "../core/protocol.js";
import type { RecordStore } from "../core/record.js";
import type { ObserveRun } from "../core/run-observer.js";
import { HeddleError } from "../core/errors.js";
import type { WebhookPolicy } from "../core/webhook.js";
import type { ProtocolFace } from "../http/mounts/protocol-face.js";
import type { Authorize } from "../services/authorization.js";
import type { Services } from "../services/create-services.js";
import type { RecordHints } from "../services/record-hints.js";

export type { MountOptions } from "../core/protocol.js";
export type { ProtocolFace, ProtocolRoute, Refusal, RefusedRequest } from "../http/mounts/protocol-face.js";

/** What a protocol is opened with. Its routes get an `Exchange` and the `HttpDeps` beside it: SSE, heartbeats, limits. */
export interface ProtocolContext {
  readonly services: Services;
  readonly authorize: Authorize;
  /** The labels that a namespace begins with which a protocol chooses for a caller (services/authorization.ts). */
  readonly itemPrefix: (caller: Caller) => readonly string[];
  readonly records: RecordStore;
  readonly hints: RecordHints;
  readonly idempotency: Idempotency;
  readonly checkpointer: Checkpointer;
  readonly engine: Engine;
  readonly eventLog: EventLog;
  readonly dispatcher: Dispatcher;
  /** Rows behind the services, for what no caller asks: background work, and deliveries of webhooks. */
  readonly store: MetadataStore;
  /** `null`: webhooks are switched off. */
  readonly webhooks: WebhookPolicy | null;
  /** There may be a webhook to send. */
  readonly wakeSender: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of this package. */
  readonly version: string;
  readonly settings: {
    readonly heartbeatMs: number;
    readonly maxBodyBytes: number;
    /** Where nobody tells of changes, they are looked for this often. */
    readonly pollMs: number;
  };
  /** Base path and path of the mount, without those of an app around: for URLs outside of a request, where `exchange.url` is not at hand. */
  readonly mountPath: string;
  /** Aborted when the server closes. */
  readonly closing: AbortSignal;
}

/** A protocol that is served. */
export interface OpenProtocol extends ProtocolFace {
  /** Begin what works beside the requests. Called once, with the workers. */
  start?(): void;
  /** End it. Called once, before the storage closes, also when it was never started. */
  stop?(): Promise<void>;
  /** Follows runs where they execute, also in processes that only execute (core/run-observer.ts). */
  readonly observe?: ObserveRun;
  /** Spaces whose expired records it removes itself. */
  readonly sweepsItself?: readonly string[];
}

/** A protocol, where it is served and how it is opened. */
export interface Protocol extends ProtocolMount {
  /** Whether it can be served at the root of the LangGraph API (docs/wire/protocol-mounts.md, rule 2). */
  readonly sharesRoot: boolean;
  open(context: ProtocolContext): OpenProtocol | Promise<OpenProtocol>;
  /** The long-term store as it is while the protocol is served: for what the protocol keeps that is to be seen as items. */
  viewItems?(items: IndexedItems, deps: ItemsViewDeps): IndexedItems | Promise<IndexedItems>;
  /**
   * Paths of streams, without what is before the mount, whose credentials may be in the query as `api_key` or `token`: for browsers'
   * `EventSource`, which sends no headers.
   */
  readonly credentialsInQuery?: RegExp;
}

/** What {@link Protocol.viewItems} reads and writes. */
export interface ItemsViewDeps {
  readonly records: RecordStore;
  readonly hints: RecordHints;
  /** Callers are told apart, so that their items may lie under labels of their own. */
  readonly isAuthenticated: boolean;
}

/**
 * A protocol at its place. `open` should import what it needs by `await import()`, so that a protocol that is not used costs no start
 * time.
 * @param options as users give them
 * @throws HeddleError `CONFIG_INVALID`
 */
export function defineProtocol(
  protocol: Omit<Protocol, keyof ProtocolMount> & Pick<Protocol, "name"> & { readonly defaultPath: string },
  options: MountOptions = {},
): Protocol {
  const { name, defaultPath, ...rest } = protocol;
  const { port = null, path = port === null ? defaultPath : "" } = options;
  if (!isMountPath(path)) throw invalid(name, "path", MOUNT_PATH_RULE);
  if (port !== null && !isPort(port)) throw invalid(name, "port", PORT_RULE);
  return brandProtocol({ ...rest, name, path: path.replace(/\/$/, ""), port });
}

function invalid(name: string, field: string, rule: string): HeddleError {
  return new HeddleError("CONFIG_INVALID", { message: `protocols: ${field} of ${name} ${rule}` });
}
