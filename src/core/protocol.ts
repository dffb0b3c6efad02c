const BRAND = Symbol.for("heddle.protocol");

/** Protocols that this package brings, by the name in `langgraph.json`, of `--protocol` and of the factory's folder. */
export const PROTOCOL_NAMES = ["state-store", "agentex-states", "snapstate", "openwop"] as const;
export type ProtocolName = (typeof PROTOCOL_NAMES)[number];

/** Where a protocol is served, as its factory takes it. */
export interface MountOptions {
  /**
   * Path below `http.basePath`, e.g. `/state`; `""` or `/`: beside the LangGraph API, for protocols that can share its root. Default: the
   * protocol's own, and `""` on a port of its own.
   */
  readonly path?: string;
  /** A port of its own, opened by `listen`; 0 = any free one. Default: served with the LangGraph API. */
  readonly port?: number;
}

/** A protocol and where it is served: what `createApp({ protocols })` takes. Made by a factory, as `stateStore()`. */
export interface ProtocolMount {
  readonly [BRAND]: true;
  /** At most one of each name in one app. */
  readonly name: string;
  /** `""`, or `/` + segments without a trailing slash. */
  readonly path: string;
  /** `null`: served with the LangGraph API. */
  readonly port: number | null;
}

/** The rule that {@link isMountPath} checks, as a sentence. */
export const MOUNT_PATH_RULE = "must be / and segments of letters, digits and any of . _ ~ -";
export const PORT_RULE = "must be a whole number from 0 to 65535";

/** True for `""`, `/` and `/segments`, none of them `.` or `..`; a `/` at the end counts for nothing. */
export function isMountPath(path: string): boolean {
  return path === "" || path === "/" || /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+\/?$/.test(path);
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= 65_535;
}

/** Brand a protocol, so that it is recognised also across two copies of this package. */
export function brandProtocol<P extends Omit<ProtocolMount, typeof BRAND>>(protocol: P): P & ProtocolMount {
  return Object.freeze({ ...protocol, [BRAND]: true as const });
}

export function isProtocol(value: unknown): value is ProtocolMount {
  return typeof value === "object" && value !== null && BRAND in value;
}
