import type { MountOptions, Protocol } from "../protocol.js";
import { defineProtocol } from "../protocol.js";

/**
 * Agentex's states, tasks and LangGraph checkpoints, for its published Python client (docs/protocols/agentex-states.md).
 * @param options where it is served. Default: `/agentex`
 * @example createApp({ graphs, protocols: [agentexStates()] })
 */
export function agentexStates(options?: MountOptions): Protocol {
  return defineProtocol(
    {
      name: "agentex-states",
      defaultPath: "/agentex",
      sharesRoot: false,
      open: async (context) => (await import("./open.js")).openAgentexStates(context),
    },
    options,
  );
}
