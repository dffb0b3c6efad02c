import type { MountOptions, Protocol } from "../protocol.js";
import { defineProtocol } from "../protocol.js";

/**
 * Versioned values of workflows, with compare-and-set, times to live and changes as they happen (docs/protocols/state-store.md). They are
 * items of the long-term store, too: `{value}` under `["state", workflow]`.
 * @param options where it is served. Default: `/state-store`
 * @example createApp({ graphs, protocols: [stateStore()] })
 */
export function stateStore(options?: MountOptions): Protocol {
  return defineProtocol(
    {
      name: "state-store",
      defaultPath: "/state-store",
      sharesRoot: true,
      open: async (context) => (await import("./open.js")).openStateStore(context),
      viewItems: async (items, deps) => (await import("./open.js")).viewStateItems(items, deps),
      credentialsInQuery: /\/v1\/state\/[^/]+\/[^/]+\/stream$/,
    },
    options,
  );
}
