import { ALL_ROWS, type Caller } from "../../core/auth.js";
import type { IdempotentAttempt } from "../../core/idempotency.js";
import { type JsonObject, toJsonText } from "../../core/json.js";
import type { JsonValue } from "../../core/json.js";
import { ownerOf } from "../../core/owner.js";
import type { RecordKey, RecordWrite, StoredRecord } from "../../core/record.js";
import { observedThreadId } from "../../core/run-observer.js";
import { disownThreadRecords, threadRecordNotes } from "../../core/thread-records.js";
import type { RunParts } from "./context.js";
import { type CreateBody, recursionLimitOf, runTimeoutOf } from "./create-body.js";
import { invalid } from "./errors.js";
import { EVENTS_SPACE, eventKey, isTerminalStatus, type NewOpenwopEvent, type OpenwopStatus } from "./event.js";
import { indexWrite, LAUNCHES_SPACE } from "./event-log.js";
import { INDEX_SPACE, type ForkSource, RUNS_SPACE, type RunRecord, SCOPES_SPACE } from "./run-record.js";
import { placesOf, recordWrite } from "./run-records.js";
import { mayBeTenant } from "./tenant.js";
import { type FoundRun, OpenwopRefusal, type Workflow } from "./seams.js";

export interface CreateOptions {
  /** `X-Dedup: enforce`: one run of a scope at a time. */
  readonly enforcesScope: boolean;
  /** The run whose node starts this one. */
  readonly parentRunId: string | null;
  /** What the run is called by, and whether an attempt before may have made it. */
  readonly attempt: IdempotentAttempt;
}

/** A run and how it stood when it was created: it may have gone on since. */
export interface CreatedRun extends FoundRun {
  readonly status: OpenwopStatus;
}

/** Creates runs. */
export type RunCreation = ReturnType<typeof createRunCreation>;

/** How long a client that found its scope taken should wait. */
const SCOPE_RETRY_SECONDS = 5;
/** Others were faster to take a scope so often in a row. */
const MAX_SCOPE_TRIES = 10;

/** @param webhooks says which URLs may be called */
export function createRunCreation(parts: RunParts, webhooks: { readonly judgeUrl: (url: string) => unknown }) {
  const { context, workflows, logs, runRecords, launcher } = parts;
  const { records, store } = context;

  const scopeKey = (owner: string, scope: string): RecordKey => ({
    space: SCOPES_SPACE,
    owner,
    collection: "",
    key: scope,
  });

  /** @returns the write that takes the scope */
  const scopeWrite = async (owner: string, scope: string, runId: string): Promise<RecordWrite> => {
    const held = await records.get(scopeKey(owner, scope));
    const write = { ...scopeKey(owner, scope), value: toJsonText({ runId }), labels: { run: runId } };
    if (held === null) return { ...write, expected: 0 };
    const holder = holderOf(held);
    const record = await runRecords.find(owner, holder);
    if (record !== null && !isTerminalStatus((await logs.read(record)).status)) throw alreadyActive(holder);
    return { ...write, expected: held.version };
  };

  /** Somebody else may have taken it, now that the run is gone. */
  const freeScope = async ({ owner, runId, heldScope }: RunRecord): Promise<void> => {
    if (heldScope === null) return;
    const held = await records.get(scopeKey(owner, heldScope));
    if (held === null || holderOf(held) !== runId) return;
    await records.remove({ ...scopeKey(owner, heldScope), expected: held.version });
  };

  /** Nothing of a run that LangGraph refused is left. */
  const undo = async (record: RunRecord): Promise<void> => {
    const { owner, runId } = record;
    logs.forget(runId);
    await records.remove({ space: INDEX_SPACE, owner: "", collection: "", key: runId });
    await records.remove({ space: RUNS_SPACE, owner, collection: "", key: runId });
    await records.removeCollection({ space: EVENTS_SPACE, owner, collection: runId });
    await records.remove({ space: LAUNCHES_SPACE, owner, collection: runId, key: eventKey(0) });
    await freeScope(record);
    await disownThreadRecords(records, runId, placesOf(record));
  };

  const insert = async (record: RunRecord, events: readonly NewOpenwopEvent[]): Promise<FoundRun> => {
    const { owner, runId, heldScope } = record;
    for (let tries = 0; tries < MAX_SCOPE_TRIES; tries += 1) {
      const scope = heldScope === null ? [] : [await scopeWrite(owner, heldScope, runId)];
      const fold = await logs.create(record, events, [
        ...scope,
        // With the run: its thread takes all of it along, whatever dies in between.
        ...threadRecordNotes(runId, placesOf(record)),
        indexWrite(record, true),
        { ...recordWrite(record), expected: 0 },
      ]);
      if (fold !== null) return { record, fold };
      // Somebody else has taken the scope since: the next look says who.
    }
    throw alreadyActive(null);
  };

  /**
   * The run of an attempt that has been made before: its process died, or is slow. What it did not come to is made up for as after
   * any crash (reconcile.ts). `null`: there is none yet.
   */
  const madeBefore = async (owner: string, { id, isRepeated }: IdempotentAttempt): Promise<CreatedRun | null> => {
    const record = isRepeated ? await runRecords.find(owner, observedThreadId(id)) : null;
    if (record === null) return null;
    const fold = await logs.read(record);
    return { record, fold, status: fold.status };
  };

  /** Tell LangGraph. */
  const launch = async (found: FoundRun): Promise<CreatedRun> => {
    const { record, fold } = found;
    const { status, launches } = fold;
    const [first] = launches;
    try {
      if (first !== undefined) await launcher.create(record, first);
    } catch (error) {
      // It may be there all the same, and then takes its course.
      const run = first && (await store.runs.get({ runId: first.langgraphRunId, access: ALL_ROWS }));
      if (run === null) {
        await undo(record);
        throw error;
      }
    }
    return { ...found, status };
  };

  return {
    insert,
    launch,
    madeBefore,
    /**
     * Create a run; it is stored, with its first event, when this resolves.
     * @throws OpenwopRefusal; what services.runs throws when the caller may not
     */
    async create(caller: Caller, body: CreateBody, options: CreateOptions): Promise<CreatedRun> {
      const owner = ownerOf(caller);
      const made = await madeBefore(owner, options.attempt);
      if (made !== null) return made;
      refuseForeignTenant(caller, body.tenantId);
      if (body.callbackUrl !== null) webhooks.judgeUrl(body.callbackUrl);
      const workflow = await workflows.describe(caller, body.workflowId);
      workflows.checkConfigurable(workflow, body.configurable);
      workflows.checkInputs(workflow, body.inputs);
      const { parentRunId } = options;
      if (parentRunId !== null && (await runRecords.find(owner, parentRunId)) === null) {
        throw unknownParent();
      }
      const record = newRecord(caller, workflow, { ...body, ...options, owner, source: null });
      return launch(await insert(record, [startedEvent(record)]));
    },
  };
}

export function startedEvent({ workflowId, inputs }: RunRecord): NewOpenwopEvent {
  return { type: "run.started", payload: { workflowId, inputs, transport: "rest" } };
}

function newRecord(
  caller: Caller,
  workflow: Pick<Workflow, "assistantId" | "graphId" | "nodes" | "variables">,
  body: CreateBody & CreateOptions & { readonly owner: string; readonly source: ForkSource | null },
): RunRecord {
  const { workflowId, inputs, configurable, tags, metadata, tenantId, scopeId, callbackUrl, owner, source } = body;
  return {
    runId: observedThreadId(body.attempt.id),
    owner,
    workflowId,
    assistantId: workflow.assistantId,
    graphId: workflow.graphId,
    caller: { identity: caller.identity, permissions: caller.permissions, user: caller.user },
    inputs,
    variables: { ...defaultsOf(workflow), ...inputs },
    configurable,
    tags,
    metadata,
    tenantId,
    scopeId,
    callbackUrl,
    parentRunId: body.parentRunId,
    source,
    nodeTypes: Object.fromEntries(workflow.nodes.map(({ id, typeId }) => [id, typeId])),
    recursionLimit: recursionLimitOf(configurable),
    runTimeoutMs: runTimeoutOf(configurable),
    // Without a scope the whole tenant is one.
    heldScope: body.enforcesScope ? `scope:${scopeId ?? ""}` : null,
    pause: null,
  };
}

function defaultsOf({ variables }: Pick<Workflow, "variables">): JsonObject {
  const defaults: Record<string, JsonValue> = {};
  for (const { name, defaultValue } of variables) if (defaultValue !== undefined) defaults[name] = defaultValue;
  return defaults;
}

function holderOf({ value }: Pick<StoredRecord, "value">): string {
  return (JSON.parse(value) as { readonly runId: string }).runId;
}

function refuseForeignTenant(caller: Caller, tenantId: string | null): void {
  if (tenantId === null || mayBeTenant(caller, tenantId)) return;
  throw new OpenwopRefusal({ status: 403, code: "forbidden", message: "The tenant is not the caller's." });
}

export function unknownParent(): OpenwopRefusal {
  return invalid("The parent run is not known.");
}

function alreadyActive(runId: string | null): OpenwopRefusal {
  return new OpenwopRefusal({
    status: 409,
    code: "run_already_active",
    message: "A run of this scope is active: wait for its end, or cancel it.",
    details: { activeRunId: runId, activeHost: null, retryAfter: SCOPE_RETRY_SECONDS },
    headers: { "retry-after": String(SCOPE_RETRY_SECONDS) },
  });
}
