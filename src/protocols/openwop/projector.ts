import type { Clock, Timer } from "../../core/clock.js";
import type {
  ObservedEnd,
  ObservedEvent,
  ObservedLease,
  RecordedNodes,
  RunObserver,
  Verdict,
} from "../../core/run-observer.js";
import type { ClaimedRun } from "../../core/run.js";
import type { RecordHints } from "../../services/record-hints.js";
import type { LoggedEvent, NewOpenwopEvent } from "./event.js";
import type { EventLogs } from "./event-log.js";
import { endEvents, pausedEvent } from "./run-end.js";
import { RUNS_SPACE, type RunRecord } from "./run-record.js";
import type { InterruptRules } from "./seams.js";
import type { Replay } from "./replay.js";
import type { LaunchFold, RunFold } from "./snapshot-types.js";
import { sameJson } from "./same-json.js";
import { type Attempt, type HeldInterrupt, type OpenText, translate, type Translation } from "./translate.js";

/** How long events wait for more of them. A superstep waits for none. */
const GATHER_MS = 5;
/** What could not be stored is tried again after this long, if nothing else is told before. */
const AGAIN_MS = 1_000;
/** A pause that nobody told of is seen after this long. */
const PAUSE_LOOK_MS = 1_000;

export interface ProjectorDeps {
  readonly logs: EventLogs;
  readonly rules: InterruptRules;
  readonly clock: Clock;
  readonly hints: Pick<RecordHints, "subscribe">;
  /** The record as it is now. `null`: gone. */
  readonly reload: (record: RunRecord) => Promise<RunRecord | null>;
  /** What the thread waits for, and which nodes are next. */
  readonly stateOf: (record: RunRecord) => Promise<ThreadFacts>;
  /** Create the LangGraph run that the log calls for. */
  readonly launch: (record: RunRecord, launch: LaunchFold) => Promise<void>;
  readonly onError: (record: RunRecord, error: unknown) => void;
}

/** What a thread's newest checkpoint tells. */
export interface ThreadFacts {
  readonly interrupts: readonly HeldInterrupt[];
  readonly next: readonly string[];
}

/** What was to be written, and where. */
interface Tried {
  readonly observed: number;
  readonly events: readonly NewOpenwopEvent[];
  readonly from: number;
  readonly translation: Translation;
}

/** Writes what a LangGraph run does into the log of its OpenWOP run. */
export class Projector implements RunObserver {
  readonly recorded?: RecordedNodes;
  readonly #deps: ProjectorDeps;
  readonly #lease: ObservedLease;
  readonly #attempt: Attempt;
  readonly #replay: Replay | null;
  #record: RunRecord;
  #queue: ObservedEvent[] = [];
  readonly #open = new Set<string>();
  #held: readonly HeldInterrupt[] = [];
  #openText: OpenText | null = null;
  /** A write that may have failed. */
  #tried: Tried | null = null;
  #checkpointId: string | null = null;
  #timer: Timer | null = null;
  #flushing: Promise<void> = Promise.resolve();
  #over = false;
  #hasBegun = false;
  #pauseSeen = true;
  #lookedAt = 0;
  readonly #unsubscribe: () => void;

  constructor(
    deps: ProjectorDeps,
    record: RunRecord,
    { run }: Pick<ClaimedRun, "run">,
    options: { readonly lease: ObservedLease; readonly replay: Replay | null; readonly fold: RunFold },
  ) {
    this.#deps = deps;
    this.#record = record;
    this.#lease = options.lease;
    this.#attempt = { langgraphRunId: run.runId, attempt: run.attempt, resume: run.kwargs.command?.["resume"] };
    const { replay, fold } = options;
    this.#replay = replay;
    if (replay !== null) this.recorded = replay.recorded(() => fold);
    const topic = { space: RUNS_SPACE, owner: record.owner, collection: record.runId };
    this.#unsubscribe = deps.hints.subscribe(topic, () => (this.#pauseSeen = true));
  }

  async begin(): Promise<Verdict> {
    const fold = await this.#deps.logs.read(this.#record);
    if (fold.completedAt !== null) this.#leave();
    const { langgraphRunId, attempt } = this.#attempt;
    // What it was for is done by another one, or will be by the one that a resume calls for.
    const rests = fold.status === "paused" || fold.superseded.has(langgraphRunId);
    const own = fold.launches.find((one) => one.langgraphRunId === langgraphRunId);
    // An earlier attempt may have applied the input, and died before it could show more.
    const mayHaveBegun = attempt > 1 && own?.kind === "start";
    this.#hasBegun = mayHaveBegun && (await this.#deps.stateOf(this.#record)).next.length > 0;
    const verdict = rests || this.#over ? "stop" : await this.#pause();
    if (verdict === "stop") this.#leave();
    this.#hasBegun = true;
    return verdict;
  }

  observe(event: ObservedEvent): void {
    if (this.#over) return;
    this.#queue.push(event);
    if (event.kind === "task-started") this.#open.add(event.taskId);
    if (event.kind === "task-ended") this.#open.delete(event.taskId);
    this.#later(GATHER_MS);
  }

  #later(delayMs: number): void {
    this.#timer ??= this.#deps.clock.setTimer(() => {
      this.#timer = null;
      // The superstep is over: its last event goes with the checkpoint that it has led to.
      if (this.#open.size === 0) return;
      this.#write().catch((error: unknown) => {
        this.#deps.onError(this.#record, error);
        if (!this.#over) this.#later(AGAIN_MS);
      });
    }, delayMs);
  }

  /** Nothing is told any more. */
  #leave(): void {
    this.#over = true;
    this.#unsubscribe();
    this.#timer?.cancel();
  }

  async superstep({ checkpointId }: { readonly checkpointId: string }): Promise<Verdict> {
    await this.#write(checkpointId);
    this.#checkpointId = checkpointId;
    return this.#over ? "stop" : this.#pause();
  }

  flush(): Promise<void> {
    return this.#write();
  }

  async ended(end: ObservedEnd): Promise<void> {
    const wasOver = this.#over;
    this.#leave();
    if (wasOver) return;
    const { logs, rules, clock, reload, stateOf } = this.#deps;
    this.#record = (await reload(this.#record)) ?? this.#record;
    const needsFacts = end.status === "success" ? this.#held.length === 0 : end.status === "error";
    const { next, interrupts } = needsFacts ? await stateOf(this.#record) : NO_FACTS;
    const { langgraphRunId } = this.#attempt;
    const ended = {
      end,
      langgraphRunId,
      hasBegun: this.#hasBegun,
      held: this.#held,
      hasNext: next.length > 0 || interrupts.length > 0,
    };
    const context = { record: this.#record, rules, nowMs: clock.now() };
    const nextNode = next[0] ?? null;
    const replay = this.#replay === null ? {} : { replay: this.#replay };
    const decision = await logs.decide(
      this.#record,
      (fold) => this.#completed(endEvents({ ...ended, ...replay, nextNode }, { ...context, fold }), fold),
      { refresh: false },
    );
    if (this.#replay === null || decision.kind === "declined") return;
    const appended = new Set(decision.events.map(({ sequence }) => sequence));
    for (const one of decision.fold.launches.filter(({ sequence }) => appended.has(sequence))) {
      await this.#deps.launch(this.#record, one);
    }
  }

  #completed<E extends readonly NewOpenwopEvent[] | null>(events: E, fold: RunFold): readonly NewOpenwopEvent[] | E {
    return events === null || this.#replay === null ? events : this.#replay.completed(events, fold);
  }

  /** Store what was observed, in order. @param checkpointId what it has led to */
  #write(checkpointId?: string): Promise<void> {
    const turn = this.#flushing.then(() => this.#writeNow(checkpointId));
    this.#flushing = turn.catch(() => undefined);
    return turn;
  }

  async #writeNow(checkpointId: string | undefined): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    const observed = this.#queue;
    this.#queue = [];
    if (observed.length === 0 || this.#over) return;
    // Whoever writes next writes what is left, too.
    let left = observed;
    try {
      if (!(await this.#lease.isHeld())) {
        this.#leave();
        return;
      }
      left = observed.slice(await this.#storedBefore());
      if (left.length > 0 && !this.#over) await this.#append(left, checkpointId);
    } catch (error) {
      this.#queue = [...left, ...this.#queue];
      throw error;
    }
  }

  /** @returns how many of the first were stored by a write whose answer was lost */
  async #storedBefore(): Promise<number> {
    const tried = this.#tried;
    this.#tried = null;
    if (tried === null || tried.events.length === 0) return 0;
    const { observed, events, from, translation } = tried;
    const { logs } = this.#deps;
    try {
      const fold = await logs.read(this.#record);
      if (fold.completedAt !== null) this.#leave();
      const stored = await logs.list(this.#record, from, events.length);
      if (stored.length < events.length || !events.every((event, index) => isStored(event, stored[index]))) return 0;
    } catch (error) {
      this.#tried = tried;
      throw error;
    }
    this.#take(translation);
    return observed;
  }

  #take({ held, openText }: Translation): void {
    this.#held = [...this.#held, ...held];
    this.#openText = openText;
  }

  async #append(observed: readonly ObservedEvent[], checkpointId: string | undefined): Promise<void> {
    const { logs, rules } = this.#deps;
    let translation: Translation | null = null;
    const decision = await logs.decide(
      this.#record,
      (fold) => {
        const { events, ...rest } = translate(observed, {
          record: this.#record,
          fold,
          attempt: this.#attempt,
          openText: this.#openText,
          rules,
          checkpointId: this.#checkpointId,
        });
        translation = { events, ...rest };
        const drafts = this.#completed(marked(events, checkpointId), fold);
        this.#tried = { observed: observed.length, events: drafts, from: fold.sequence + 1, translation };
        return drafts;
      },
      { refresh: false, mayGoOn: () => this.#lease.isHeldInStore() },
    );
    this.#tried = null;
    // Somebody has ended it, or this worker has lost it.
    if (decision.fold.completedAt !== null || translation === null) this.#leave();
    const done = translation as Translation | null;
    if (decision.kind === "declined" && done !== null && done.events.length > 0) this.#leave();
    if (done !== null) this.#take(done);
  }

  /** Between supersteps: whether somebody wants the run to rest. */
  async #pause(): Promise<Verdict> {
    const { clock, logs, reload } = this.#deps;
    if (!this.#pauseSeen && clock.now() - this.#lookedAt < PAUSE_LOOK_MS) return "go";
    this.#pauseSeen = false;
    this.#lookedAt = clock.now();
    const record = await reload(this.#record);
    if (record === null) return "stop";
    this.#record = record;
    if (record.pause === null) return "go";
    // One that has not begun leaves to the resume what it was for.
    const hidden = this.#hasBegun ? { hidden: { langgraphRunId: this.#attempt.langgraphRunId } } : {};
    await logs.decide(record, (fold) => (fold.status === "paused" ? null : [{ ...pausedEvent(record), ...hidden }]));
    return "stop";
  }
}

/** It is this event, of this LangGraph run, and no other one. */
function isStored({ type, nodeId, payload, hidden }: NewOpenwopEvent, stored: LoggedEvent | undefined): boolean {
  if (stored === undefined || stored.type !== type || stored.nodeId !== nodeId) return false;
  return stored.hidden?.langgraphRunId === hidden?.langgraphRunId && sameJson(stored.payload, payload);
}

const NO_FACTS: ThreadFacts = { next: [], interrupts: [] };

/** The last that a task did says where the thread stands once all have happened. */
function marked(events: readonly NewOpenwopEvent[], checkpointId: string | undefined): readonly NewOpenwopEvent[] {
  const at = events.findLastIndex(({ hidden }) => hidden?.taskId !== undefined);
  const last = events[at];
  if (checkpointId === undefined || last === undefined) return events;
  return events.with(at, { ...last, hidden: { ...last.hidden, checkpointId } });
}
