import type { MountOptions, ProtocolName } from "../core/protocol.js";
import { agentexStates } from "./agentex-states/index.js";
import { openwop } from "./openwop/index.js";
import type { Protocol } from "./protocol.js";
import { snapstate } from "./snapstate/index.js";
import { stateStore } from "./state-store/index.js";

/** Makes a protocol; each is the one function that `heddle` exports for it. */
export type ProtocolFactory = (options?: MountOptions) => Protocol;

/**
 * The protocols that names stand for. A factory's module imports nothing heavy: what serves is imported when the protocol is opened.
 */
export const PROTOCOLS: Readonly<Record<ProtocolName, ProtocolFactory>> = {
  "state-store": stateStore,
  "agentex-states": agentexStates,
  snapstate,
  openwop,
};
