import type { LeaseRenewal } from "../../core/lease-renewal.js";

/** What the renewing thread gets. */
export interface RenewerData {
  readonly uri: string;
}

/** How a thread of its own renews the leases of runs in this database. */
export function mongoLeaseRenewal(uri: string): LeaseRenewal {
  const data: RenewerData = { uri };
  // As it lies: `.js` in the package, `.ts` in the tests.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return { moduleUrl: new URL(`./lease-renewer.${extension}`, import.meta.url).href, data };
}
