import type { ResolvedConfig } from "./config/resolved-config.js";
import { ANONYMOUS, type Caller } from "./core/auth.js";
import type { Engine } from "./core/engine.js";
import type { IndexedItems } from "./core/indexed-items.js";
import type { Logger } from "./core/logger.js";
import { createEngine } from "./engine/create-engine.js";
import { createLoopback } from "./engine/execution/loopback.js";
import type { Parts } from "./open-parts.js";
import { systemClock } from "./runtime/system-clock.js";
import { callerOfRun } from "./services/run-config.js";

/** The engine, and who the requests of its graphs are from: they come as the caller of their run. */
export function openEngine(
  config: ResolvedConfig,
  deps: Pick<Parts, "graphs" | "storage"> & { readonly items: IndexedItems; readonly logger: Logger },
  serve: (request: Request) => Response | Promise<Response>,
): { readonly engine: Engine; readonly callers: WeakMap<Request, Caller> } {
  const callers = new WeakMap<Request, Caller>();
  const { graphs, items, logger } = deps;
  const { checkpointer, metadata } = deps.storage;
  const engine = createEngine({
    graphs: graphs.source,
    checkpointer,
    items,
    clock: systemClock,
    logger,
    server: config.apiUrl === null ? {} : { apiUrl: config.apiUrl },
    langsmith: config.langsmith.hasApiKey,
    // Graphs reach the whole API also where the network does not.
    runInContext: createLoopback((request, run) => {
      // A graph may bring credentials of its own. Not `x-api-key`, which the SDK takes from the environment unasked.
      if (!request.headers.has("authorization")) callers.set(request, run === null ? ANONYMOUS : callerOfRun(run));
      return serve(request);
    }, config.http.basePath),
    // Runs of a store that ends with the process are never taken over.
    ...(metadata.durable && { holdsLease: (lease) => metadata.runs.holds(lease) }),
  });
  return { engine, callers };
}
