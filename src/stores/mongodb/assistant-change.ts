import { randomUUID } from "node:crypto";
import { HeddleError } from "../../core/errors.js";
import { termsOf } from "../../core/filter-terms.js";
import { isConnectionLost, isDuplicateKey } from "../../databases/mongodb/failures.js";
import type { AssistantDocument, VersionContent } from "./documents.js";
import { parseObject } from "./rows.js";
import type { Session } from "./session.js";
import { storeVersion } from "./versions.js";

const KEPT_CHANGES = 24;
const MAX_WAIT_MS = 30_000;
const MAX_PAUSE_MS = 40;

/** What becomes the current content. */
export interface VersionFields extends VersionContent {
  readonly maxVersion: number;
}

/** @returns false when there is one with this id */
export async function insertAssistant(session: Session, document: AssistantDocument): Promise<boolean> {
  return session.retrying(async () => {
    try {
      await session.assistants.insertOne(document);
      return true;
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      // It may be this very one, whose answer was lost.
      return (await session.assistants.findOne({ _id: document._id, uid: document.uid })) !== null;
    }
  });
}

/**
 * Read, decide, write the very revision that was read; again when another process was faster. Before a version stops being the
 * current one it gets its document, so that none is lost.
 * @param decide `null` changes nothing
 * @returns as it is now; `null` when it is not there or nothing was changed
 */
export async function changeAssistant(
  session: Session,
  assistantId: string,
  decide: (current: AssistantDocument) => Promise<VersionFields | null>,
): Promise<AssistantDocument | null> {
  const { assistants } = session;
  const deadline = performance.now() + MAX_WAIT_MS;
  return session.inTurn(`assistant:${assistantId}`, async () => {
    let unanswered: { readonly name: string; readonly changed: AssistantDocument } | null = null;
    for (;;) {
      const current = await session.retrying(() => assistants.findOne({ _id: assistantId }));
      if (current === null) return null;
      if (unanswered !== null && current.changes.includes(unanswered.name)) return unanswered.changed;
      const fields = await decide(current);
      if (fields === null) return null;
      await storeVersion(session, current);
      const name = randomUUID().slice(0, 8);
      const changed = changedBy(current, fields, { name, now: session.now() });
      const { _id, uid, rev } = current;
      try {
        const { matchedCount } = await assistants.replaceOne({ _id, uid, rev }, changed);
        if (matchedCount > 0) return changed;
      } catch (error) {
        if (!isConnectionLost(error)) throw error;
        unanswered = { name, changed };
      }
      if (performance.now() >= deadline) {
        throw new HeddleError("STORAGE_UNAVAILABLE", {
          message: `Assistant ${assistantId} could not be changed for ${MAX_WAIT_MS / 1000} s: other processes change it all the time.`,
        });
      }
      await new Promise((resolve) => void setTimeout(resolve, Math.random() * MAX_PAUSE_MS));
    }
  });
}

function changedBy(
  current: AssistantDocument,
  fields: VersionFields,
  { name, now }: { readonly name: string; readonly now: number },
): AssistantDocument {
  return {
    ...current,
    ...fields,
    rev: current.rev + 1,
    changes: [...current.changes.slice(1 - KEPT_CHANGES), name],
    nameLower: fields.name.toLowerCase(),
    terms: termsOf(parseObject(fields.metadata)),
    versionedAt: fields.version > current.maxVersion ? now : current.versionedAt,
    updatedAt: now,
  };
}
