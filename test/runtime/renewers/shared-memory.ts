import { setTimeout as pause } from "node:timers/promises";
import type { OpenLeaseRenewer } from "../../../src/core/lease-renewal.js";

/** What the renewer of the tests is told, and where it writes what it does: [renewals, leases of the last one, ms]. */
export interface SharedMemory {
  readonly memory: SharedArrayBuffer;
  readonly fault?: "open" | "renew" | "crash";
}

/** Renews nothing, and leaves its traces where a blocked main thread can read them. */
export const openLeaseRenewer: OpenLeaseRenewer = async (data) => {
  const { memory, fault } = data as SharedMemory;
  const seen = new Float64Array(memory);
  if (fault === "open") throw new Error("no connection");
  return {
    async renew({ leases }) {
      seen[0] = (seen[0] ?? 0) + 1;
      seen[1] = leases.length;
      seen[2] = Date.now();
      if (fault === "renew") throw new Error("the database is away");
      if (fault === "crash") void pause(0).then(() => process.nextTick(() => crash()));
    },
    close: () => Promise.resolve(),
  };
};

function crash(): never {
  throw new Error("crashed");
}
