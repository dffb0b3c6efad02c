import { defineProtocol, type MountOptions, type Protocol } from "../protocol.js";

/**
 * SnapState: checkpoints of workflows by step, for `snapstate-sdk` and whoever speaks its HTTP (docs/protocols/snapstate.md). Served at
 * `/snapstate`, or on a port of its own.
 * @example createApp({ storage: "sqlite:./heddle.db", protocols: [snapstate()] })
 * @throws HeddleError `CONFIG_INVALID`
 */
export function snapstate(options: MountOptions = {}): Protocol {
  return defineProtocol(
    {
      name: "snapstate",
      defaultPath: "/snapstate",
      sharesRoot: false,
      open: async (context) => (await import("./open.js")).openSnapstate(context),
    },
    options,
  );
}
