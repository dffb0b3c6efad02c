/**
 * Stops a graph after a superstep. By its shape LangGraph's `RunControl` (langgraph 1.7.3, `pregel/runtime.js`): graphs may carry another
 * copy of LangGraph.
 */
export class DrainControl {
  #reason: string | undefined;

  drain(): void {
    this.#reason = "stopped";
  }

  /** LangGraph's own name of {@link drain}. */
  requestDrain(reason = "stopped"): void {
    this.#reason = reason;
  }

  get drainRequested(): boolean {
    return this.#reason !== undefined;
  }

  get drainReason(): string | undefined {
    return this.#reason;
  }

  /** Whether a graph has thrown this because it was told to stop. */
  isDrained(error: unknown): boolean {
    return this.drainRequested && (error as { readonly name?: unknown } | null)?.name === "GraphDrained";
  }
}
