import { randomUUID } from "node:crypto";
import type * as FastCheck from "fast-check";
import type * as Vitest from "vitest";
import type { CursorRead, EventCursor, EventLog, EventLogOptions, EventPosition } from "../../core/event-log.js";
import { type JsonText, toJsonText } from "../../core/json.js";
import type { NewRunEvent, RunEvent, RunEventKind } from "../../core/run-event.js";
import type { RunRef } from "../../core/run.js";
import { type FakeClock, fakeClock } from "../fake-clock.js";

/** A log under test. */
export interface OpenedEventLog {
  readonly log: EventLog;
  /** Durable logs: open the same storage once more, as after the process was killed. The suite closes both. */
  readonly reopen?: () => Promise<EventLog>;
  /**
   * Logs that several processes share: one more on the same storage, as in another process, while the others go on. It must
   * not share a cache with them. The suite closes it.
   */
  readonly another?: () => Promise<EventLog>;
}

export interface EventLogSuite {
  readonly name: string;
  readonly vitest: Pick<typeof Vitest, "describe" | "it" | "expect">;
  readonly fc: typeof FastCheck;
  /** Lasting logs that nobody writes to are gone after a while, numbers and all: {@link EventLog.lasting} names none. Default false. */
  readonly forgetsHeads?: boolean;
  /** How many runs are read at once where there are many: fewer for a slow server. Default 500. */
  readonly manyRuns?: number;
  /** A fresh, empty log. */
  open(options: EventLogOptions & { readonly clock: FakeClock }): Promise<OpenedEventLog>;
}

/** What a case gets. */
export interface EventLogFixture extends OpenedEventLog {
  readonly clock: FakeClock;
}

/** Makes a test function of a case: opens a log, and closes it and all that was reopened. */
export type WithEventLog = (
  options: Omit<EventLogOptions, "clock">,
  test: (fixture: EventLogFixture) => Promise<void>,
) => () => Promise<void>;

export function withEventLog(suite: EventLogSuite): WithEventLog {
  return (options, test) => async () => {
    const clock = fakeClock();
    const opened = await suite.open({ ...options, clock });
    const { reopen, another } = opened;
    const logs = [opened.log];
    const remembering = (open: () => Promise<EventLog>) => async (): Promise<EventLog> => {
      const log = await open();
      logs.push(log);
      return log;
    };
    try {
      await test({
        log: opened.log,
        clock,
        ...(reopen === undefined ? {} : { reopen: remembering(reopen) }),
        ...(another === undefined ? {} : { another: remembering(another) }),
      });
    } finally {
      for (const log of logs) await log.close();
    }
  };
}

/** Makes a case of logs that outlive their process. Skipped, visibly, for others. */
export function durableCase({ vitest: { it } }: EventLogSuite, withLog: WithEventLog) {
  return (
    name: string,
    options: Omit<EventLogOptions, "clock">,
    test: (fixture: EventLogFixture & Required<Pick<EventLogFixture, "reopen">>) => Promise<void>,
  ): void => {
    it(name, async (context) => {
      await withLog(options, async (fixture) => {
        if (fixture.reopen === undefined) context.skip("not durable");
        else await test({ ...fixture, reopen: fixture.reopen });
      })();
    });
  };
}

/** A run of its own; of a thread of its own unless one is named. */
export function newRun(threadId: string = randomUUID()): RunRef {
  return { runId: randomUUID(), threadId };
}

export function newEvent(text: string, kind: RunEventKind = "state"): NewRunEvent {
  return { event: kind === "token" ? "messages" : "values", data: toJsonText(text), kind };
}

export function newEvents(count: number, kind: RunEventKind = "state", from = 0): NewRunEvent[] {
  return range(from, from + count).map((index) => newEvent(`e${index}`, kind));
}

export type Gap = Extract<CursorRead, { kind: "gap" }>;

export interface Transcript {
  readonly seqs: readonly number[];
  readonly data: readonly JsonText[];
  readonly gaps: readonly Gap[];
}

/** Read until the end, or until `count` events were read. */
export async function drain(cursor: EventCursor, count = Number.POSITIVE_INFINITY): Promise<Transcript> {
  const events: RunEvent[] = [];
  const gaps: Gap[] = [];
  while (events.length < count) {
    const read = await cursor.next();
    if (read.kind === "end") break;
    if (read.kind === "gap") gaps.push(read);
    else events.push(...read.events);
  }
  return { seqs: events.map((event) => event.seq), data: events.map((event) => event.data), gaps };
}

/** The events of a read that must have some. */
export function eventsOf(read: CursorRead): readonly RunEvent[] {
  if (read.kind === "events") return read.events;
  throw new Error(`Expected events, got ${JSON.stringify(read)}`);
}

export function seqsOf(read: CursorRead): readonly number[] {
  return eventsOf(read).map((event) => event.seq);
}

/** Whole numbers from `from` on, before `before`. */
export function range(from: number, before: number): number[] {
  return Array.from({ length: Math.max(before - from, 0) }, (_, index) => from + index);
}

/** Open a log that must be there. */
export async function mustOpen(log: EventLog, run: RunRef, position: EventPosition): Promise<EventCursor> {
  const cursor = await log.open(run, position);
  if (cursor === null) throw new Error(`No log of ${run.runId} is kept`);
  return cursor;
}

/**
 * What depends on another process: hints take real time, looking without them takes the clock's.
 * @throws when it has not come after a minute of the clock
 */
export async function eventually<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  void Promise.allSettled([work]).then(() => {
    isDone = true;
  });
  for (let step = 0; step < 1_000 && !isDone; step += 1) {
    // Slow storages on busy machines get a dozen seconds.
    await new Promise((resolve) => setTimeout(resolve, step < 200 ? 1 : 15));
    if (!isDone) clock.advance(step < 100 ? 20 : step < 200 ? 200 : 50);
  }
  if (!isDone) throw new Error("It has not come");
  return work;
}
