import type { AssistantDocument, VersionDocument } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import type { Session } from "./session.js";

/**
 * The document of the latest version, made from the assistant that holds it. Does nothing when the assistant holds an older one:
 * then that document is there.
 */
export async function storeVersion(session: Session, assistant: AssistantDocument): Promise<void> {
  if (assistant.version !== assistant.maxVersion) return;
  await session.retrying(() => insertOnce(session.versions, versionDocument(assistant)));
}

/** All versions, the newest first. */
export async function readVersions(
  session: Session,
  assistant: AssistantDocument,
): Promise<readonly VersionDocument[]> {
  const { uid, version, maxVersion } = assistant;
  const stored = await session.retrying(() =>
    session.versions
      .find({ assistant: uid, version: { $lte: maxVersion } })
      .sort({ version: -1 })
      .toArray(),
  );
  if (version !== maxVersion || stored[0]?.version === maxVersion) return stored;
  return [versionDocument(assistant), ...stored];
}

function versionDocument(assistant: AssistantDocument): VersionDocument {
  const { uid, graphId, name, description, config, context, metadata, version, versionedAt } = assistant;
  return {
    _id: `${uid}:${version}`,
    assistant: uid,
    graphId,
    name,
    description,
    config,
    context,
    metadata,
    version,
    createdAt: versionedAt,
  };
}
