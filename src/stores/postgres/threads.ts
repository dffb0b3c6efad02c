import { randomUUID } from "node:crypto";
import { toJsonText } from "../../core/json.js";
import type { ThreadStore } from "../../core/metadata-store.js";
import type { Thread } from "../../core/thread.js";
import type { Statement } from "../../databases/postgres/open.js";
import { toJsonb, toText } from "../../databases/postgres/storable.js";
import { ttlColumns } from "../run-rules.js";
import { ruleParameter } from "./filters.js";
import { THREAD_COLUMNS, type ThreadColumns, threadOf, type WatchedColumn } from "./rows.js";
import type { Session } from "./session.js";
import { countThreads, searchThreads } from "./thread-search.js";

const idempotent = true;

// One for everybody's rows: with the filter in it Postgres plans the statement anew each time.
const GET: Statement = {
  name: "heddle_get_thread",
  idempotent,
  text: `SELECT ${THREAD_COLUMNS} FROM heddle_thread_rows WHERE thread_id = $1`,
};
const GET_VISIBLE: Statement = {
  name: "heddle_get_visible_thread",
  idempotent,
  text: `${GET.text} AND heddle_visible(metadata, $2)`,
};
const CREATE: Statement = {
  name: "heddle_create_thread",
  idempotent,
  text: `WITH made AS (
      INSERT INTO heddle_threads (thread_id, updated_at, state_updated_at, status, settled_status, temporary, request, ttl_ms, ttl_strategy)
      SELECT $2, now, now, 'idle', 'idle', false, $5::uuid, $6::bigint, $7 FROM (SELECT heddle_now($1) AS now OFFSET 0) AS clock
      ON CONFLICT DO NOTHING RETURNING thread_id, updated_at
    ), described AS (
      INSERT INTO heddle_thread_metadata (thread_id, created_at, metadata, config)
      SELECT thread_id, updated_at, $3::jsonb, $4 FROM made RETURNING created_at, metadata
    ) SELECT created_at, metadata::text AS metadata FROM described`,
};
const EXISTING: Statement = {
  name: "heddle_existing_thread",
  idempotent,
  text: `SELECT ${THREAD_COLUMNS}, request = $3::uuid AS own, heddle_visible(metadata, $2) AS visible FROM heddle_thread_rows WHERE thread_id = $1`,
};
const UPDATE: Statement = {
  name: "heddle_update_thread",
  idempotent,
  text: `SELECT ${THREAD_COLUMNS} FROM heddle_update_thread_once($1::uuid, $2, $3, $4, $5)`,
};
const UPDATE_TTL: Statement = {
  name: "heddle_update_thread_ttl",
  idempotent,
  text: `SELECT ${THREAD_COLUMNS} FROM heddle_update_thread_once($1::uuid, $2, $3, $4, $5, $6, $7)`,
};
const WATCH: Statement = {
  name: "heddle_watch_thread",
  idempotent,
  text: `SELECT heddle_watch_thread(thread_id, true) AS watched FROM heddle_thread_metadata
    WHERE thread_id = $1 AND heddle_visible(metadata, $2)`,
};
const PATCH: Statement = {
  name: "heddle_patch_thread_state",
  idempotent,
  text: `SELECT ${THREAD_COLUMNS} FROM heddle_patch_thread_state_once($1::uuid, $2, $3, $4, $5, $6, $7, $8)`,
};
const DELETE: Statement = {
  name: "heddle_delete_thread",
  idempotent,
  text: `SELECT ${THREAD_COLUMNS} FROM heddle_delete_thread_once($1::uuid, $2, $3)`,
};

type Existing = ThreadColumns & { readonly own: boolean | null; readonly visible: boolean };

/** A thread that is deleted between two looks is made again. */
const MAX_RACES = 5;

/** Threads in Postgres. */
export function createPostgresThreads(session: Session): ThreadStore {
  const one = async (statement: Statement, values: readonly unknown[]): Promise<Thread | null> => {
    const [row] = await session.query<ThreadColumns>(statement, values);
    return row === undefined ? null : threadOf(row);
  };

  return {
    async create({ threadId, metadata, config, ttl, access }) {
      const request = randomUUID();
      const expiry = ttlColumns(ttl ?? null);
      const texts = [toJsonb(metadata), toJsonText(config ?? {})] as const;
      for (let races = 0; ; races += 1) {
        const [made] = await session.query<{ created_at: number; metadata: string }>(CREATE, [
          session.now(),
          toText(threadId),
          ...texts,
          request,
          expiry.ttl_ms,
          expiry.ttl_strategy,
        ]);
        if (made !== undefined) {
          const { created_at, metadata: stored } = made;
          const times = { created_at, updated_at: created_at, state_updated_at: created_at };
          const row = {
            thread_id: toText(threadId),
            ...times,
            status: "idle",
            metadata: stored,
            config: texts[1],
            ...expiry,
          } as const;
          return { kind: "created", thread: threadOf(row) };
        }
        const [existing] = await session.query<Existing>(EXISTING, [toText(threadId), ruleParameter(access), request]);
        if (existing !== undefined) {
          if (existing.own === true) return { kind: "created", thread: threadOf(existing) };
          return { kind: "exists", thread: existing.visible ? threadOf(existing) : null };
        }
        if (races >= MAX_RACES) throw new Error(`thread ${threadId} comes and goes`);
      }
    },

    get({ threadId, access }) {
      const rule = ruleParameter(access);
      return rule === null ? one(GET, [toText(threadId)]) : one(GET_VISIBLE, [toText(threadId), rule]);
    },

    update({ threadId, metadata, ttl, access }) {
      const values = [
        randomUUID(),
        session.now(),
        toText(threadId),
        metadata === undefined ? null : toJsonb(metadata),
        ruleParameter(access),
      ];
      if (ttl === undefined) return one(UPDATE, values);
      const { ttl_ms, ttl_strategy } = ttlColumns(ttl);
      return one(UPDATE_TTL, [...values, ttl_ms, ttl_strategy]);
    },

    async watch({ threadId, access }) {
      const [row] = await session.query<WatchedColumn>(WATCH, [toText(threadId), ruleParameter(access)]);
      return row?.watched === true;
    },

    delete: ({ threadId, access }) => one(DELETE, [randomUUID(), toText(threadId), ruleParameter(access)]),

    search: (params) => searchThreads(session, params),

    count: (query) => countThreads(session, query),

    patchState: ({ threadId, patch, hasNext, metadata }) =>
      one(PATCH, [
        randomUUID(),
        session.now(),
        toText(threadId),
        hasNext ? "interrupted" : "idle",
        patch.values ?? null,
        patch.interrupts ?? null,
        patch.error ?? null,
        metadata === undefined ? null : toJsonb(metadata),
      ]),
  };
}
