import type { ClaimRequest } from "./metadata-store.js";
import type { ClaimedRun } from "./run.js";

/**
 * The worker of this process, as the service that creates runs sees it: a free slot lets a run start in the very step
 * that creates it, without a queue hop (design §5, steps 3 and 4).
 */
export interface RunLauncher {
  /** Take a slot. `null` when none is free or this process takes no work. */
  reserve(): ClaimRequest | null;
  /** Use a reserved slot for a run that was created with its claim. */
  launch(claimed: ClaimedRun): void;
  /** Give a reserved slot back. */
  unreserve(): void;
}
