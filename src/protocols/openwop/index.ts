import type { MountOptions, Protocol } from "../protocol.js";
import { defineProtocol } from "../protocol.js";

/**
 * OpenWOP v1 and, where it does not share the LangGraph API's root, v2: every graph is a workflow, every `interrupt()` an interrupt (docs/protocols/openwop.md).
 * @param options where it is served; `path: ""` beside the LangGraph API. Default: `/openwop`
 * @example createApp({ graphs, protocols: [openwop()] })
 */
export function openwop(options?: MountOptions): Protocol {
  // `/runs` at the root is the LangGraph API's (docs/wire/openwop.md §3.9).
  const { path, port = null } = options ?? {};
  const servesSecond = port !== null || (path !== "" && path !== "/");
  return defineProtocol(
    {
      name: "openwop",
      defaultPath: "/openwop",
      sharesRoot: true,
      open: async (context) => (await import("./open.js")).openOpenwop(context, { servesSecond }),
    },
    options,
  );
}
