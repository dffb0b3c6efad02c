import type { DriverContext } from "../core/driver.js";
import type { DeliveryStore } from "../core/webhook.js";
import { createStoreRegistry } from "../stores/registry.js";

/**
 * The outbox of webhooks of a storage, without what deliveries say: no key is needed. Opening brings its tables up to date.
 * @throws HeddleError as the registry does
 */
export async function openDeliveries(
  uri: string,
  context: DriverContext,
): Promise<{ readonly deliveries: DeliveryStore; readonly durable: boolean; close(): Promise<void> }> {
  const { metadata, items } = await createStoreRegistry().open(uri, context);
  return {
    deliveries: metadata.deliveries,
    durable: metadata.durable,
    async close() {
      await items.close();
      await metadata.close();
    },
  };
}
