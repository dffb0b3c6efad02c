import type { MessagePort } from "node:worker_threads";
import type { OpenLeaseRenewer } from "../core/lease-renewal.js";
import type { RunLease } from "../core/run.js";

/** What the thread needs to know. */
export interface LeaseServing {
  /** For the renewer. */
  readonly data: unknown;
  readonly leaseMs: number;
  readonly maxBlockedMs: number;
  /** One counter, which the main loop counts up as long as it turns. */
  readonly turns: SharedArrayBuffer;
}

/** From the main thread: what it holds now, what it no longer holds, that it is over. */
export type LeaseThreadOrder =
  | { readonly kind: "change"; readonly held: readonly RunLease[]; readonly ended: readonly RunLease[] }
  | { readonly kind: "stop" };

/** To the main thread, for the log. */
export type LeaseThreadNotice =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "blocked"; readonly blockedMs: number };

/**
 * What the thread does: it renews the leases of this process where no graph can delay it, and stops while the main loop has
 * not turned for `maxBlockedMs`, so that a hung process is replaced (design §7.11). A pause of the whole process (SIGSTOP)
 * stops this thread, too; what was taken over meanwhile does not hold any more, and is left alone.
 */
export async function serveLeases(port: MessagePort, params: LeaseServing, open: OpenLeaseRenewer): Promise<void> {
  const { leaseMs, maxBlockedMs } = params;
  const notify = (notice: LeaseThreadNotice): void => port.postMessage(notice);
  // Orders wait in the port until somebody listens.
  const renewer = await open(params.data);
  notify({ kind: "ready" });
  const turns = new Int32Array(params.turns);
  const leases = new Map<string, RunLease>();
  const everyMs = leaseMs / 3;
  const lookMs = Math.max(5, Math.min(everyMs, maxBlockedMs / 4));
  let lastTurn = Atomics.load(turns, 0);
  let turnedAt = performance.now();
  let renewedAt = Number.NEGATIVE_INFINITY;
  let isFailing = false;
  let isBlocked = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const keyOf = (lease: RunLease): string => `${lease.leaseToken} ${lease.runId}`;
  const isMainAlive = (now: number): boolean => {
    const turn = Atomics.load(turns, 0);
    if (turn !== lastTurn) turnedAt = now;
    lastTurn = turn;
    const blockedMs = now - turnedAt;
    if (blockedMs <= maxBlockedMs) {
      isBlocked = false;
      return true;
    }
    if (!isBlocked && leases.size > 0) notify({ kind: "blocked", blockedMs: Math.round(blockedMs) });
    isBlocked = true;
    return false;
  };

  const renew = async (): Promise<void> => {
    try {
      await renewer.renew({ leases: [...leases.values()], leaseMs });
      isFailing = false;
    } catch (error) {
      // Once per outage: the main thread's heartbeat tells the rest.
      if (!isFailing) notify({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
      isFailing = true;
    }
  };

  let renewing = Promise.resolve();
  const look = async (): Promise<void> => {
    const now = performance.now();
    if (isMainAlive(now) && leases.size > 0 && now - renewedAt >= everyMs - lookMs / 2) {
      renewedAt = now;
      renewing = renew();
      await renewing;
    }
    if (!stopped) timer = setTimeout(() => void look(), lookMs);
  };

  port.on("message", (order: LeaseThreadOrder) => {
    if (order.kind === "stop") {
      stopped = true;
      clearTimeout(timer);
      void renewing.then(() => renewer.close()).finally(() => port.close());
      return;
    }
    for (const lease of order.held) leases.set(keyOf(lease), lease);
    for (const lease of order.ended) leases.delete(keyOf(lease));
  });
  await look();
}
