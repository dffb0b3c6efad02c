import type { ReactNode } from "react";

/** A hook on a page: what it returned last, and how to wait for it to return something else. */
export interface RenderedHook<Result> {
  readonly current: Result;
  /** Poll the hook's last result, at most twenty seconds. Rejects with what was shown last. */
  until(probe: (result: Result) => boolean, what: string): Promise<Result>;
  unmount(): Promise<void>;
}

/**
 * A window for React in a test that keeps Node's `fetch`, which follows the standard closer than happy-dom's: an aborted
 * body of happy-dom 21.0.4 fails with `ECONNRESET` and not with an `AbortError`.
 */
async function openWindow(): Promise<void> {
  if (typeof document !== "undefined") return;
  const { Window } = await import("happy-dom");
  const window = new Window({ url: "http://localhost/" });
  Object.assign(globalThis, { window, document: window.document });
}

/**
 * Render a hook into the document, as a component of a page would use it.
 * @param body what the component shows
 */
export async function renderHook<Result>(
  useHook: () => Result,
  body: (result: Result) => ReactNode = () => null,
): Promise<RenderedHook<Result>> {
  await openWindow();
  const { createElement, useEffect, useState } = await import("react");
  const { createRoot } = await import("react-dom/client");
  const container = document.createElement("div");
  document.body.append(container);
  const root = createRoot(container);
  const rendered: { last?: { readonly result: Result; readonly turn: number } } = {};
  let isMounted = false;
  let turns = 0;
  let nextTurn: (turn: number) => void = () => {};
  function Page(): ReactNode {
    const [turn, setTurn] = useState(0);
    nextTurn = setTurn;
    const result = useHook();
    rendered.last = { result, turn };
    // After the hook's own effects: one that is late would take a thread that a test made meanwhile for another.
    useEffect(() => void (isMounted = true), []);
    return body(result);
  }
  root.render(createElement(Page));
  const current = (): Result => {
    if (rendered.last === undefined) throw new Error("nothing was rendered");
    return rendered.last.result;
  };
  await poll(
    () => isMounted,
    "the first render",
    () => "",
  );
  return {
    get current() {
      return current();
    },
    async until(probe, what) {
      // What was set so far is rendered no later than this.
      const turn = ++turns;
      nextTurn(turn);
      await poll(
        () => rendered.last?.turn === turn,
        "a render",
        () => "",
      );
      await poll(
        () => probe(current()),
        what,
        () => describe(current()),
      );
      return current();
    },
    async unmount() {
      root.unmount();
      // Effects of an unmounted component end in a task of their own.
      await new Promise((resolve) => setTimeout(resolve));
      container.remove();
    },
  };
}

/** Poll every 10 ms, at most twenty seconds. */
export async function poll(probe: () => boolean, what: string, last: () => string): Promise<void> {
  for (let i = 0; i < 2_000; i++) {
    if (probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited too long for ${what}; last seen: ${last()}`);
}

function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const { values, error, isLoading } = value as Record<string, unknown>;
  return JSON.stringify({ values, error: error instanceof Error ? error.message : error, isLoading }).slice(0, 2_000);
}
