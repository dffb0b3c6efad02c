import type { ApiKeyStore } from "../core/api-key.js";
import type { DriverContext } from "../core/driver.js";
import type { DeliveryStore } from "../core/webhook.js";
import { createStoreRegistry } from "../stores/registry.js";

/** What of a storage can be looked after without a key: nothing in it is encrypted. */
export interface OpenTables {
  readonly keys: ApiKeyStore;
  /** Without what deliveries say. */
  readonly deliveries: DeliveryStore;
  /** False when it ends with this process. */
  readonly durable: boolean;
  close(): Promise<void>;
}

/**
 * API keys and the outbox of webhooks of a storage. Opening brings its tables up to date.
 * @throws HeddleError as the registry does
 */
export async function openTables(uri: string, context: DriverContext): Promise<OpenTables> {
  const { metadata, items } = await createStoreRegistry().open(uri, context);
  return {
    keys: metadata.keys,
    deliveries: metadata.deliveries,
    durable: metadata.durable,
    async close() {
      await items.close();
      await metadata.close();
    },
  };
}
