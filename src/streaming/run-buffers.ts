import type { RunRef } from "../core/run.js";
import type { RunBuffer } from "./run-buffer.js";

/** Buffers by run, and by thread. */
export class RunBuffers<B extends { readonly buffer: RunBuffer }> {
  readonly #byRun = new Map<string, B>();
  readonly #byThread = new Map<string, Set<B>>();

  get(run: RunRef): B | undefined {
    const found = this.#byRun.get(run.runId);
    return found?.buffer.run.threadId === run.threadId ? found : undefined;
  }

  set(entry: B): void {
    const { runId, threadId } = entry.buffer.run;
    this.#byRun.set(runId, entry);
    const ofThread = this.#byThread.get(threadId);
    if (ofThread === undefined) this.#byThread.set(threadId, new Set([entry]));
    else ofThread.add(entry);
  }

  delete(entry: B): void {
    const { runId, threadId } = entry.buffer.run;
    if (this.#byRun.get(runId) === entry) this.#byRun.delete(runId);
    const ofThread = this.#byThread.get(threadId);
    ofThread?.delete(entry);
    if (ofThread?.size === 0) this.#byThread.delete(threadId);
  }

  ofThread(threadId: string): readonly B[] {
    return [...(this.#byThread.get(threadId) ?? [])];
  }

  all(): readonly B[] {
    return [...this.#byRun.values()];
  }

  get size(): number {
    return this.#byRun.size;
  }
}
