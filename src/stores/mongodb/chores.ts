import type { ChoreStore } from "../../core/chore.js";
import { insertOnce } from "./insert-once.js";
import type { Session } from "./session.js";

/** Leases of chores in a MongoDB database, for all its processes. */
export function createMongoChores(session: Session): ChoreStore {
  const { chores } = session;
  return {
    claim: ({ name, leaseMs, workerId }) =>
      session.retrying(async () => {
        const now = session.now();
        const lease = { workerId, leaseUntil: now + leaseMs };
        const free = { _id: name, $or: [{ workerId }, { leaseUntil: { $lte: now } }] };
        const { matchedCount } = await chores.updateOne(free, { $set: lease });
        return matchedCount > 0 || insertOnce(chores, { _id: name, ...lease });
      }),
  };
}
