import { randomUUID } from "node:crypto";
import type { AccessFilter } from "../../core/auth.js";
import { toJsonText, type JsonObject } from "../../core/json.js";
import type { ClaimRequest, CreateRunOutcome, NewRun, SupersededRun } from "../../core/metadata-store.js";
import type { Run } from "../../core/run.js";
import { isSqlState, type Statement } from "../../databases/postgres/open.js";
import { fromJsonb, fromText, toJsonb, toText } from "../../databases/postgres/storable.js";
import { kwargsText } from "../../core/kwargs-text.js";
import { ttlColumns } from "../run-rules.js";
import { ruleParameter } from "./filters.js";
import type { Session } from "./session.js";

const CREATE: Statement = {
  name: "heddle_create_run",
  idempotent: true,
  text: `SELECT c.*, CASE WHEN c.kind = 'created' THEN heddle_watch_thread($5, $19) END AS watched,
      CASE WHEN c.kind = 'created' AND $20::bigint IS NOT NULL THEN heddle_expire_new_thread($5, c.created_at, $20, $21) END,
      CASE WHEN c.superseded IS NOT NULL THEN heddle_deliver_superseded(c.superseded::json) END
    FROM heddle_create_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) c`,
};

export type CreatedRun = {
  readonly kind: "created" | "busy" | "no-thread";
  readonly created_at: number;
  readonly due_at: number;
  readonly leased: boolean;
  readonly metadata: string;
  readonly superseded: string | null;
  readonly inflight: string | null;
  readonly watched: boolean | null;
};

/** The unique index on running runs refuses what slipped through. It cannot, while the thread's lock is taken first. */
const MAX_RACES = 5;

/** `runs.create` of the Postgres store: one round trip. Repeated with the same run id it answers the same. */
export async function createRun(
  session: Session,
  params: { readonly draft: NewRun; readonly claim?: ClaimRequest; readonly access: AccessFilter },
): Promise<CreateRunOutcome> {
  const { draft, claim, access } = params;
  const request = randomUUID();
  const values = [
    ...draftValues(draft, access),
    claim === undefined ? null : toText(claim.workerId),
    claim?.leaseMs ?? null,
    draft.watched === true,
    ...expiryValues(draft),
  ];
  for (let races = 0; ; races += 1) {
    try {
      const [row] = await session.query<CreatedRun>(CREATE, (again) => [session.now(), request, again, ...values]);
      if (row === undefined) throw new Error("heddle_create_run returned no row");
      return createdOutcome(draft, row);
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      if (!isSqlState(cause, "23505") || races >= MAX_RACES) throw error;
    }
  }
}

/** What `heddle_create_run` takes of a draft, from its run id on. */
export function draftValues(draft: NewRun, access: AccessFilter): readonly unknown[] {
  return [
    toText(draft.runId),
    toText(draft.threadId),
    toText(draft.assistantId),
    toText(draft.graphId),
    kwargsText(draft.kwargs),
    draft.multitaskStrategy,
    draft.delayMs,
    toJsonb(draft.assistantMetadata),
    toJsonb(draft.metadata),
    toJsonText(draft.assistantConfig),
    draft.createThread,
    draft.kwargs.temporary,
    ruleParameter(access),
  ];
}

/** What `heddle_expire_new_thread` gives a thread that the run makes. */
export function expiryValues({ createThread, threadTtl }: NewRun): readonly unknown[] {
  const { ttl_ms, ttl_strategy } = ttlColumns(createThread ? (threadTtl ?? null) : null);
  return [ttl_ms, ttl_strategy];
}

/** What it answered. */
export function createdOutcome(draft: NewRun, row: CreatedRun): CreateRunOutcome {
  if (row.kind === "no-thread") return { kind: "no-thread" };
  const { runId, threadId } = draft;
  if (row.kind === "busy") {
    const ids = JSON.parse(row.inflight ?? "[]") as readonly string[];
    return { kind: "busy", inflight: ids.map((id) => ({ runId: fromText(id), threadId })) };
  }
  const run: Run = {
    runId,
    threadId,
    assistantId: draft.assistantId,
    graphId: draft.graphId,
    createdAt: row.created_at,
    updatedAt: row.created_at,
    dueAt: row.due_at,
    status: row.leased ? "running" : "pending",
    metadata: fromJsonb(row.metadata) as JsonObject,
    kwargs: draft.kwargs,
    multitaskStrategy: draft.multitaskStrategy,
    attempt: row.leased ? 1 : 0,
    error: null,
  };
  const ended = JSON.parse(row.superseded ?? "[]") as readonly Omit<SupersededRun, "threadId">[];
  const superseded = ended.map(({ action, was, temporary, ...one }) => {
    return { runId: fromText(one.runId), threadId, action, was, temporary };
  });
  return {
    kind: "created",
    run,
    lease: row.leased ? { runId, leaseToken: 1 } : null,
    superseded,
    watched: row.watched === true,
  };
}
