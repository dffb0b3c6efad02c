import { HeddleError } from "../../core/errors.js";
import { toJsonText } from "../../core/json.js";
import type { TransferKind, TransferRow } from "../../core/row-transfer.js";
import { columnText, valueOf } from "../transfer-rows.js";
import { apiKeyColumns } from "../api-key-columns.js";
import { kwargsText } from "../../core/kwargs-text.js";
import { putItem } from "./item-rows.js";
import { ttlColumns } from "../run-rules.js";
import { putCron } from "./crons.js";
import { findRecord, putRecord } from "./record-rows.js";
import type { Session } from "./session.js";
import { changeThread, findThread, putThread } from "./thread-rows.js";

/** What writes one row of each kind, within the caller's transaction. */
export function createTransferWriters(session: Session): Readonly<Record<TransferKind, (row: TransferRow) => void>> {
  return {
    assistants(row) {
      const { assistantId, config, context, metadata, ...rest } = valueOf("assistants", row);
      upsert(session, "assistants", ["assistant_id"], {
        assistant_id: assistantId,
        graph_id: rest.graphId,
        name: rest.name,
        description: rest.description,
        config: toJsonText(config),
        context: toJsonText(context),
        metadata: toJsonText(metadata),
        version: rest.version,
        created_at: rest.createdAt,
        updated_at: rest.updatedAt,
      });
    },

    assistantVersions(row) {
      const { assistantId, config, context, metadata, ...rest } = valueOf("assistantVersions", row);
      const find = session.sql<{ id: number }>("SELECT id FROM assistants WHERE assistant_id = ?");
      const assistant = find.get(assistantId);
      if (assistant === undefined) {
        throw new HeddleError("ASSISTANT_NOT_FOUND", {
          message: `Version ${rest.version} belongs to an assistant ${assistantId} that is not there.`,
        });
      }
      upsert(session, "assistant_versions", ["assistant", "version"], {
        assistant: assistant.id,
        version: rest.version,
        graph_id: rest.graphId,
        name: rest.name,
        description: rest.description,
        config: toJsonText(config),
        context: toJsonText(context),
        metadata: toJsonText(metadata),
        created_at: rest.createdAt,
      });
    },

    threads(row) {
      const { values, interrupts, error, ...thread } = valueOf("threads", row);
      const { id } = putThread(session, {
        thread_id: thread.threadId,
        created_at: thread.createdAt,
        updated_at: thread.updatedAt,
        state_updated_at: thread.stateUpdatedAt,
        settled_status: thread.settledStatus,
        metadata: toJsonText(thread.metadata),
        config: toJsonText(thread.config),
        temporary: thread.temporary ? 1 : 0,
        watched: thread.watched ? 1 : 0,
        ...ttlColumns(thread.ttl),
        pruned_at: null,
      });
      upsert(session, "thread_states", ["thread"], {
        thread: id,
        state_values: columnText(values),
        interrupts: columnText(interrupts),
        error: columnText(error),
      });
    },

    runs(row) {
      const run = valueOf("runs", row);
      const thread = findThread(session, run.threadId);
      if (thread === undefined) {
        throw new HeddleError("THREAD_NOT_FOUND", {
          message: `Run ${run.runId} belongs to a thread ${run.threadId} that is not there.`,
        });
      }
      upsert(session, "runs", ["run_id"], {
        run_id: run.runId,
        thread: thread.id,
        assistant_id: run.assistantId,
        graph_id: run.graphId,
        created_at: run.createdAt,
        updated_at: run.updatedAt,
        due_at: run.dueAt,
        status: run.status,
        metadata: toJsonText(run.metadata),
        multitask_strategy: run.multitaskStrategy,
        temporary: run.kwargs.temporary ? 1 : 0,
        attempt: run.attempt,
        error: columnText(run.error),
        lease_token: run.leaseToken,
        worker_id: null,
        lease_until: null,
        heartbeat_at: null,
        retry_at: null,
        cancel_action: run.cancelRequested,
      });
      const id = session.sql<{ id: number }>("SELECT id FROM runs WHERE run_id = ?").get(run.runId)?.id ?? null;
      upsert(session, "run_kwargs", ["run"], { run: id, kwargs: kwargsText(run.kwargs) });
      // The status and the queue follow from the runs; the thread's times stay as they were copied.
      changeThread(session, thread, { queueChanged: true, updatedAt: thread.updated_at });
    },

    crons: (row) => putCron(session, valueOf("crons", row)),
    items: (row) => writeItem(session, row),
    apiKeys: (row) => writeApiKey(session, row),
    records: (row) => writeRecord(session, row),
  };
}

function writeItem(session: Session, row: TransferRow): void {
  const { value, vectors, ...item } = valueOf("items", row);
  putItem(
    session,
    { ...item, text: toJsonText(value) },
    vectors.map(({ path, values }) => ({ path, bytes: Buffer.from(values, "base64") })),
  );
}

/** Changes of a record in whose place this one comes have versions that it will have again. */
function writeRecord(session: Session, row: TransferRow): void {
  const record = valueOf("records", row);
  const id = putRecord(session, findRecord(session, record), record);
  session.sql("DELETE FROM record_changes WHERE record = ?").run(id);
}

function writeApiKey(session: Session, row: TransferRow): void {
  upsert(session, "api_keys", ["key_id"], { ...apiKeyColumns(valueOf("apiKeys", row)) });
}

/** Insert a row, or replace the other columns of the one with the same key. */
function upsert(
  session: Session,
  table: string,
  key: readonly string[],
  columns: Readonly<Record<string, string | number | null>>,
): void {
  const names = Object.keys(columns);
  const changed = names.filter((name) => !key.includes(name));
  session
    .sql(
      `INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map((name) => `@${name}`).join(", ")})
       ON CONFLICT (${key.join(", ")}) DO UPDATE SET ${changed.map((name) => `${name} = excluded.${name}`).join(", ")}`,
    )
    .run(columns);
}
