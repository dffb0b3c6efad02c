import { readNewestCheckpoint } from "../checkpointers/newest-checkpoint.js";
import { createCheckpointerRegistry } from "../checkpointers/registry.js";
import { redactUri } from "../config/redact.js";
import type { Cipher } from "../core/cipher.js";
import { schemeOf } from "../core/driver.js";
import { sqlitePath } from "../databases/sqlite/uri.js";
import { checkStorage } from "../encryption/check-storage.js";
import { sealedItemStore } from "../encryption/sealed-item-store.js";
import { sealedMetadataStore } from "../encryption/sealed-metadata-store.js";
import { createStoreRegistry } from "../stores/registry.js";
import type { CopySide } from "./copy-storage.js";

/**
 * Open one side of a copy: the storage, and the checkpointer where it is elsewhere. Opening brings tables up to date.
 * @param params.checkpointerUri default: the storage's
 * @param params.cwd for relative files in the URIs
 * @throws HeddleError as the registries do; what was opened before a failure is closed again
 */
export async function openCopySide(params: {
  readonly uri: string;
  readonly checkpointerUri?: string;
  readonly cwd: string;
  /** Opens what is encrypted, and encrypts what is written. Absent: a storage that is encrypted is refused. */
  readonly cipher?: Cipher;
}): Promise<CopySide & { close(): Promise<void> }> {
  const { uri, checkpointerUri = uri, cwd, cipher } = params;
  const context = { cwd, shared: new Map<string, unknown>(), ...(cipher !== undefined && { cipher }) };
  const stored = await createStoreRegistry().open(uri, context);
  const quiet = { warn: () => undefined };
  const store =
    cipher === undefined
      ? stored
      : {
          metadata: sealedMetadataStore(stored.metadata, cipher, quiet),
          items: sealedItemStore(stored.items, cipher),
        };
  const closeStore = async (): Promise<void> => {
    await store.items.close();
    await store.metadata.close();
  };
  try {
    const checkpointer = await createCheckpointerRegistry().open(checkpointerUri, context);
    await checkStorage({ ...store, checkpointer }, cipher !== undefined, readNewestCheckpoint).catch(
      async (error: unknown) => {
        await checkpointer.close();
        throw error;
      },
    );
    const names = checkpointerUri === uri ? [uri] : [uri, checkpointerUri];
    return {
      name: names.map(redactUri).join(" with checkpoints in "),
      identity: names.map((name) => placeOf(name, cwd)).join(" "),
      store,
      checkpointer,
      async close() {
        await checkpointer.close();
        await closeStore();
      },
    };
  } catch (error) {
    await closeStore();
    throw error;
  }
}

/** The same for two URIs of one place, as far as a URI tells. */
function placeOf(uri: string, cwd: string): string {
  if (schemeOf(uri) === "sqlite") return `sqlite:${sqlitePath(uri, cwd)}`;
  return redactUri(uri).replace(/\/\/[^/]*@/, "//");
}
