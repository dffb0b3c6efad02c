import type { RunLease } from "./run.js";

/**
 * How a worker thread renews leases with a connection of its own, where a graph that keeps the main loop busy cannot delay it
 * (design §7.11). The thread imports `moduleUrl`, whose export `openLeaseRenewer` is a {@link OpenLeaseRenewer}.
 */
export interface LeaseRenewal {
  /** Absolute `file:` URL. */
  readonly moduleUrl: string;
  /** Handed to the thread by structured clone: URI, options. */
  readonly data: unknown;
}

export type OpenLeaseRenewer = (data: unknown) => Promise<LeaseRenewer>;

export interface LeaseRenewer {
  /** Extend those that still hold, in one statement; the others are left alone: the main thread's heartbeat reports them. */
  renew(params: { readonly leases: readonly RunLease[]; readonly leaseMs: number }): Promise<void>;
  close(): Promise<void>;
}
