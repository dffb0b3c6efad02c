import { act, createElement, type ReactNode } from "react";
import { createRoot } from "react-dom/client";

/** A hook on a page: what it returned last, and how to wait for it to return something else. */
export interface RenderedHook<Result> {
  readonly current: Result;
  /** Poll the hook's last result, at most twenty seconds. Rejects with what was shown last. */
  until(probe: (result: Result) => boolean, what: string): Promise<Result>;
  unmount(): Promise<void>;
}

/**
 * Render a hook into the document, as a component of a page would use it.
 * @param body what the component shows
 */
export async function renderHook<Result>(
  useHook: () => Result,
  body: (result: Result) => ReactNode = () => null,
): Promise<RenderedHook<Result>> {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = false;
  const container = document.createElement("div");
  document.body.append(container);
  const root = createRoot(container);
  const rendered: { last?: { readonly result: Result } } = {};
  function Page(): ReactNode {
    const result = useHook();
    rendered.last = { result };
    return body(result);
  }
  root.render(createElement(Page));
  const current = (): Result => {
    if (rendered.last === undefined) throw new Error("nothing was rendered");
    return rendered.last.result;
  };
  await poll(
    () => rendered.last !== undefined,
    "the first render",
    () => "",
  );
  return {
    get current() {
      return current();
    },
    async until(probe, what) {
      await poll(
        () => probe(current()),
        what,
        () => describe(current()),
      );
      return current();
    },
    async unmount() {
      root.unmount();
      container.remove();
      await act(async () => {});
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
