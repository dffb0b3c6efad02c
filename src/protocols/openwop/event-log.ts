import type { Clock } from "../../core/clock.js";
import { HeddleError } from "../../core/errors.js";
import { toJsonText } from "../../core/json.js";
import type { JsonValue } from "../../core/json.js";
import type { Logger } from "../../core/logger.js";
import type { RecordStore, RecordWrite } from "../../core/record.js";
import type { RecordHints } from "../../services/record-hints.js";
import { EVENTS_SPACE, eventKey, isTerminalType, type LoggedEvent, type NewOpenwopEvent } from "./event.js";
import type { Folding } from "./fold.js";
import { createFolds } from "./folds.js";
import { createLogPages } from "./log-pages.js";
import { INDEX_SPACE, type RunRecord } from "./run-record.js";
import type { Announce, Announcement, InterruptRules } from "./seams.js";

/** Who creates the LangGraph run that an event calls for: key = {@link eventKey}. Held by whoever wrote the event, for a while. */
export const LAUNCHES_SPACE = "openwop-launches";
/** So long somebody else waits before it does what another process may have died before. */
const LAUNCH_LEASE_MS = 15_000;

/** Others were faster so often in a row. */
const MAX_TRIES = 100;

export type Decision =
  | { readonly kind: "appended"; readonly events: readonly LoggedEvent[]; readonly fold: Folding }
  | { readonly kind: "declined"; readonly fold: Folding };

export interface LogPage {
  readonly events: readonly LoggedEvent[];
  readonly fold: Folding;
}

export interface DecideOptions {
  /** Look what others have written before the first try. Default true; whoever is the log's main writer need not. */
  readonly refresh?: boolean;
  /** Asked when others have written. `false`: nothing is written. */
  readonly mayGoOn?: () => Promise<boolean>;
}

/** The event logs of runs: append-only, gapless, atomic with what follows from them. */
export type EventLogs = ReturnType<typeof createEventLogs>;

export function createEventLogs(deps: {
  readonly records: RecordStore;
  readonly hints: Pick<RecordHints, "touched">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rules: Pick<InterruptRules, "statusOf">;
  /** Who is told of what is appended. */
  readonly announce: Announce;
}) {
  const { records, hints, clock, logger } = deps;
  const folds = createFolds(deps.rules);
  const heldOf = folds.held;
  const { list, refresh, readFrom } = createLogPages(records);

  const append = async (
    record: RunRecord,
    fold: Folding,
    drafts: readonly NewOpenwopEvent[],
  ): Promise<readonly LoggedEvent[] | null> => {
    const events = stamped(record, fold, drafts, clock.now());
    const announcement = await deps.announce(record, events);
    const outcome = await records.writeAll(writesOf(record, events, announcement));
    if (outcome.kind === "conflict") return null;
    await appended(record, fold, events, announcement);
    return events;
  };

  const appended = async (
    record: RunRecord,
    fold: Folding,
    events: readonly LoggedEvent[],
    announcement: Announcement | null,
  ): Promise<void> => {
    for (const event of events) if (event.sequence === fold.sequence + 1) fold.apply(event);
    try {
      await announcement?.tell();
    } catch (error) {
      // Its note is still there: the sweep tells.
      logger.warn({ err: error, runId: record.runId }, "webhooks of an OpenWOP run could not be told; trying again");
    }
    hints.touched({ space: EVENTS_SPACE, owner: record.owner, collection: record.runId });
  };

  const decideNow = async (
    record: RunRecord,
    fold: Folding,
    decide: (fold: Folding) => readonly NewOpenwopEvent[] | null,
    { refresh: looks = true, mayGoOn }: DecideOptions,
  ): Promise<Decision> => {
    if (looks) await refresh(record, fold);
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const drafts = decide(fold);
      if (drafts === null || drafts.length === 0) return { kind: "declined", fold };
      const events = await append(record, fold, drafts);
      if (events !== null) return { kind: "appended", events, fold };
      if (mayGoOn !== undefined && !(await mayGoOn())) return { kind: "declined", fold };
      await refresh(record, fold);
    }
    throw new HeddleError("STORAGE_UNAVAILABLE", {
      message: `Run ${record.runId} changes too often to be written to.`,
    });
  };

  return {
    list,
    /** How a run stands now. */
    async read(record: RunRecord): Promise<Folding> {
      const { fold } = heldOf(record);
      await refresh(record, fold);
      return fold;
    },
    /** The same, with the events from a sequence on, at most so many. */
    async readFrom(record: RunRecord, from: number, limit: number): Promise<LogPage> {
      const { fold } = heldOf(record);
      return { events: await readFrom(record, fold, from, limit), fold };
    },
    /**
     * Append what `decide` makes of how the run stands; asked again when somebody else was faster. Nothing is appended to a run that has
     * ended. @param decide `null`: nothing. Pure
     */
    decide(
      record: RunRecord,
      decide: (fold: Folding) => readonly NewOpenwopEvent[] | null,
      options: DecideOptions = {},
    ): Promise<Decision> {
      const held = heldOf(record);
      const turn = held.turn.then(() =>
        decideNow(record, held.fold, (fold) => unlessEnded(fold, decide(fold)), options),
      );
      held.turn = turn.catch(() => undefined);
      return turn;
    },
    /**
     * The first events of a run, with what else makes it.
     * @param before written in the same step, and first where the storage has no such step
     * @returns `null`: one of `before` was refused
     */
    async create(
      record: RunRecord,
      drafts: readonly NewOpenwopEvent[],
      before: readonly RecordWrite[],
    ): Promise<Folding | null> {
      const { fold } = heldOf(record);
      const events = stamped(record, fold, drafts, clock.now());
      const announcement = await deps.announce(record, events);
      const outcome = await records.writeAll([...before, ...writesOf(record, events, announcement)]);
      if (outcome.kind === "conflict") return null;
      await appended(record, fold, events, announcement);
      return fold;
    },
    /** A fold that was read before its run was given up. */
    forget: folds.forget,
  };
}

function stamped(
  { runId }: RunRecord,
  fold: Pick<Folding, "sequence" | "lastTimestamp">,
  drafts: readonly NewOpenwopEvent[],
  nowMs: number,
): readonly LoggedEvent[] {
  const now = new Date(nowMs).toISOString();
  // Another process's clock may be ahead.
  const timestamp = fold.lastTimestamp !== null && fold.lastTimestamp > now ? fold.lastTimestamp : now;
  return drafts.map(({ type, nodeId, payload, causationId, hidden }, index) => {
    const sequence = fold.sequence + 1 + index;
    return {
      eventId: `${runId}-${sequence}`,
      runId,
      type,
      payload,
      timestamp,
      sequence,
      ...(nodeId !== undefined && { nodeId }),
      ...(causationId !== undefined && { causationId }),
      ...(hidden !== undefined && { hidden }),
    };
  });
}

/** Events and what is stored with them. */
function writesOf(
  record: RunRecord,
  events: readonly LoggedEvent[],
  announcement: Announcement | null,
): readonly RecordWrite[] {
  return [
    ...(announcement === null ? [] : [announcement.note]),
    ...events.map((event) => eventWrite(record, event)),
    ...following(record, events),
  ];
}

function eventWrite({ owner, runId }: RunRecord, event: LoggedEvent): RecordWrite {
  return {
    space: EVENTS_SPACE,
    owner,
    collection: runId,
    key: eventKey(event.sequence),
    value: toJsonText(event as unknown as JsonValue),
    expected: 0,
  };
}

/** What is written with events: who creates the LangGraph runs that they call for, and that the run has ended. */
function following({ owner, runId }: RunRecord, events: readonly LoggedEvent[]): readonly RecordWrite[] {
  const last = events.at(-1);
  const launches = events.filter(callsForRun).map((event) => launchWrite(owner, runId, event.sequence));
  if (last === undefined || !isTerminalType(last.type)) return launches;
  return [...launches, indexWrite({ owner, runId }, false)];
}

function callsForRun({ type, hidden }: LoggedEvent): boolean {
  if (type === "run.started" || type === "run.resumed") return true;
  return type === "interrupt.resolved" && hidden?.langgraphRunId === undefined;
}

export function launchWrite(owner: string, runId: string, sequence: number): RecordWrite {
  return {
    space: LAUNCHES_SPACE,
    owner,
    collection: runId,
    key: eventKey(sequence),
    value: toJsonText({}),
    expected: 0,
    ttlMs: LAUNCH_LEASE_MS,
  };
}

export function indexWrite({ owner, runId }: Pick<RunRecord, "owner" | "runId">, active: boolean): RecordWrite {
  return {
    space: INDEX_SPACE,
    owner: "",
    collection: "",
    key: runId,
    value: toJsonText({ owner }),
    labels: { run: runId, ...(active && { active: "1" }) },
  };
}

/** Nothing comes after the end. */
function unlessEnded(
  { completedAt }: Folding,
  events: readonly NewOpenwopEvent[] | null,
): readonly NewOpenwopEvent[] | null {
  return completedAt === null ? events : null;
}
