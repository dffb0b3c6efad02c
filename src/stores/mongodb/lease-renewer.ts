import type { OpenLeaseRenewer } from "../../core/lease-renewal.js";
import { openMongo } from "../../databases/mongodb/open.js";
import { collectionsOf } from "./collections.js";
import type { RenewerData } from "./lease-renewal.js";
import { leaseText } from "./rows.js";

/** Module of the thread that renews leases: a client of its own, one statement for all of them. */
export const openLeaseRenewer: OpenLeaseRenewer = async (data) => {
  const { uri } = data as RenewerData;
  const database = await openMongo(uri, { cwd: process.cwd(), maxConnections: 1 });
  const { threads } = collectionsOf(database.db);
  return {
    async renew({ leases, leaseMs }) {
      if (leases.length === 0) return;
      const now = database.serverNow();
      await threads.updateMany(
        { "running.lease": { $in: leases.map(leaseText) } },
        { $set: { "running.leaseUntil": now + leaseMs, "running.heartbeatAt": now } },
      );
    },
    close: () => database.close(),
  };
};
