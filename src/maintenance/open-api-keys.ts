import type { ApiKeyStore } from "../core/api-key.js";
import type { DriverContext } from "../core/driver.js";
import { createStoreRegistry } from "../stores/registry.js";

/**
 * The API keys of a storage. Opening brings its tables up to date.
 * @throws HeddleError as the registry does
 */
export async function openApiKeys(
  uri: string,
  context: DriverContext,
): Promise<{ readonly keys: ApiKeyStore; readonly durable: boolean; close(): Promise<void> }> {
  const { metadata, items } = await createStoreRegistry().open(uri, context);
  return {
    keys: metadata.keys,
    durable: metadata.durable,
    async close() {
      await items.close();
      await metadata.close();
    },
  };
}
