import { isMountPath, isPort, type MountOptions, PROTOCOL_NAMES, type ProtocolName } from "../core/protocol.js";

/** A protocol by its name, where files and flags say it. */
export interface NamedProtocol extends MountOptions {
  readonly name: ProtocolName;
}

const isProtocolName = (name: string): name is ProtocolName => PROTOCOL_NAMES.some((known) => known === name);

/** How `--protocol` and texts in `langgraph.json` say where a protocol is served. */
export const PROTOCOL_TEXT_RULE =
  "must be a name, name@/path, name@/ for the root, or name@:port for a port of its own; the names are " +
  PROTOCOL_NAMES.join(", ");

/**
 * @example parseProtocol("openwop@:3001") // { name: "openwop", port: 3001 }
 * @returns `null` for what {@link PROTOCOL_TEXT_RULE} does not allow
 */
export function parseProtocol(text: string): NamedProtocol | null {
  const [name = "", place, ...more] = text.split("@");
  if (!isProtocolName(name) || more.length > 0) return null;
  if (place === undefined) return { name };
  if (place.startsWith(":")) {
    const port = /^:\d+$/.test(place) ? Number(place.slice(1)) : Number.NaN;
    return isPort(port) ? { name, port } : null;
  }
  return place !== "" && isMountPath(place) ? { name, path: place } : null;
}
