import { randomUUID } from "node:crypto";
import type { AccessFilter } from "../../core/auth.js";
import { termsOf } from "../../core/filter-terms.js";
import { toJsonText } from "../../core/json.js";
import { isVisible, jsonContains } from "../../core/metadata-filter.js";
import type { AssistantStore, NewAssistant } from "../../core/metadata-store.js";
import { changeAssistant, insertAssistant, type VersionFields } from "./assistant-change.js";
import { deleteRunsOf } from "./assistant-runs.js";
import { countAssistants, searchAssistants } from "./assistant-search.js";
import type { AssistantDocument } from "./documents.js";
import { assistantOf, parseObject, showsMetadata, versionOf } from "./rows.js";
import type { Session } from "./session.js";
import { readVersions, storeVersion } from "./versions.js";

/** Assistants and their versions in MongoDB. */
export function createMongoAssistants(session: Session): AssistantStore {
  const { assistants, versions } = session;

  const visible = async (assistantId: string, access: AccessFilter): Promise<AssistantDocument | null> => {
    const document = await session.retrying(() => assistants.findOne({ _id: assistantId }));
    return document !== null && showsMetadata(access, document.metadata) ? document : null;
  };

  return {
    async create({ draft, access }) {
      const document = newAssistant(draft, session.now());
      if (await insertAssistant(session, document)) {
        await storeVersion(session, document);
        return { kind: "created", assistant: assistantOf(document) };
      }
      const existing = await visible(draft.assistantId, access);
      return { kind: "exists", assistant: existing === null ? null : assistantOf(existing) };
    },

    async get({ assistantId, access }) {
      const document = await visible(assistantId, access);
      return document === null ? null : assistantOf(document);
    },

    async update({ assistantId, patch, access }) {
      const changed = await changeAssistant(session, assistantId, async (current): Promise<VersionFields | null> => {
        if (!showsMetadata(access, current.metadata)) return null;
        const version = Math.max(current.maxVersion, current.version) + 1;
        return {
          graphId: patch.graphId ?? current.graphId,
          name: patch.name ?? current.name,
          description: patch.description === undefined ? current.description : patch.description,
          config: patch.config === undefined ? current.config : toJsonText(patch.config),
          context: patch.context === undefined ? current.context : toJsonText(patch.context),
          metadata:
            patch.metadata === undefined
              ? current.metadata
              : toJsonText({ ...parseObject(current.metadata), ...patch.metadata }),
          version,
          maxVersion: version,
        };
      });
      if (changed === null) return null;
      await storeVersion(session, changed);
      return assistantOf(changed);
    },

    async delete({ assistantId, access }) {
      const document = await visible(assistantId, access);
      if (document === null) return null;
      const { uid } = document;
      // The assistant goes last: who deletes again after a crash finishes it.
      await deleteRunsOf(session, assistantId);
      await session.retrying(() => session.crons.deleteMany({ assistantId }));
      await session.retrying(() => versions.deleteMany({ assistant: uid }));
      await session.retrying(() => assistants.deleteOne({ _id: assistantId, uid }));
      return assistantOf(document);
    },

    search: (params) => searchAssistants(session, params),

    count: (query) => countAssistants(session, query),

    async versions({ assistantId, metadata, limit, offset, access }) {
      const document = await visible(assistantId, access);
      if (document === null) return [];
      return (await readVersions(session, document))
        .map((version) => versionOf(assistantId, version, version.createdAt))
        .filter((version) => jsonContains(version.metadata, metadata) && isVisible(access, version.metadata))
        .slice(offset, offset + limit);
    },

    async setLatest({ assistantId, version, metadata: granted, access }) {
      let wasThere = false;
      const changed = await changeAssistant(session, assistantId, async (current): Promise<VersionFields | null> => {
        wasThere = showsMetadata(access, current.metadata);
        if (!wasThere) return null;
        const found = (await readVersions(session, current)).find((one) => one.version === version);
        if (found === undefined || !showsMetadata(access, found.metadata)) return null;
        const { graphId, name, description, config, context } = found;
        const metadata =
          granted === undefined ? found.metadata : toJsonText({ ...parseObject(found.metadata), ...granted });
        const { maxVersion } = current;
        return { graphId, name, description, config, context, metadata, version, maxVersion };
      });
      if (changed !== null) return { kind: "set", assistant: assistantOf(changed) };
      return { kind: wasThere ? "no-version" : "no-assistant" };
    },
  };
}

function newAssistant(draft: NewAssistant, now: number): AssistantDocument {
  const metadata = toJsonText(draft.metadata);
  return {
    _id: draft.assistantId,
    uid: randomUUID(),
    rev: 1,
    changes: [],
    graphId: draft.graphId,
    name: draft.name,
    nameLower: draft.name.toLowerCase(),
    description: draft.description,
    config: toJsonText(draft.config),
    context: toJsonText(draft.context),
    metadata,
    terms: termsOf(parseObject(metadata)),
    version: 1,
    maxVersion: 1,
    versionedAt: now,
    createdAt: now,
    updatedAt: now,
  };
}
