import type { ConcurrencyGauge } from "../core/limits.js";

/** Count what each caller has open in this process. */
export function createConcurrencyGauge(max: number): ConcurrencyGauge {
  const open = new Map<string, number>();
  return {
    max,
    acquire(key) {
      const count = open.get(key) ?? 0;
      if (count >= max) return null;
      open.set(key, count + 1);
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        const left = (open.get(key) ?? 1) - 1;
        if (left > 0) open.set(key, left);
        else open.delete(key);
      };
    },
  };
}
