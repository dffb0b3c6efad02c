import type { Caller } from "../core/auth.js";
import type { CursorRead, EventCursor, EventPosition } from "../core/event-log.js";
import { type RootMark, rootMark } from "../core/thread-event.js";
import type { ThreadRunsEvent, ThreadRunsPosition } from "../core/thread-runs.js";
import type { RunsService } from "./runs.js";
import type { ThreadEventsService } from "./thread-events.js";
import type { ThreadStateService } from "./thread-state.js";
import { unlessGone } from "./unless-gone.js";

export interface ThreadRunsOptions {
  /** `null`: from the join point; a run that is under way then is followed from there, too. */
  readonly after: ThreadRunsPosition | "start" | null;
  readonly showsEvents: boolean;
  readonly showsState: boolean;
  readonly signal: AbortSignal;
}

/** Following all runs of a thread. */
export type ThreadRunsService = ReturnType<typeof createThreadRunsService>;

// oxlint-disable-next-line eslint/max-lines-per-function -- generators that share the services they read from
export function createThreadRunsService(deps: {
  readonly runs: RunsService;
  readonly state: ThreadStateService;
  readonly threadEvents: ThreadEventsService;
}) {
  const { runs, state, threadEvents } = deps;

  async function* runEvents(
    caller: Caller,
    ref: { readonly threadId: string; readonly runId: string },
    from: { readonly threadSeq: number | null; readonly position: EventPosition; readonly signal: AbortSignal },
  ): AsyncGenerator<ThreadRunsEvent> {
    const { threadSeq, position, signal } = from;
    const cursor = (await unlessGone(runs.join(caller, ref, position)))?.cursor ?? null;
    if (cursor === null) return;
    try {
      for (;;) {
        const read = await cursor.next(signal);
        if (read.kind === "end") return;
        if (read.kind === "gap") continue;
        for (const event of read.events) {
          if (event.kind === "control" && event.event === "end") continue;
          const at = threadSeq === null ? null : { threadSeq, runSeq: event.seq };
          yield { kind: "event", runId: ref.runId, event, at };
        }
      }
    } finally {
      cursor.close();
    }
  }

  async function* followRuns(
    log: EventCursor,
    caller: Caller,
    threadId: string,
    options: ThreadRunsOptions,
  ): AsyncGenerator<readonly ThreadRunsEvent[]> {
    const started = new Set<string>();
    try {
      yield* alreadyRunning(caller, threadId, options, started);
      for (let read = await log.next(options.signal); read.kind !== "end"; read = await log.next(options.signal)) {
        for (const mark of runMarks(read)) {
          // A second `running` is the same run's next attempt: its own stream tells of it.
          if (mark.step !== "running") yield await endOf(caller, threadId, mark, options);
          else if (!started.has(mark.runId)) {
            started.add(mark.runId);
            yield* startOf(caller, threadId, mark, options);
          }
        }
      }
    } finally {
      log.close();
    }
  }

  /** A run that is under way when a reader without a position comes. */
  async function* alreadyRunning(
    caller: Caller,
    threadId: string,
    { after, showsEvents, signal }: ThreadRunsOptions,
    started: Set<string>,
  ): AsyncGenerator<readonly ThreadRunsEvent[]> {
    if (after !== null || !showsEvents) return;
    const running = await unlessGone(runs.list(caller, threadId, { status: "running", limit: 1, offset: 0 }));
    const runId = running?.[0]?.runId;
    if (runId === undefined) return;
    started.add(runId);
    const from = { threadSeq: null, position: "now", signal } as const;
    for await (const one of runEvents(caller, { threadId, runId }, from)) yield [one];
  }

  async function* startOf(
    caller: Caller,
    threadId: string,
    { seq, runId }: RunMark,
    { after, showsEvents, signal }: ThreadRunsOptions,
  ): AsyncGenerator<readonly ThreadRunsEvent[]> {
    const resumes = typeof after === "object" && after?.threadSeq === seq ? after.runSeq : null;
    if (resumes === null) yield [{ kind: "started", runId, at: { threadSeq: seq, runSeq: -1 } }];
    if (!showsEvents) return;
    const position = resumes === null || resumes < 0 ? "start" : { afterSeq: resumes };
    for await (const one of runEvents(caller, { threadId, runId }, { threadSeq: seq, position, signal })) yield [one];
  }

  const endOf = async (
    caller: Caller,
    threadId: string,
    { seq, runId }: RunMark,
    { showsState }: ThreadRunsOptions,
  ): Promise<readonly ThreadRunsEvent[]> => {
    const at = { threadSeq: seq, runSeq: -1 };
    const run = await unlessGone(runs.get(caller, { threadId, runId }));
    const ended = { kind: "ended", runId, status: run?.status ?? null, at } as const;
    if (!showsState) return [ended];
    return [{ kind: "state", runId, state: await state.get(caller, threadId, { subgraphs: false }), at }, ended];
  };

  return {
    /**
     * Everything that happens on a thread, until `signal` is aborted, the thread is deleted or the server closes.
     * @throws as `threadEvents.follow`; the signal's reason
     */
    async follow(
      caller: Caller,
      threadId: string,
      options: ThreadRunsOptions,
    ): Promise<AsyncGenerator<readonly ThreadRunsEvent[]>> {
      const { after } = options;
      const log = await threadEvents.follow(caller, threadId, {
        position: positionOf(after),
        showsValues: () => false,
      });
      // Whoever leaves before the first read never starts the generator.
      options.signal.addEventListener("abort", () => log.close(), { once: true });
      return followRuns(log, caller, threadId, options);
    },
  };
}

/** Resuming inside a run begins at the event that told of its start. */
function positionOf(after: ThreadRunsOptions["after"]): EventPosition {
  if (after === null) return "now";
  if (after === "start") return "start";
  return { afterSeq: after.runSeq < 0 ? after.threadSeq : after.threadSeq - 1 };
}

type RunMark = RootMark & { readonly seq: number };

/** Where runs start and end. */
function runMarks(read: CursorRead): readonly RunMark[] {
  if (read.kind !== "events") return [];
  return read.events.flatMap((event) => {
    const mark = rootMark(event);
    return mark === null ? [] : [{ ...mark, seq: event.seq }];
  });
}
