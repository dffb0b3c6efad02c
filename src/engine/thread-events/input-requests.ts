import { type Fields, isFields, textOf } from "../streams/shapes.js";

/** `input.requested`, once for each interrupt of a run, although LangGraph streams it in several modes and graphs. */
export interface InputRequests {
  /** @returns whether a chunk of `values` or `updates` is a list of interrupts instead of a state */
  take(namespace: readonly string[], payload: unknown): boolean;
  /** The run has stopped at an interrupt or a breakpoint. */
  readonly interrupted: boolean;
}

export function createInputRequests(onRequest: (namespace: readonly string[], data: Fields) => void): InputRequests {
  const requested = new Set<string>();
  let interrupted = false;
  return {
    take(namespace, payload) {
      if (!isFields(payload) || !("__interrupt__" in payload)) return false;
      // A breakpoint's list is empty.
      interrupted = true;
      const list: unknown = payload["__interrupt__"];
      for (const interrupt of Array.isArray(list) ? (list as unknown[]) : []) {
        const id = isFields(interrupt) ? textOf(interrupt, "id") : undefined;
        if (!isFields(interrupt) || id === undefined || requested.has(id)) continue;
        requested.add(id);
        onRequest(namespace, { interrupt_id: id, payload: interrupt["value"] ?? null });
      }
      return true;
    },
    get interrupted() {
      return interrupted;
    },
  };
}
