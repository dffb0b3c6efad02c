import { HeddleError } from "../../core/errors.js";
import { namespaceText } from "../../core/item-namespace.js";
import { toJsonText, type JsonObject } from "../../core/json.js";
import type { TransferKind, TransferRow } from "../../core/row-transfer.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toJsonb } from "../../databases/postgres/storable.js";
import { apiKeyColumns } from "../api-key-columns.js";
import { kwargsText } from "../../core/kwargs-text.js";
import { columnText, valueOf } from "../transfer-rows.js";
import { labelsText } from "../record-columns.js";
import { labelDigests, recordDigests } from "../record-keys.js";
import { API_KEY_COLUMNS } from "./api-keys.js";
import { foldedName } from "./assistants.js";
import { vectorOf } from "../../core/item-vectors.js";
import { placeOf } from "./item-rows.js";
import { ttlColumns } from "../run-rules.js";
import { putCron } from "./crons.js";
import type { Session } from "./session.js";

const VERSIONED = "graph_id, name, name_folded, description, config, context, metadata, created_at";
const VERSIONED_TYPES =
  "graph_id text, name text, name_folded text, description text, config text, context text, metadata jsonb, created_at bigint";
const VERSIONED_VALUES =
  "graph_id, name, decode(name_folded, 'hex'), description, config, context, metadata, created_at";

const ASSISTANTS: Statement = {
  name: "heddle_import_assistants",
  idempotent: true,
  text: `INSERT INTO heddle_assistants (assistant_id, version, updated_at, ${VERSIONED})
    SELECT assistant_id, version, updated_at, ${VERSIONED_VALUES}
    FROM json_to_recordset($1) AS g (assistant_id text, version integer, updated_at bigint, ${VERSIONED_TYPES})
    ON CONFLICT (assistant_id) DO UPDATE SET ${replaced(`version, updated_at, ${VERSIONED}`)}`,
};
const VERSIONS: Statement = {
  name: "heddle_import_assistant_versions",
  idempotent: true,
  text: `WITH given AS MATERIALIZED (
      SELECT * FROM json_to_recordset($1) AS g (assistant_id text, version integer, ${VERSIONED_TYPES})
    ), missing AS MATERIALIZED (
      SELECT assistant_id, version FROM given
      WHERE NOT EXISTS (SELECT 1 FROM heddle_assistants a WHERE a.assistant_id = given.assistant_id) LIMIT 1
    ), put AS (
      INSERT INTO heddle_assistant_versions (assistant_id, version, ${VERSIONED})
      SELECT assistant_id, version, ${VERSIONED_VALUES} FROM given WHERE NOT EXISTS (SELECT 1 FROM missing)
      ON CONFLICT (assistant_id, version) DO UPDATE SET ${replaced(VERSIONED)}
    ) SELECT assistant_id, version FROM missing`,
};
const THREADS: Statement = {
  name: "heddle_import_threads",
  idempotent: true,
  text: "SELECT heddle_import_threads($1)",
};
const RUNS: Statement = {
  name: "heddle_import_runs",
  idempotent: true,
  text: "SELECT run_id, thread_id FROM heddle_import_runs($1)",
};
const ITEM_CONTENT = "item_value, created_at, updated_at, ttl_ms, expires_at, embedding, embedding_paths";
const ITEMS: Statement = {
  name: "heddle_import_items",
  idempotent: true,
  text: `WITH given AS MATERIALIZED (
      SELECT decode(place, 'hex') AS place, namespace, labels, item_key, ${ITEM_CONTENT}, paths, vectors
      FROM json_to_recordset($1) AS g (place text, namespace text, labels text[], item_key text, item_value jsonb, created_at bigint,
        updated_at bigint, ttl_ms bigint, expires_at bigint, embedding text, embedding_paths text[], paths text[], vectors text[])
    ), put AS (
      INSERT INTO heddle_items (place, namespace, labels, item_key, ${ITEM_CONTENT})
      SELECT place, namespace, labels, item_key, ${ITEM_CONTENT} FROM given
      ON CONFLICT (place) DO UPDATE SET ${replaced(ITEM_CONTENT)}
      RETURNING place
    ) SELECT heddle_put_vectors(given.place, given.paths, given.vectors) FROM given JOIN put USING (place)`,
};

const API_KEYS: Statement = {
  name: "heddle_import_api_keys",
  idempotent: true,
  text: `INSERT INTO heddle_api_keys (${API_KEY_COLUMNS})
    SELECT ${API_KEY_COLUMNS} FROM json_to_recordset($1) AS g (key_id text, digest text, label text, identity text, tenant text,
      permissions text, created_at bigint, expires_at bigint, revoked_at bigint)
    ON CONFLICT (key_id) DO UPDATE SET ${replaced(API_KEY_COLUMNS.replace("key_id, ", ""))}`,
};

const RECORD_CONTENT =
  "version, sequence, created_at, updated_at, expires_at, gone_at, tracked, disposable, labels, label_ids, record_value";
const RECORDS: Statement = {
  name: "heddle_import_records",
  idempotent: true,
  text: `WITH given AS MATERIALIZED (
      SELECT decode(id, 'hex') AS id, decode(owner_id, 'hex') AS owner_id, decode(collection_id, 'hex') AS collection_id,
        space, owner, collection, record_key, version, sequence, created_at, updated_at, expires_at, gone_at, tracked, disposable,
        labels, ARRAY(SELECT decode(l, 'hex') FROM unnest(label_ids) l) AS label_ids, record_value
      FROM json_to_recordset($1) AS g (id text, owner_id text, collection_id text, space text, owner text, collection text,
        record_key text, version bigint, sequence bigint, created_at bigint, updated_at bigint, expires_at bigint, gone_at bigint,
        tracked boolean, disposable boolean, labels text, label_ids text[], record_value text)
    ), forgotten AS (
      DELETE FROM heddle_record_changes c USING given WHERE c.id = given.id
    ), put AS (
      INSERT INTO heddle_records (id, owner_id, collection_id, space, owner, collection, record_key, ${RECORD_CONTENT})
      SELECT id, owner_id, collection_id, space, owner, collection, record_key, ${RECORD_CONTENT} FROM given
      ON CONFLICT (id) DO UPDATE SET request = NULL, ${replaced(RECORD_CONTENT)}
    ) SELECT setval('heddle_record_sequence', greatest((SELECT max(sequence) FROM given), nextval('heddle_record_sequence')))`,
};

function replaced(columns: string): string {
  return columns
    .split(", ")
    .map((column) => `${column} = excluded.${column}`)
    .join(", ");
}

type Writer = (rows: readonly TransferRow[]) => Promise<void>;

/** What writes the rows of each kind, a page in one statement. */
export function createTransferWriters(session: Session): Readonly<Record<TransferKind, Writer>> {
  // Strings of the records become columns as `toText` makes them, objects JSONB; what is JSON text stays as it is.
  const send = (statement: Statement, records: readonly JsonObject[]) =>
    session.query<Readonly<Record<string, string | number | null>>>(statement, [toJsonb(records)]);

  return {
    async assistants(rows) {
      const records = rows.map((row) => {
        const assistant = valueOf("assistants", row);
        return { ...versionRecord(assistant), updated_at: assistant.updatedAt };
      });
      await send(ASSISTANTS, records);
    },

    async assistantVersions(rows) {
      const records = rows.map((row) => versionRecord(valueOf("assistantVersions", row)));
      const [missing] = await send(VERSIONS, records);
      if (missing === undefined) return;
      const assistantId = fromText(String(missing["assistant_id"]));
      throw new HeddleError("ASSISTANT_NOT_FOUND", {
        message: `Version ${missing["version"]} belongs to an assistant ${assistantId} that is not there.`,
      });
    },

    async threads(rows) {
      const records = rows.map((row) => threadRecord(valueOf("threads", row)));
      await send(THREADS, records);
    },

    async runs(rows) {
      const records = rows.map((row) => runRecord(valueOf("runs", row)));
      const [missing] = await send(RUNS, records);
      const runId = missing?.["run_id"];
      if (missing === undefined || typeof runId !== "string") return;
      throw new HeddleError("THREAD_NOT_FOUND", {
        message: `Run ${fromText(runId)} belongs to a thread ${fromText(String(missing["thread_id"]))} that is not there.`,
      });
    },

    async crons(rows) {
      for (const row of rows) await putCron(session, valueOf("crons", row));
    },

    async items(rows) {
      const records = rows.map((row) => {
        const { namespace, key, value, createdAt, updatedAt, ttlMs, expiresAt, embedding, vectors } = valueOf(
          "items",
          row,
        );
        return {
          place: placeOf(namespace, key).toString("hex"),
          namespace: namespaceText(namespace),
          labels: namespace,
          item_key: key,
          item_value: value,
          created_at: createdAt,
          updated_at: updatedAt,
          ttl_ms: ttlMs,
          expires_at: expiresAt,
          embedding: embedding?.fingerprint ?? null,
          embedding_paths: embedding?.paths ?? null,
          paths: vectors.map(({ path }) => path),
          vectors: vectors.map(({ values }) => `{${vectorOf(Buffer.from(values, "base64")).join(",")}}`),
        };
      });
      await send(ITEMS, records);
    },

    async apiKeys(rows) {
      await send(
        API_KEYS,
        rows.map((row) => apiKeyColumns(valueOf("apiKeys", row))),
      );
    },

    // Keys and values are stored as they are, not as `toText` makes them: records hold nothing that Postgres does not.
    async records(rows) {
      await session.query(RECORDS, [JSON.stringify(rows.map((row) => recordRecord(valueOf("records", row))))]);
    },
  };
}

function recordRecord(record: ReturnType<typeof valueOf<"records">>): JsonObject {
  const { space, owner, collection, key, version, sequence, tracked, disposable, value, labels } = record;
  const { id, ownerId, collectionId } = recordDigests(record);
  return {
    space,
    owner,
    collection,
    version,
    sequence,
    tracked,
    disposable,
    id: id.toString("hex"),
    owner_id: ownerId.toString("hex"),
    collection_id: collectionId.toString("hex"),
    record_key: key,
    created_at: record.createdAt,
    updated_at: record.updatedAt,
    expires_at: record.expiresAt,
    gone_at: value === null ? record.updatedAt : null,
    labels: labelsText(labels),
    label_ids: labelDigests(record, labels).map((digest) => digest.toString("hex")),
    record_value: value,
  };
}

function versionRecord(version: ReturnType<typeof valueOf<"assistantVersions">>): JsonObject {
  return {
    assistant_id: version.assistantId,
    version: version.version,
    graph_id: version.graphId,
    name: version.name,
    name_folded: foldedName(version.name).toString("hex"),
    description: version.description,
    config: toJsonText(version.config),
    context: toJsonText(version.context),
    metadata: version.metadata,
    created_at: version.createdAt,
  };
}

function threadRecord(thread: ReturnType<typeof valueOf<"threads">>): JsonObject {
  return {
    thread_id: thread.threadId,
    created_at: thread.createdAt,
    updated_at: thread.updatedAt,
    state_updated_at: thread.stateUpdatedAt,
    settled_status: thread.settledStatus,
    temporary: thread.temporary,
    watched: thread.watched,
    ...ttlColumns(thread.ttl),
    state_values: columnText(thread.values),
    interrupts: columnText(thread.interrupts),
    error: columnText(thread.error),
    metadata: thread.metadata,
    config: toJsonText(thread.config),
  };
}

function runRecord(run: ReturnType<typeof valueOf<"runs">>): JsonObject {
  return {
    run_id: run.runId,
    thread_id: run.threadId,
    assistant_id: run.assistantId,
    graph_id: run.graphId,
    created_at: run.createdAt,
    updated_at: run.updatedAt,
    due_at: run.dueAt,
    status: run.status,
    multitask_strategy: run.multitaskStrategy,
    temporary: run.kwargs.temporary,
    attempt: run.attempt,
    lease_token: run.leaseToken,
    cancel_action: run.cancelRequested,
    metadata: run.metadata,
    kwargs: kwargsText(run.kwargs),
    error: columnText(run.error),
  };
}
