import type { Caller } from "../../core/auth.js";
import type { IdempotentAttempt } from "../../core/idempotency.js";
import { isHeddleError } from "../../core/errors.js";
import { isJsonObject, type JsonObject } from "../../core/json.js";
import { ownerOf } from "../../core/owner.js";
import { observedThreadId } from "../../core/run-observer.js";
import type { RunParts } from "./context.js";
import {
  decodeConfigurable,
  decodeTags,
  memberObject,
  recursionLimitOf,
  refuseOthers,
  runTimeoutOf,
} from "./create-body.js";
import { type CreatedRun, type RunCreation, startedEvent } from "./create-run.js";
import { invalid } from "./errors.js";
import { type LoggedEvent, type NewOpenwopEvent, textOf } from "./event.js";
import { checkpointBefore } from "./fold.js";
import { allEvents } from "./observe.js";
import type { RunAccess } from "./run-access.js";
import type { ForkSource, RunRecord } from "./run-record.js";
import { OpenwopRefusal } from "./seams.js";

/** A run that begins as another one did. */
export interface Fork extends Pick<ForkSource, "fromSeq" | "mode"> {
  readonly found: CreatedRun;
}

export type Forks = ReturnType<typeof createForks>;

/** They are written in one step. */
const MAX_INHERITED_EVENTS = 10_000;

const MEMBERS: ReadonlySet<string> = new Set(["mode", "fromSeq", "runOptionsOverlay"]);
const OVERLAY: ReadonlySet<string> = new Set(["inputs", "configurable", "tags", "metadata"]);

export function createForks(parts: RunParts, access: RunAccess, creation: RunCreation) {
  const { context, workflows, logs } = parts;
  const { services } = context;

  /** The thread of a fork that goes on from a checkpoint. @returns that checkpoint, in the copy */
  const copyThread = async (
    caller: Caller,
    source: RunRecord,
    fork: RunRecord,
    overlay: JsonObject,
  ): Promise<RunRecord> => {
    const { runId: newThreadId, workflowId } = fork;
    const base = fork.source?.checkpointId ?? null;
    if (base === null || fork.source === null) return fork;
    await services.threads.copy(caller, source.runId, { newThreadId });
    await services.threads.update(caller, newThreadId, { metadata: { openwop: { runId: newThreadId, workflowId } } });
    const inputs = memberObject(overlay, "inputs");
    if (Object.keys(inputs).length === 0) return fork;
    const written = await services.state.update(caller, newThreadId, {
      update: { values: inputs },
      checkpoint: { checkpointId: base },
    });
    const checkpointId = textOf(written, "checkpoint_id", base);
    return { ...fork, source: { ...fork.source, checkpointId } };
  };

  return {
    /**
     * @param attempt what the fork is called by, and whether an attempt before may have made it
     * @throws OpenwopRefusal 400 for what is not valid, 422 for a point that the source has not reached or that is too far; as `access`
     */
    async fork(caller: Caller, runId: string, body: JsonObject, attempt: IdempotentAttempt): Promise<Fork> {
      const { mode, fromSeq, overlay } = decodeFork(body);
      const source = await access(caller, runId);
      const made = await creation.madeBefore(ownerOf(caller), attempt);
      if (made !== null) return { found: made, fromSeq, mode };
      const { sequence: last } = await logs.read(source);
      if (fromSeq > last) throw beyond(fromSeq, last);
      const events = fromSeq === 0 ? [] : await allEvents(parts, source);
      // A workflow that is gone, or that the caller may not run any more, begins nothing new.
      const workflow = await workflows.describe(caller, source.workflowId);
      const checkpointId = fromSeq === 0 ? null : checkpointBefore(events, fromSeq);
      const newRunId = observedThreadId(attempt.id);
      const drafted = forkRecord(caller, source, overlay, { newRunId, source: { runId, fromSeq, mode, checkpointId } });
      workflows.checkConfigurable(workflow, drafted.configurable);
      workflows.checkInputs(workflow, drafted.inputs);
      // An attempt that died after its copy was made, and before its run was.
      if (attempt.isRepeated) await services.threads.delete(caller, newRunId).catch(ignoreMissing);
      try {
        const record = await copyThread(caller, source, drafted, overlay);
        const first = fromSeq === 0 ? [startedEvent(record)] : events.slice(0, fromSeq).map(inheritedEvent);
        return { found: await creation.launch(await creation.insert(record, first)), fromSeq, mode };
      } catch (error) {
        if (checkpointId !== null) await services.threads.delete(caller, newRunId).catch(() => undefined);
        throw error;
      }
    },
  };
}

function decodeFork(body: JsonObject): { readonly overlay: JsonObject } & Pick<ForkSource, "mode" | "fromSeq"> {
  refuseOthers(body, MEMBERS);
  const { mode, fromSeq } = body;
  if (mode !== "replay" && mode !== "branch") throw invalid("mode must be replay or branch.");
  const overlay = memberObject(body, "runOptionsOverlay");
  refuseOthers(overlay, OVERLAY);
  if (mode === "replay" && Object.keys(overlay).length > 0) {
    throw invalid("runOptionsOverlay is for branches: a replay is as its source was.");
  }
  if (fromSeq === undefined && mode === "branch") throw invalid("fromSeq is required: where the branch begins.");
  const from = fromSeq ?? 0;
  if (typeof from !== "number" || !Number.isSafeInteger(from) || from < 0) {
    throw invalid("fromSeq must be a whole number from 0.");
  }
  if (from > MAX_INHERITED_EVENTS) {
    const message = `fromSeq must be at most ${MAX_INHERITED_EVENTS}: a fork begins with a copy of the events before it.`;
    throw new OpenwopRefusal({ status: 422, code: "validation_error", message });
  }
  return { mode, fromSeq: from, overlay };
}

function ignoreMissing(error: unknown): void {
  if (!isHeddleError(error) || error.code !== "THREAD_NOT_FOUND") throw error;
}

function forkRecord(
  caller: Caller,
  source: RunRecord,
  overlay: JsonObject,
  fork: { readonly newRunId: string; readonly source: ForkSource },
): RunRecord {
  const configurable = decodeConfigurable({ ...source.configurable, ...memberObject(overlay, "configurable") });
  const inputs = memberObject(overlay, "inputs");
  const { tags } = overlay;
  return {
    ...source,
    runId: fork.newRunId,
    caller: { identity: caller.identity, permissions: caller.permissions, user: caller.user },
    inputs: { ...source.inputs, ...inputs },
    variables: { ...source.variables, ...inputs },
    configurable,
    tags: tags === undefined ? source.tags : decodeTags(tags),
    metadata: isJsonObject(overlay["metadata"]) ? { ...source.metadata, ...overlay["metadata"] } : source.metadata,
    recursionLimit: recursionLimitOf(configurable),
    runTimeoutMs: runTimeoutOf(configurable),
    source: fork.source,
    // Of its own: nobody waits for it, and it takes nobody's place.
    parentRunId: null,
    heldScope: null,
    pause: null,
  };
}

function inheritedEvent({ eventId, type, nodeId, payload, hidden }: LoggedEvent): NewOpenwopEvent {
  return {
    type,
    payload,
    causationId: eventId,
    ...(nodeId !== undefined && { nodeId }),
    ...(hidden !== undefined && { hidden }),
  };
}

function beyond(fromSeq: number, last: number): OpenwopRefusal {
  return new OpenwopRefusal({
    status: 422,
    code: "validation_error",
    message: `fromSeq is ${fromSeq}, and the last event of the run has sequence ${last}.`,
    details: { lastSequence: last },
  });
}
