/** Where LangGraph's runner looks for the signal of the whole run before it takes `config.signal`. */
const ABORT_SIGNALS = "__pregel_abort_signals";

/** The listener by which the runner's race learns of an abort, as its source has it. */
const RACE_LISTENER = 'new Error("Abort")';

const isRace = (listener: unknown): boolean =>
  typeof listener === "function" && Function.prototype.toString.call(listener).includes(RACE_LISTENER);

type Listener = Parameters<AbortSignal["addEventListener"]>[1];

/**
 * Configurable that makes LangGraph's runner (langgraph 1.7.3, `pregel/runner.js`, `_executeTasksWithRetry`) listen to
 * `signal` in a way that mends two faults of it. For each superstep it adds a listener that rejects the promise its race
 * waits on, and
 * - removes it when the first of several parallel tasks has settled, so that it no longer notices an abort;
 * - forgets it when no task has to run because all came from the node cache. A later abort then rejects a promise that
 *   nobody waits on, which ends the process.
 *
 * Here the listener lives as long as the superstep, whose other listener the runner removes reliably.
 */
export function guardAbort(signal: AbortSignal): Readonly<Record<string, unknown>> {
  const add = signal.addEventListener.bind(signal) as (type: string, listener: Listener, options?: unknown) => void;
  const remove = signal.removeEventListener.bind(signal) as typeof add;
  /** Superstep's listener → the race's, which the runner adds in the same turn. */
  const races = new Map<Listener, Listener>();
  let latest: Listener | undefined;

  const guarded = {
    addEventListener(type: string, listener: Listener, options?: unknown): void {
      add(type, listener, options);
      if (type !== "abort") return;
      if (latest !== undefined && isRace(listener)) races.set(latest, listener);
      else latest = listener;
    },
    removeEventListener(type: string, listener: Listener, options?: unknown): void {
      if (type === "abort" && [...races.values()].includes(listener)) return;
      remove(type, listener, options);
      const race = races.get(listener);
      if (race === undefined) return;
      races.delete(listener);
      remove(type, race);
    },
  };
  Object.assign(signal, guarded);
  return { [ABORT_SIGNALS]: { externalAbortSignal: signal } };
}
