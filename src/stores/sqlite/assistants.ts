import type { AccessFilter } from "../../core/auth.js";
import { toJsonText } from "../../core/json.js";
import { isVisible, jsonContains } from "../../core/metadata-filter.js";
import type { AssistantQuery, AssistantStore } from "../../core/metadata-store.js";
import { assistantOf, parseObject, versionOf, type AssistantColumns, type VersionColumns } from "./rows.js";
import { scan, type Entry } from "./scan.js";
import { guarded, type Session } from "./session.js";
import { changeThread, showsMetadata, threadById } from "./thread-rows.js";

const VERSIONED = "graph_id, name, description, config, context, metadata, version";

interface Candidate extends Entry {
  readonly name: string;
  readonly metadata: string;
}

/** Assistants and their versions in SQLite. */
export function createSqliteAssistants(session: Session): AssistantStore {
  const { clock } = session;

  const find = (assistantId: string): AssistantColumns | undefined =>
    session.sql<AssistantColumns>("SELECT * FROM assistants WHERE assistant_id = ?").get(assistantId);

  const visible = (assistantId: string, access: AccessFilter): AssistantColumns | null => {
    const row = find(assistantId);
    return row !== undefined && showsMetadata(access, row.metadata) ? row : null;
  };

  const appendVersion = (row: AssistantColumns, now: number): void => {
    session
      .sql(`INSERT INTO assistant_versions (assistant, ${VERSIONED}, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
      .run(row.id, row.graph_id, row.name, row.description, row.config, row.context, row.metadata, row.version, now);
  };

  /** Make a version the current one. */
  const replace = (row: AssistantColumns, next: Omit<VersionColumns, "created_at">): AssistantColumns => {
    const updated_at = clock.now();
    session
      .sql(
        `UPDATE assistants SET graph_id = ?, name = ?, description = ?, config = ?, context = ?, metadata = ?,
           version = ?, updated_at = ? WHERE id = ?`,
      )
      .run(
        next.graph_id,
        next.name,
        next.description,
        next.config,
        next.context,
        next.metadata,
        next.version,
        updated_at,
        row.id,
      );
    return { ...row, ...next, created_at: row.created_at, updated_at };
  };

  /** Remove an assistant's runs, but for the running ones, and bring their threads in step. */
  const deleteRuns = (assistantId: string): void => {
    const waiting = session
      .sql<{ thread: number }>("SELECT DISTINCT thread FROM runs WHERE assistant_id = ? AND status = 'pending'")
      .all(assistantId);
    session.sql("DELETE FROM runs WHERE assistant_id = ? AND status <> 'running'").run(assistantId);
    for (const { thread } of waiting) {
      const row = threadById(session, thread);
      if (row !== undefined) changeThread(session, row, { queueChanged: true });
    }
  };

  const walk = async (
    query: AssistantQuery,
    order: { readonly column: string; readonly order: "asc" | "desc" },
    visit: (row: Candidate) => void,
  ): Promise<void> => {
    const needle = query.name?.toLowerCase() ?? "";
    const byGraph = query.graphId !== undefined;
    await scan<Candidate>(
      session,
      {
        ...order,
        table: "assistants",
        condition: byGraph ? "t.graph_id = ?" : "1",
        parameters: query.graphId === undefined ? [] : [query.graphId],
        columns: ["name", "metadata"],
      },
      (row) => {
        if (matches(row, needle, query)) visit(row);
        return true;
      },
    );
  };

  return {
    async create({ draft, access }) {
      const texts = {
        config: toJsonText(draft.config),
        context: toJsonText(draft.context),
        metadata: toJsonText(draft.metadata),
      };
      return session.write(() => {
        const existing = find(draft.assistantId);
        if (existing !== undefined) {
          const shown = showsMetadata(access, existing.metadata);
          return { kind: "exists", assistant: shown ? assistantOf(existing) : null };
        }
        const now = clock.now();
        const columns = {
          assistant_id: draft.assistantId,
          graph_id: draft.graphId,
          name: draft.name,
          description: draft.description,
          ...texts,
          version: 1,
          created_at: now,
          updated_at: now,
        };
        const { lastInsertRowid } = session
          .sql(
            `INSERT INTO assistants (assistant_id, graph_id, name, description, config, context, metadata, version, created_at, updated_at)
             VALUES (@assistant_id, @graph_id, @name, @description, @config, @context, @metadata, @version, @created_at, @updated_at)`,
          )
          .run(columns);
        const row = { id: Number(lastInsertRowid), ...columns };
        appendVersion(row, now);
        return { kind: "created", assistant: assistantOf(row) };
      });
    },

    get: ({ assistantId, access }) =>
      session.read(() => {
        const row = visible(assistantId, access);
        return row === null ? null : assistantOf(row);
      }),

    update: ({ assistantId, patch, access }) =>
      session.write(() => {
        const row = visible(assistantId, access);
        if (row === null) return null;
        const max = session
          .sql<{ max: number }>("SELECT max(version) AS max FROM assistant_versions WHERE assistant = ?")
          .get(row.id);
        const changed = replace(row, {
          graph_id: patch.graphId ?? row.graph_id,
          name: patch.name ?? row.name,
          description: patch.description === undefined ? row.description : patch.description,
          config: patch.config === undefined ? row.config : toJsonText(patch.config),
          context: patch.context === undefined ? row.context : toJsonText(patch.context),
          metadata:
            patch.metadata === undefined
              ? row.metadata
              : toJsonText({ ...parseObject(row.metadata), ...patch.metadata }),
          version: (max?.max ?? 0) + 1,
        });
        appendVersion(changed, changed.updated_at);
        return assistantOf(changed);
      }),

    delete: ({ assistantId, access }) =>
      session.write(() => {
        const row = visible(assistantId, access);
        if (row === null) return null;
        deleteRuns(assistantId);
        session.sql("DELETE FROM assistants WHERE id = ?").run(row.id);
        return assistantOf(row);
      }),

    async search({ limit, offset, sortBy, sortOrder, ...query }) {
      const ids: number[] = [];
      let total = 0;
      await walk(query, { column: sortBy, order: sortOrder }, (row) => {
        if (total >= offset && ids.length < limit) ids.push(row.id);
        total += 1;
      });
      const byId = "SELECT * FROM assistants WHERE id = ?";
      const rows = guarded(() => ids.map((id) => session.sql<AssistantColumns>(byId).get(id)));
      return { rows: rows.filter((row) => row !== undefined).map(assistantOf), total };
    },

    async count(query) {
      let total = 0;
      await walk(query, { column: "created_at", order: "asc" }, () => {
        total += 1;
      });
      return total;
    },

    versions: ({ assistantId, metadata, limit, offset, access }) =>
      session.read(() => {
        const row = visible(assistantId, access);
        if (row === null) return [];
        const sql = `SELECT ${VERSIONED}, created_at FROM assistant_versions WHERE assistant = ? ORDER BY version DESC`;
        return session
          .sql<VersionColumns>(sql)
          .all(row.id)
          .map((version) => versionOf(assistantId, version))
          .filter((version) => jsonContains(version.metadata, metadata) && isVisible(access, version.metadata))
          .slice(offset, offset + limit);
      }),

    setLatest: ({ assistantId, version, metadata, access }) =>
      session.write(() => {
        const row = visible(assistantId, access);
        if (row === null) return { kind: "no-assistant" };
        const found = session
          .sql<VersionColumns>(
            `SELECT ${VERSIONED}, created_at FROM assistant_versions WHERE assistant = ? AND version = ?`,
          )
          .get(row.id, version);
        if (found === undefined || !showsMetadata(access, found.metadata)) return { kind: "no-version" };
        const restored =
          metadata === undefined
            ? found
            : { ...found, metadata: toJsonText({ ...parseObject(found.metadata), ...metadata }) };
        return { kind: "set", assistant: assistantOf(replace(row, restored)) };
      }),
  };
}

function matches(row: Candidate, needle: string, { metadata, access }: AssistantQuery): boolean {
  if (!row.name.toLowerCase().includes(needle)) return false;
  if (metadata === undefined && access.kind === "all") return true;
  const stored = parseObject(row.metadata);
  return jsonContains(stored, metadata) && isVisible(access, stored);
}
