import { randomUUID } from "node:crypto";
import type { Filter, Sort } from "mongodb";
import type { AssistantSortField } from "../../core/assistant.js";
import type { AccessFilter } from "../../core/auth.js";
import { planFilter, termsOf } from "../../core/filter-terms.js";
import { toJsonText } from "../../core/json.js";
import { jsonContains } from "../../core/metadata-filter.js";
import type { AssistantQuery, AssistantStore, PageRequest } from "../../core/metadata-store.js";
import { startTimeSlice } from "../time-slice.js";
import { changeAssistant, insertAssistant, type VersionFields } from "./assistant-change.js";
import { deleteRunsOf } from "./assistant-runs.js";
import type { AssistantDocument } from "./documents.js";
import { assistantOf, parseObject, showsMetadata, versionOf } from "./rows.js";
import type { Session } from "./session.js";
import { readVersions, storeVersion } from "./versions.js";

const SORT_FIELDS: Readonly<Record<AssistantSortField, "_id" | "graphId" | "name" | "createdAt" | "updatedAt">> = {
  assistant_id: "_id",
  graph_id: "graphId",
  name: "name",
  created_at: "createdAt",
  updated_at: "updatedAt",
};

/** Assistants and their versions in MongoDB. */
export function createMongoAssistants(session: Session): AssistantStore {
  const { assistants, versions } = session;

  const visible = async (assistantId: string, access: AccessFilter): Promise<AssistantDocument | null> => {
    const document = await session.retrying(() => assistants.findOne({ _id: assistantId }));
    return document !== null && showsMetadata(access, document.metadata) ? document : null;
  };

  return {
    async create({ draft, access }) {
      const now = session.now();
      const metadata = toJsonText(draft.metadata);
      const document: AssistantDocument = {
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
      await session.retrying(() => versions.deleteMany({ assistant: uid }));
      await session.retrying(() => assistants.deleteOne({ _id: assistantId, uid }));
      return assistantOf(document);
    },

    async search({ limit, offset, sortBy, sortOrder, ...query }) {
      const { filter, residual } = planOf(query);
      const sort = sortOf({ sortBy, sortOrder });
      if (residual === null) {
        const [total, found] = await Promise.all([
          session.retrying(() => assistants.countDocuments(filter)),
          limit <= 0
            ? []
            : session.retrying(() => assistants.find(filter, { sort }).skip(offset).limit(limit).toArray()),
        ]);
        return { rows: found.map(assistantOf), total };
      }
      const ids = await decided(session, filter, residual, sort);
      const page = ids.slice(offset, offset + Math.max(limit, 0));
      const found = await session.retrying(() => assistants.find({ _id: { $in: page } }).toArray());
      const byId = new Map(found.map((document) => [document._id, document]));
      const documents = page.map((id) => byId.get(id)).filter((document) => document !== undefined);
      return { rows: documents.map(assistantOf), total: ids.length };
    },

    async count(query) {
      const { filter, residual } = planOf(query);
      if (residual === null) return session.retrying(() => assistants.countDocuments(filter));
      return (await decided(session, filter, residual, { _id: 1 })).length;
    },

    async versions({ assistantId, metadata, limit, offset, access }) {
      const document = await visible(assistantId, access);
      if (document === null) return [];
      return (await readVersions(session, document))
        .map((version) => versionOf(assistantId, version, version.createdAt))
        .filter((version) => jsonContains(version.metadata, metadata))
        .slice(offset, offset + limit);
    },

    async setLatest({ assistantId, version, access }) {
      let wasThere = false;
      const changed = await changeAssistant(session, assistantId, async (current): Promise<VersionFields | null> => {
        wasThere = showsMetadata(access, current.metadata);
        if (!wasThere) return null;
        const found = (await readVersions(session, current)).find((one) => one.version === version);
        if (found === undefined) return null;
        const { graphId, name, description, config, context, metadata } = found;
        const { maxVersion } = current;
        return { graphId, name, description, config, context, metadata, version, maxVersion };
      });
      if (changed !== null) return { kind: "set", assistant: assistantOf(changed) };
      return { kind: wasThere ? "no-version" : "no-assistant" };
    },
  };
}

/** @returns ids in order; every one that may match is decided on, a batch in memory at a time */
async function decided(
  session: Session,
  filter: Filter<AssistantDocument>,
  residual: (document: AssistantDocument) => boolean,
  sort: Sort,
): Promise<readonly string[]> {
  return session.retrying(async () => {
    const ids: string[] = [];
    const slice = startTimeSlice();
    const projection = { name: 1, metadata: 1 };
    for await (const document of session.assistants.find(filter, { projection, sort, batchSize: 200 })) {
      if (residual(document)) ids.push(document._id);
      if (slice.isOver()) await slice.next();
    }
    return ids;
  });
}

function planOf({ metadata, graphId, name = "", access }: AssistantQuery): {
  readonly filter: Filter<AssistantDocument>;
  readonly residual: ((document: AssistantDocument) => boolean) | null;
} {
  const { terms, residual } = planFilter({ ...(metadata === undefined ? {} : { metadata }), access });
  const needle = name.toLowerCase();
  return {
    filter: {
      ...(graphId === undefined ? {} : { graphId }),
      ...(needle === "" ? {} : { nameLower: { $regex: literal(needle) } }),
      ...(terms.length === 0 ? {} : { terms: { $all: [...terms] } }),
    },
    // BSON has no place for half a surrogate pair: there the server may find too much.
    residual:
      residual === null && needle.isWellFormed()
        ? null
        : (document) =>
            document.name.toLowerCase().includes(needle) && (residual?.(parseObject(document.metadata)) ?? true),
  };
}

/** A regular expression for this very text: NUL ends a pattern in BSON. */
function literal(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|#-]/g, "\\$&").replaceAll("\0", "\\x00");
}

function sortOf({ sortBy, sortOrder }: Pick<PageRequest<AssistantSortField>, "sortBy" | "sortOrder">): Sort {
  const direction = sortOrder === "asc" ? 1 : -1;
  const field = SORT_FIELDS[sortBy];
  return field === "_id" ? { _id: direction } : { [field]: direction, _id: direction };
}
