import type { MountOptions, Protocol } from "../protocol.js";
import { defineProtocol } from "../protocol.js";

/**
 * OpenWOP v1: every graph is a workflow, every `interrupt()` an interrupt (docs/protocols/openwop.md).
 * @param options where it is served; `path: ""` beside the LangGraph API. Default: `/openwop`
 * @example createApp({ graphs, protocols: [openwop()] })
 */
export function openwop(options?: MountOptions): Protocol {
  return defineProtocol(
    {
      name: "openwop",
      defaultPath: "/openwop",
      sharesRoot: true,
      open: async (context) => (await import("./open.js")).openOpenwop(context),
    },
    options,
  );
}
