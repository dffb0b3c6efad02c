import type { RunEvent } from "./run-event.js";
import type { ThreadState } from "./state.js";

/** What happens to the runs of a thread, one after the other (docs/wire/langgraph-api.md §3.11). */
export type ThreadRunsEvent =
  /** A run has started, or goes on after its worker was lost. */
  | { readonly kind: "started"; readonly runId: string; readonly at: ThreadRunsPosition }
  /** One event of the run's own stream; not its `end`, which `ended` stands for. */
  | { readonly kind: "event"; readonly runId: string; readonly event: RunEvent; readonly at: ThreadRunsPosition | null }
  /** The run's stream is over. `status` as its row has it; `null` for a run that was rolled back. */
  | { readonly kind: "ended"; readonly runId: string; readonly status: string | null; readonly at: ThreadRunsPosition }
  /** The thread's state after a run. */
  | { readonly kind: "state"; readonly runId: string; readonly state: ThreadState; readonly at: ThreadRunsPosition };

/** Where a reader stands; `null` within a run whose start it has not seen: at an event of the thread's log, and within the run that began there. */
export interface ThreadRunsPosition {
  /** Of the event that told of the run's start, or of its end. */
  readonly threadSeq: number;
  /** Of the run's own event; -1 for the start itself. */
  readonly runSeq: number;
}
