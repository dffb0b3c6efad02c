import type { ChoreStore } from "../../core/chore.js";
import type { StoreClock } from "../../core/clock.js";
import type { EpochMs } from "../../core/json.js";

/** Leases of chores in this process: its workers are the only ones. */
export function createMemoryChores(clock: StoreClock): ChoreStore {
  const leases = new Map<string, { readonly workerId: string; readonly leaseUntil: EpochMs }>();
  return {
    async claim({ name, leaseMs, workerId }) {
      const now = clock.now();
      const held = leases.get(name);
      if (held !== undefined && held.workerId !== workerId && held.leaseUntil > now) return false;
      leases.set(name, { workerId, leaseUntil: now + leaseMs });
      return true;
    },
  };
}
