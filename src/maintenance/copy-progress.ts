import { ALL_ROWS } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { ItemStore } from "../core/item-store.js";
import type { JsonObject } from "../core/json.js";
import { TRANSFER_KINDS, type TransferKind } from "../core/row-transfer.js";
import { transferKey } from "../stores/transfer-rows.js";

/** Where the state of an unfinished copy lies in its target: an item that every storage can keep, and that the end removes. */
const PLACE = { namespace: ["heddle:unfinished-copy"], key: "progress" } as const;

/** Key of that item among the rows of kind `items`. */
export const PROGRESS_KEY = transferKey("items", PLACE);

/** The stages of a copy in order: rows by kind, then the checkpoints of thread after thread. */
export const STAGES = [...TRANSFER_KINDS, "checkpoints"] as const;
export type Stage = TransferKind | "checkpoints";

/** How far a copy has come. All before it is written; what comes after may be in part. */
export interface CopyProgress {
  /** Of the source, so that nothing else is copied on top. */
  readonly source: string;
  readonly stage: Stage;
  /** The last key of the stage that is done; `null`: none. */
  readonly after: string | null;
}

/**
 * The state of a copy that was cut off; `null` when there is none.
 * @throws HeddleError `STORAGE_UNAVAILABLE` when another Heddle wrote something that this one does not understand
 */
export async function readProgress(items: ItemStore): Promise<CopyProgress | null> {
  const found = await items.get({ ...PLACE, access: ALL_ROWS });
  if (found.kind !== "found") return null;
  const { source, stage, after } = found.item.value;
  const known = STAGES.find((name) => name === stage);
  if (typeof source === "string" && known !== undefined && (after === null || typeof after === "string")) {
    return { source, stage: known, after };
  }
  throw new HeddleError("STORAGE_UNAVAILABLE", {
    message: "The target holds an unfinished copy by another version of Heddle. Start over with an empty target.",
  });
}

export async function writeProgress(items: ItemStore, progress: CopyProgress): Promise<void> {
  const { source, stage, after } = progress;
  const value: JsonObject = { source, stage, after };
  await items.put({ ...PLACE, value, access: ALL_ROWS });
}

export async function clearProgress(items: ItemStore): Promise<void> {
  await items.delete({ ...PLACE, access: ALL_ROWS });
}
