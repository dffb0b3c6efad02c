import type { Timer } from "../../core/clock.js";
import type { OpenwopContext } from "./context.js";
import type { Reconciler } from "./reconcile.js";

/** How often runs are looked at that nobody asks for. */
const EVERY_MS = 5_000;

/** Looks, again and again, for what crashes have left undone. */
export function createSweep(
  { clock, logger }: Pick<OpenwopContext, "clock" | "logger">,
  reconciler: Pick<Reconciler, "sweep">,
): { start(): void; stop(): Promise<void> } {
  let timer: Timer | null = null;
  let sweeping: Promise<void> = Promise.resolve();
  let isStopped = false;
  const later = (): void => {
    if (isStopped) return;
    timer = clock.setTimer(() => {
      sweeping = reconciler
        .sweep()
        .catch((error: unknown) => logger.warn({ err: error }, "OpenWOP runs could not be looked at; trying again"))
        .then(later);
    }, EVERY_MS);
  };
  return {
    start: later,
    async stop() {
      isStopped = true;
      timer?.cancel();
      await sweeping;
    },
  };
}
