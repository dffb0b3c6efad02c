import { isObservedThreadId, type ObserveRun } from "../../core/run-observer.js";
import type { RunParts } from "./context.js";
import type { LoggedEvent } from "./event.js";
import { Projector } from "./projector.js";
import { Replay } from "./replay.js";
import type { RunRecord } from "./run-record.js";
import { threadFacts } from "./thread-facts.js";

const PAGE = 500;

/** Follows the LangGraph runs of OpenWOP runs, whoever started them. */
export function createObserve(parts: RunParts): ObserveRun {
  const { context, logs, rules, runRecords, launcher } = parts;
  const { clock, hints, logger } = context;
  const deps = {
    logs,
    rules,
    clock,
    hints,
    reload: ({ owner, runId }: RunRecord) => runRecords.find(owner, runId),
    stateOf: (record: RunRecord) => threadFacts(context, record),
    launch: launcher.create,
    onError: ({ runId }: RunRecord, error: unknown) =>
      logger.error({ err: error, runId }, "events of an OpenWOP run could not be stored; trying again"),
  };

  return async (claimed, lease) => {
    if (!isObservedThreadId(claimed.run.threadId)) return null;
    const record = await runRecords.findByThread(claimed.run.threadId);
    if (record === null) return null;
    const [fold, replay] = await Promise.all([logs.read(record), replayOf(parts, record)]);
    return new Projector(deps, record, claimed, { lease, fold, replay });
  };
}

/** What a run repeats; `null` for one that is no replay. */
export async function replayOf(
  parts: Pick<RunParts, "logs">,
  { owner, source }: Pick<RunRecord, "owner" | "source">,
): Promise<Replay | null> {
  if (source?.mode !== "replay") return null;
  return new Replay(source.runId, await allEvents(parts, { owner, runId: source.runId }));
}

/** A whole log. */
export async function allEvents(
  { logs }: Pick<RunParts, "logs">,
  run: Pick<RunRecord, "owner" | "runId">,
): Promise<readonly LoggedEvent[]> {
  const events: LoggedEvent[] = [];
  for (;;) {
    const page = await logs.list(run, events.length, PAGE);
    events.push(...page);
    if (page.length < PAGE) return events;
  }
}
