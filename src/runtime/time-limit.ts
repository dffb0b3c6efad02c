import type { Clock } from "../core/clock.js";
import type { AbortReason } from "../core/run-lifecycle.js";

/**
 * A run's signal with the limit of its attempt: aborted with the run's own reason, or with `timeout` when that comes first.
 * A graph that keeps the event loop busy is told as soon as it pauses.
 * @param timeoutMs `null`: no limit
 * @returns `clear` when the graph has stopped
 */
export function withTimeLimit(
  clock: Clock,
  signal: AbortSignal,
  timeoutMs: number | null,
): { readonly signal: AbortSignal; clear(): void } {
  if (timeoutMs === null || signal.aborted) return { signal, clear: () => undefined };
  const limited = new AbortController();
  const forward = (): void => limited.abort(signal.reason);
  const timer = clock.setTimer(() => limited.abort({ kind: "timeout", timeoutMs } satisfies AbortReason), timeoutMs);
  signal.addEventListener("abort", forward, { once: true });
  return {
    signal: limited.signal,
    clear() {
      timer.cancel();
      signal.removeEventListener("abort", forward);
    },
  };
}
