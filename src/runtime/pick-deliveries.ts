import type { DeliveryStore, HostSelection } from "../core/webhook.js";
import type { ReceiverHosts } from "./receiver-hosts.js";

/** How often one round asks again for deliveries to other hosts, when the first ones were all of the same. */
const MAX_LOOKS = 8;

/** Deliveries to start now. @returns as many ids as hosts and `limit` have room for */
export async function pickDeliveries(
  { deliveries, hosts }: { readonly deliveries: Pick<DeliveryStore, "due">; readonly hosts: ReceiverHosts },
  selection: () => HostSelection,
  limit: number,
): Promise<readonly string[]> {
  const picked = new Set<string>();
  const taken = new Map<string, number>();
  for (let looks = 0; looks < MAX_LOOKS && picked.size < limit; looks += 1) {
    const { kind, hosts: named } = selection();
    const full = [...taken].filter(([host, count]) => count >= hosts.free(host)).map(([host]) => host);
    const wanted = kind === "only" ? named.filter((host) => !full.includes(host)) : [...named, ...full];
    if (kind === "only" && wanted.length === 0) break;
    const limitNow = limit - picked.size;
    const due = await deliveries.due({ limit, hosts: { kind, hosts: wanted } });
    const fresh = due.filter(({ deliveryId }) => !picked.has(deliveryId));
    for (const { deliveryId, host } of fresh.slice(0, limitNow)) {
      const count = taken.get(host) ?? 0;
      if (count >= hosts.free(host)) continue;
      picked.add(deliveryId);
      taken.set(host, count + 1);
    }
    if (fresh.length === 0 || due.length < limit) break;
  }
  return [...picked];
}
