import type { RowTransfer } from "../../core/row-transfer.js";
import type { Session } from "./session.js";

export function createMongoTransfer(_session: Session): RowTransfer | null {
  return null;
}
