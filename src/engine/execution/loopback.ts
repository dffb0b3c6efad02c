import { AsyncLocalStorage } from "node:async_hooks";
import type { Run } from "../../core/run.js";
import type { ExecutionScope } from "./execution-scope.js";

/** Where the LangGraph SDK looks for a `fetch` when a `Client` is made without a URL (docs/wire/langgraph-api.md §5.5). */
const SDK_FETCH = Symbol.for("langgraph_api:fetch");
const CONTEXT = Symbol.for("heddle.loopback");

type Fetch = (input: Request | string | URL, init?: RequestInit) => Promise<Response>;
type ServerFetch = (request: Request, run: Run | null) => Response | Promise<Response>;

/**
 * Run graph code so that `new Client()` inside it reaches the server that executes it. The SDK's hook is one global, so
 * one small process-wide shim forwards to the server that the current async context names: the one exception to "no
 * module-level mutable state" (docs/design.md §3).
 * @param serverFetch the server's own `fetch`; told which run asks, `null` for graph code outside of runs
 * @param basePath under which it serves: the SDK asks for `/threads`, not for `/agent/threads`
 */
export function createLoopback(serverFetch: ServerFetch, basePath: string): ExecutionScope {
  const holder = globalThis as { [CONTEXT]?: AsyncLocalStorage<Fetch>; [SDK_FETCH]?: Fetch };
  const context = (holder[CONTEXT] ??= new AsyncLocalStorage<Fetch>());
  holder[SDK_FETCH] ??= (input, init) => (context.getStore() ?? fetch)(input, init);
  const fetchOf =
    (run: Run | null): Fetch =>
    async (input, init) => {
      const request = new Request(input, init);
      if (basePath === "") return serverFetch(request, run);
      const url = new URL(request.url);
      url.pathname = basePath + url.pathname;
      return serverFetch(new Request(url, request), run);
    };
  const outside = fetchOf(null);
  return (fn, run) => context.run(run === undefined ? outside : fetchOf(run), fn);
}
