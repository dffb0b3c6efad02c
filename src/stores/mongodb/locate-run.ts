import type { AccessFilter } from "../../core/auth.js";
import type { RunDocument, ThreadDocument } from "./documents.js";
import { placeOf, type RunPlace, showsMetadata } from "./rows.js";
import type { Session } from "./session.js";
import { WITHOUT_TEXTS } from "./thread-change.js";

export interface LocatedRun {
  readonly run: RunDocument;
  readonly thread: ThreadDocument;
  readonly place: RunPlace;
}

/** A run that counts and whose thread `access` shows. */
export async function locateRun(
  session: Session,
  params: { readonly runId: string; readonly threadId?: string; readonly access: AccessFilter },
): Promise<LocatedRun | null> {
  const { runId, threadId, access } = params;
  const run = await session.retrying(() => session.runs.findOne({ _id: runId }));
  if (run === null || (threadId !== undefined && run.threadId !== threadId)) return null;
  const thread = await session.retrying(() =>
    session.threads.findOne({ _id: run.threadId }, { projection: WITHOUT_TEXTS }),
  );
  if (thread === null || thread.uid !== run.thread || !showsMetadata(access, thread.metadata)) return null;
  const place = placeOf(thread, run);
  if (place !== null) return { run, thread, place };
  const ended = await endedPlace(session, runId);
  return ended === null ? null : { run, thread, place: ended };
}

/** The state of a run that has ended, and was struck off its thread, after its document was read. */
export async function endedPlace(session: Session, runId: string): Promise<RunPlace | null> {
  const run = await session.retrying(() => session.runs.findOne({ _id: runId }));
  return run === null ? null : placeOf({ running: null, queue: [], ended: [] }, run);
}
