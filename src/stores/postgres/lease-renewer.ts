import type { OpenLeaseRenewer } from "../../core/lease-renewal.js";
import { openPostgres } from "../../databases/postgres/open.js";
import { renewStatement } from "./renew-leases.js";

/** What {@link openLeaseRenewer} is handed by structured clone. */
export interface LeaseRenewerData {
  readonly uri: string;
}

/**
 * Renews leases from a thread of its own (core/lease-renewal), by one connection of its own, which is opened again when it was
 * lost.
 */
export const openLeaseRenewer: OpenLeaseRenewer = async (data) => {
  const { uri } = data as LeaseRenewerData;
  const database = await openPostgres(uri, { cwd: "/", maxConnections: 1 });
  return {
    async renew({ leases, leaseMs }) {
      if (leases.length > 0) await database.query(...renewStatement(null, leases, leaseMs));
    },
    close: () => database.close(),
  };
};
