import { randomUUID } from "node:crypto";
import type { Assistant, AssistantSortField } from "../../core/assistant.js";
import { toJsonText } from "../../core/json.js";
import type { AssistantQuery, AssistantStore } from "../../core/metadata-store.js";
import type { Statement } from "../../databases/postgres/open.js";
import { toJsonb, toText } from "../../databases/postgres/storable.js";
import { filterSql, ruleParameter } from "./filters.js";
import {
  ASSISTANT_COLUMNS,
  type AssistantColumns,
  assistantOf,
  VERSION_COLUMNS,
  type VersionColumns,
  versionOf,
} from "./rows.js";
import type { Session } from "./session.js";

const idempotent = true;
const VERSIONED = "graph_id, name, description, config, context, metadata";

const GET: Statement = {
  name: "heddle_get_assistant",
  idempotent,
  text: `SELECT ${ASSISTANT_COLUMNS} FROM heddle_assistants WHERE assistant_id = $1 AND ($2::jsonb IS NULL OR heddle_visible(metadata, $2))`,
};
const CREATE: Statement = {
  name: "heddle_create_assistant",
  idempotent,
  text: `WITH made AS (
      INSERT INTO heddle_assistants (assistant_id, ${VERSIONED}, name_folded, version, created_at, updated_at)
      SELECT $2, $3, $4, $5, $6, $7, $8::jsonb, $9::bytea, 1, now, now FROM (SELECT heddle_now($1) AS now OFFSET 0) AS clock
      ON CONFLICT DO NOTHING RETURNING *
    ), version AS (
      INSERT INTO heddle_assistant_versions (assistant_id, version, ${VERSIONED}, name_folded, created_at, request)
      SELECT assistant_id, version, ${VERSIONED}, name_folded, created_at, $10::uuid FROM made
    ) SELECT ${ASSISTANT_COLUMNS} FROM made`,
};
const EXISTING: Statement = {
  name: "heddle_existing_assistant",
  idempotent,
  text: `SELECT ${ASSISTANT_COLUMNS}, heddle_visible(metadata, $2) AS visible, EXISTS (
      SELECT 1 FROM heddle_assistant_versions v WHERE v.assistant_id = $1 AND v.version = 1 AND v.request = $3::uuid
    ) AS own FROM heddle_assistants WHERE assistant_id = $1`,
};
const UPDATE: Statement = {
  name: "heddle_update_assistant",
  idempotent,
  text: `SELECT ${ASSISTANT_COLUMNS} FROM heddle_update_assistant($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
};
const DELETE: Statement = {
  name: "heddle_delete_assistant",
  idempotent,
  text: `SELECT ${ASSISTANT_COLUMNS} FROM heddle_delete_assistant($1, $2, $3)`,
};
const SET_LATEST: Statement = {
  name: "heddle_set_latest_assistant",
  idempotent,
  text: `UPDATE heddle_assistants AS a SET (${VERSIONED}, name_folded, version) = (
      SELECT graph_id, name, description, config, context, metadata || $5::jsonb, name_folded, version
      FROM heddle_assistant_versions WHERE assistant_id = $2 AND version = $3
    ), updated_at = heddle_now($1)
    WHERE a.assistant_id = $2 AND heddle_visible(a.metadata, $4) AND EXISTS (
      SELECT 1 FROM heddle_assistant_versions v WHERE v.assistant_id = $2 AND v.version = $3 AND heddle_visible(v.metadata, $4)
    )
    RETURNING ${ASSISTANT_COLUMNS}`,
};

/** A row that is deleted between two looks is made again. */
const MAX_RACES = 5;

/** Assistants and their versions in Postgres. */
export function createPostgresAssistants(session: Session): AssistantStore {
  const one = async (statement: Statement, values: readonly unknown[]): Promise<Assistant | null> => {
    const [row] = await session.query<AssistantColumns>(statement, values);
    return row === undefined ? null : assistantOf(row);
  };

  return {
    async create({ draft, access }) {
      const request = randomUUID();
      const id = toText(draft.assistantId);
      const columns = [
        toText(draft.graphId),
        toText(draft.name),
        draft.description === null ? null : toText(draft.description),
        toJsonText(draft.config),
        toJsonText(draft.context),
        toJsonb(draft.metadata),
        foldedName(draft.name),
      ];
      for (let races = 0; ; races += 1) {
        const made = await one(CREATE, [session.now(), id, ...columns, request]);
        if (made !== null) return { kind: "created", assistant: made };
        type Existing = AssistantColumns & { readonly visible: boolean; readonly own: boolean };
        const [existing] = await session.query<Existing>(EXISTING, [id, ruleParameter(access), request]);
        if (existing !== undefined) {
          if (existing.own) return { kind: "created", assistant: assistantOf(existing) };
          return { kind: "exists", assistant: existing.visible ? assistantOf(existing) : null };
        }
        if (races >= MAX_RACES) throw new Error(`assistant ${draft.assistantId} comes and goes`);
      }
    },

    get: ({ assistantId, access }) => one(GET, [toText(assistantId), ruleParameter(access)]),

    async update({ assistantId, patch, access }) {
      const request = randomUUID();
      const { graphId, name, description, config, context, metadata } = patch;
      const rest = [
        toText(assistantId),
        ruleParameter(access),
        graphId === undefined ? null : toText(graphId),
        name === undefined ? null : toText(name),
        name === undefined ? null : foldedName(name),
        description !== undefined,
        typeof description === "string" ? toText(description) : null,
        config === undefined ? null : toJsonText(config),
        context === undefined ? null : toJsonText(context),
        metadata === undefined ? null : toJsonb(metadata),
      ];
      const [row] = await session.query<AssistantColumns>(UPDATE, (again) => [session.now(), request, again, ...rest]);
      return row === undefined ? null : assistantOf(row);
    },

    delete: ({ assistantId, access }) => one(DELETE, [session.now(), toText(assistantId), ruleParameter(access)]),

    async search({ limit, offset, sortBy, sortOrder, ...query }) {
      const parameters: unknown[] = [];
      const where = whereSql(query, parameters);
      const direction = sortOrder === "asc" ? "ASC" : "DESC";
      const order = `${SORT_COLUMNS[sortBy]} ${direction}, assistant_id ${direction}`;
      const page = `LIMIT $${parameters.push(limit)} OFFSET $${parameters.push(offset)}`;
      const text = `SELECT total.total, found.* FROM (SELECT count(*) AS total FROM heddle_assistants ${where}) AS total
        LEFT JOIN (SELECT ${ASSISTANT_COLUMNS}, row_number() OVER (ORDER BY ${order}) AS place FROM heddle_assistants ${where}
          ORDER BY ${order} ${page}) AS found ON true ORDER BY found.place`;
      type Found = Partial<AssistantColumns> & { readonly total: number };
      const rows = await session.query<Found>({ name: "", idempotent, text }, parameters);
      return { rows: rows.filter(isAssistant).map(assistantOf), total: rows[0]?.total ?? 0 };
    },

    async count(query) {
      const parameters: unknown[] = [];
      const text = `SELECT count(*) AS total FROM heddle_assistants ${whereSql(query, parameters)}`;
      const [row] = await session.query<{ total: number }>({ name: "", idempotent, text }, parameters);
      return row?.total ?? 0;
    },

    async versions({ assistantId, metadata, limit, offset, access }) {
      const parameters: unknown[] = [toText(assistantId), ruleParameter(access)];
      const filter = filterSql("v.metadata", { metadata, access }, parameters) ?? "true";
      const text = `SELECT ${VERSION_COLUMNS} FROM heddle_assistant_versions v WHERE v.assistant_id = $1 AND ${filter} AND EXISTS (
          SELECT 1 FROM heddle_assistants a WHERE a.assistant_id = $1 AND heddle_visible(a.metadata, $2)
        ) ORDER BY v.version DESC LIMIT $${parameters.push(limit)} OFFSET $${parameters.push(offset)}`;
      const rows = await session.query<VersionColumns>({ name: "", idempotent, text }, parameters);
      return rows.map((row) => versionOf(assistantId, row));
    },

    async setLatest({ assistantId, version, metadata, access }) {
      const id = toText(assistantId);
      const assistant = await one(SET_LATEST, [
        session.now(),
        id,
        version,
        ruleParameter(access),
        toJsonb(metadata ?? {}),
      ]);
      if (assistant !== null) return { kind: "set", assistant };
      return { kind: (await one(GET, [id, ruleParameter(access)])) === null ? "no-assistant" : "no-version" };
    },
  };
}

const SORT_COLUMNS: Record<AssistantSortField, string> = {
  assistant_id: "assistant_id",
  graph_id: "graph_id",
  created_at: "created_at",
  updated_at: "updated_at",
  name: "name",
};

function whereSql({ metadata, graphId, name, access }: AssistantQuery, parameters: unknown[]): string {
  const conditions: string[] = [];
  if (graphId !== undefined) conditions.push(`graph_id = $${parameters.push(toText(graphId))}`);
  if (name !== undefined && name !== "") {
    conditions.push(`position($${parameters.push(foldedName(name))}::bytea IN name_folded) > 0`);
  }
  const filter = filterSql("metadata", { metadata, access }, parameters);
  if (filter !== null) conditions.push(filter);
  return conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
}

/** Lower case as JavaScript has it: `lower()` goes by the locale of the database. */
export function foldedName(name: string): Buffer {
  return Buffer.from(name.toLowerCase(), "utf8");
}

function isAssistant<Row extends Partial<AssistantColumns>>(row: Row): row is Row & AssistantColumns {
  return typeof row.assistant_id === "string";
}
