import type { Timer } from "../../core/clock.js";
import type { OpenwopContext } from "./context.js";

/** How often runs are looked at that nobody asks for. */
const EVERY_MS = 5_000;

/** Looks, again and again, for what crashes have left undone. */
export function createSweep(
  { clock, logger }: Pick<OpenwopContext, "clock" | "logger">,
  looks: readonly (() => Promise<void>)[],
): { start(): void; stop(): Promise<void> } {
  let timer: Timer | null = null;
  let sweeping: Promise<void> = Promise.resolve();
  let isStopped = false;
  const lookAtAll = async (): Promise<void> => {
    for (const look of looks) {
      try {
        await look();
      } catch (error) {
        logger.warn({ err: error }, "OpenWOP runs could not be looked at; trying again");
      }
    }
  };
  const later = (): void => {
    if (isStopped) return;
    timer = clock.setTimer(() => {
      sweeping = lookAtAll().then(later);
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
