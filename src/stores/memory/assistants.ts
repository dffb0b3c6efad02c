import type { Assistant } from "../../core/assistant.js";
import type { AccessFilter } from "../../core/auth.js";
import { planFilter, termsOf } from "../../core/filter-terms.js";
import type { JsonObject } from "../../core/json.js";
import { copyJson } from "../../core/json.js";
import { isVisible, jsonContains } from "../../core/metadata-filter.js";
import type { AssistantQuery, AssistantStore } from "../../core/metadata-store.js";
import type { RowQuery } from "./indexed-rows.js";
import type { AssistantRow } from "./rows.js";
import { assistantOf, versionOf } from "./rows.js";
import type { Tables } from "./tables.js";

/** Assistants and their versions in memory. */
export function createMemoryAssistants(tables: Tables): AssistantStore {
  const { assistants, assistantIndex, clock } = tables;

  const visible = (assistantId: string, access: AccessFilter): AssistantRow | null => {
    const row = assistants.get(assistantId);
    return row !== undefined && isVisible(access, row.metadata) ? row : null;
  };

  const change = (row: AssistantRow, next: Partial<AssistantRow>): void => {
    const before = tags(row);
    assistantIndex.reorder(row, ["graph_id", "name", "updated_at"], () => {
      Object.assign(row, next);
      row.updatedAt = clock.now();
    });
    assistantIndex.retag(row, before, tags(row));
  };

  const appendVersion = (row: AssistantRow): void => {
    const { assistantId, graphId, name, description, config, context, metadata, version } = row;
    row.versions.push({
      assistantId,
      graphId,
      name,
      description,
      config,
      context,
      metadata,
      version,
      createdAt: clock.now(),
    });
  };

  return {
    async create({ draft, access }) {
      if (assistants.has(draft.assistantId)) {
        const existing = visible(draft.assistantId, access);
        return { kind: "exists", assistant: existing === null ? null : assistantOf(existing) };
      }
      const now = clock.now();
      const row: AssistantRow = {
        assistantId: draft.assistantId,
        graphId: draft.graphId,
        name: draft.name,
        description: draft.description,
        config: copyJson(draft.config),
        context: copyJson(draft.context),
        metadata: copyJson(draft.metadata),
        version: 1,
        createdAt: now,
        updatedAt: now,
        versions: [],
      };
      appendVersion(row);
      assistants.set(row.assistantId, row);
      assistantIndex.insert(row, tags(row));
      return { kind: "created", assistant: assistantOf(row) };
    },

    async get({ assistantId, access }) {
      const row = visible(assistantId, access);
      return row === null ? null : assistantOf(row);
    },

    async update({ assistantId, patch, access }) {
      const row = visible(assistantId, access);
      if (row === null) return null;
      change(row, {
        graphId: patch.graphId ?? row.graphId,
        name: patch.name ?? row.name,
        description: patch.description === undefined ? row.description : patch.description,
        config: patch.config === undefined ? row.config : copyJson(patch.config),
        context: patch.context === undefined ? row.context : copyJson(patch.context),
        metadata: patch.metadata === undefined ? row.metadata : { ...row.metadata, ...copyJson(patch.metadata) },
        version: (row.versions.at(-1)?.version ?? 0) + 1,
      });
      appendVersion(row);
      return assistantOf(row);
    },

    async delete({ assistantId, access }) {
      const row = visible(assistantId, access);
      if (row === null) return null;
      assistants.delete(assistantId);
      tables.crons.removeOfAssistant(assistantId);
      assistantIndex.remove(row, tags(row));
      for (const run of tables.runs.values()) {
        if (run.assistantId !== assistantId || run.status === "running") continue;
        tables.removeRun(run);
        tables.refreshStatus(run.thread);
      }
      return assistantOf(row);
    },

    async search({ limit, offset, sortBy, sortOrder, ...query }) {
      const { rows, total } = await assistantIndex.search(plan(query), { limit, offset, sortBy, sortOrder });
      return { rows: rows.map(assistantOf), total };
    },

    count: async (query) => assistantIndex.count(plan(query)),

    async versions({ assistantId, metadata, limit, offset, access }) {
      const row = visible(assistantId, access);
      if (row === null) return [];
      return row.versions
        .filter((version) => jsonContains(version.metadata, metadata) && isVisible(access, version.metadata))
        .toReversed()
        .slice(offset, offset + limit)
        .map(versionOf);
    },

    async setLatest({ assistantId, version, metadata: granted, access }) {
      const row = visible(assistantId, access);
      if (row === null) return { kind: "no-assistant" };
      const found = row.versions.find((one) => one.version === version);
      if (found === undefined || !isVisible(access, found.metadata)) return { kind: "no-version" };
      const { graphId, name, description, config, context } = found;
      const metadata = granted === undefined ? found.metadata : { ...found.metadata, ...copyJson(granted) };
      change(row, { graphId, name, description, config, context, metadata, version });
      return { kind: "set", assistant: assistantOf(row) };
    },
  };
}

/** Insert an assistant, or replace all of it but its versions. */
export function putAssistant({ assistants, assistantIndex }: Tables, assistant: Assistant): void {
  const existing = assistants.get(assistant.assistantId);
  if (existing !== undefined) assistantIndex.remove(existing, tags(existing));
  const row: AssistantRow = Object.assign(existing ?? { ...assistant, versions: [] }, assistant);
  assistants.set(row.assistantId, row);
  assistantIndex.insert(row, tags(row));
}

function plan({ metadata, graphId, name, access }: AssistantQuery): RowQuery<AssistantRow> {
  const { terms, residual } = planFilter({ ...(metadata === undefined ? {} : { metadata }), access });
  const needle = name?.toLowerCase() ?? "";
  return {
    terms: graphId === undefined ? terms : [...terms, graphTerm(graphId)],
    residual:
      residual === null && needle === ""
        ? null
        : (row) => row.name.toLowerCase().includes(needle) && (residual === null || residual(row.metadata)),
  };
}

function tags(row: { readonly graphId: string; readonly metadata: JsonObject }): readonly string[] {
  return [graphTerm(row.graphId), ...termsOf(row.metadata)];
}

/** Terms of metadata start with a quote, so it clashes with none. */
function graphTerm(graphId: string): string {
  return `graph:${graphId}`;
}
