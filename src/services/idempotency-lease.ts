import type { Clock, Timer } from "../core/clock.js";
import { toJsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { RecordKey, RecordStore, RecordWrite } from "../core/record.js";

/** A claim on a lease, as it was last known to be ours. */
export interface HeldLease {
  readonly version: number;
  /** Ours at least until then, by this process's clock. */
  readonly untilMs: number;
}

/** Takes it when nobody has it; goes when its process does not renew it for `leaseMs`, and leaves nothing. */
export function leaseWrite(place: RecordKey, leaseMs: number, expected = 0): RecordWrite {
  return { ...place, value: toJsonText(null), expected, ttlMs: leaseMs, disposable: true };
}

/** Renewed until it is released, or may be another's. */
export function holdLease(
  { records, clock, logger }: { readonly records: RecordStore; readonly clock: Clock; readonly logger: Logger },
  { place, first, leaseMs }: { readonly place: RecordKey; readonly first: HeldLease; readonly leaseMs: number },
): { isSure(): boolean; release(): Promise<void> } {
  let held = first;
  let timer: Timer | null = null;
  let renewing: Promise<void> = Promise.resolve();
  let isReleased = false;
  const isSure = (): boolean => clock.now() < held.untilMs - leaseMs / 4;
  const renew = async (): Promise<void> => {
    // Another's may have the same version.
    if (!isSure()) return;
    const untilMs = clock.now() + leaseMs;
    try {
      const outcome = await records.write(leaseWrite(place, leaseMs, held.version));
      if (outcome.kind === "conflict") return;
      held = { version: outcome.record.version, untilMs };
    } catch (error) {
      logger.warn({ err: error }, "the lease of an idempotent request could not be renewed");
    }
    arm();
  };
  const arm = (): void => {
    if (isReleased) return;
    timer = clock.setTimer(() => {
      renewing = renew();
    }, leaseMs / 3);
  };
  arm();
  return {
    isSure,
    async release() {
      isReleased = true;
      timer?.cancel();
      await renewing;
      // It ends by itself otherwise.
      if (isSure()) await records.remove({ ...place, expected: held.version }).catch(() => {});
    },
  };
}
