import { ALL_ROWS } from "../core/auth.js";
import { encryptedWithoutKey, isSealedJsonText, sealedTextOf } from "../core/cipher.js";
import type { HeddleError } from "../core/errors.js";
import type { Checkpointer } from "../core/checkpointer.js";
import type { ItemStore } from "../core/item-store.js";
import type { MetadataStore } from "../core/metadata-store.js";

/**
 * Look at what was written last: the newest run, thread, item and checkpoint. What cannot be opened stops the server before it
 * answers a request with what it cannot read, or writes under another key beside it.
 * @param storage as the server uses it: sealed where a cipher is configured
 * @param isEncrypted whether a cipher is configured: then what is read was opened, and may look as it likes
 * @param readNewest the newest checkpoint of a thread, which the checkpointer opens
 * @returns what looks encrypted although no cipher is configured, and may as well be what a client has made to look so: nobody
 * may keep a server from starting by what he sends. A sealed run is none of those, because no request makes one without `config`
 * @throws HeddleError `DECRYPTION_FAILED` that names the key
 */
export async function checkStorage(
  storage: { readonly metadata: MetadataStore; readonly items: ItemStore; readonly checkpointer: Checkpointer },
  isEncrypted: boolean,
  readNewest: (checkpointer: Checkpointer, threadId: string, isEncrypted: boolean) => Promise<HeddleError | null>,
): Promise<readonly HeddleError[]> {
  const suspicions: HeddleError[] = [];
  const { metadata, items, checkpointer } = storage;
  const [run] = await metadata.runs.list({ limit: 1, offset: 0, access: ALL_ROWS });
  const isBare = run !== undefined && Object.keys(run.kwargs.config).length === 0;
  if (!isEncrypted && isBare && sealedTextOf(run.kwargs.input) !== null) {
    throw encryptedWithoutKey(["run", run.runId, "kwargs"], null);
  }
  // By the sort's own index, as lists are read; an absent field is one that was never set.
  const { rows } = await metadata.threads.search({
    limit: 1,
    offset: 0,
    sortBy: "updated_at",
    sortOrder: "desc",
    withState: true,
    access: ALL_ROWS,
  });
  const threadIds = new Set([run?.threadId, rows[0]?.threadId].filter((id) => id !== undefined));
  for (const { threadId, values } of rows) {
    if (!isEncrypted && values !== null && isSealedJsonText(values))
      suspicions.push(encryptedWithoutKey(["thread", threadId, "values"], null));
  }
  const [item] = await items.search({ namespacePrefix: [], limit: 1, offset: 0, access: ALL_ROWS });
  if (!isEncrypted && item !== undefined && sealedTextOf(item.value) !== null) {
    suspicions.push(encryptedWithoutKey(["item", JSON.stringify(item.namespace), item.key], null));
  }
  for (const threadId of threadIds) {
    const suspicion = await readNewest(checkpointer, threadId, isEncrypted);
    if (suspicion !== null) suspicions.push(suspicion);
  }
  return suspicions;
}
