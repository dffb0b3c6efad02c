import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons";

const CHILD_CONFIG = Symbol.for("lc:child_config");
const CONTEXT_VARIABLES = Symbol.for("lc:context_variables");
/** On the replacement: how many engines hold it. */
const HOLDERS = Symbol.for("heddle.fast-paths.holders");

interface Provider {
  getInstance(): { getStore(): unknown; run<T>(store: unknown, callback: () => T): T };
  runWithConfig: RunWithConfig;
}
type RunWithConfig = (<T>(config: unknown, callback: () => T, avoidCreatingRootRunTree?: boolean) => T) & {
  [HOLDERS]?: number;
};
type Store = Readonly<Record<PropertyKey, unknown>>;

/**
 * Make LangChain's context switch cheap while nothing is traced.
 *
 * @langchain/core 1.4.0 (`singletons/async_local_storage`) builds a LangSmith `RunTree` for each runnable call, with ids
 * and a dozen of fields, also when tracing is off; all it then uses is `extra`, which carries the config. That is about a
 * third of a small run's CPU time. The replacement stores an object with the prototype of such a `RunTree`, so that
 * `getConfig()`, `interrupt()`, writers, context variables, `getCurrentRunTree()` and `traceable` find what they expect.
 * Wherever a tracer is configured, or a traced `RunTree` surrounds the call, LangChain's own code runs.
 *
 * Idempotent. Changes one method of one object of this process's copy of @langchain/core.
 * @returns undoes it, once all who asked for it have called theirs
 */
export function installFastPaths(): () => void {
  const provider = AsyncLocalStorageProviderSingleton as unknown as Provider;
  if (provider.runWithConfig[HOLDERS] === undefined) {
    const replacement = fastRunWithConfig(provider);
    if (replacement === null) return () => {};
    provider.runWithConfig = replacement;
  }
  const installed = provider.runWithConfig;
  installed[HOLDERS] = (installed[HOLDERS] ?? 0) + 1;
  let released = false;
  return () => {
    if (released) return;
    released = true;
    installed[HOLDERS] = (installed[HOLDERS] ?? 1) - 1;
    // The class's method comes back when the object's own is gone. Someone else's later patch stays.
    if (installed[HOLDERS] === 0 && provider.runWithConfig === installed) {
      delete (provider as Partial<Provider>).runWithConfig;
    }
  };
}

/** `null` when this release of @langchain/core does not work as described above. */
function fastRunWithConfig(provider: Provider): RunWithConfig | null {
  const original = provider.runWithConfig;
  const probe = {};
  const template = provider
    .getInstance()
    .run(undefined, () => original.call(provider, probe, () => provider.getInstance().getStore())) as
    (Store & { readonly extra?: Store }) | undefined;
  if (template?.["tracingEnabled"] !== false || template.extra?.[CHILD_CONFIG] !== probe) return null;

  const untraced = (extra: Store): object =>
    Object.assign(Object.create(template) as object, { tracingEnabled: false, child_runs: [], extra });

  return function runWithConfig<T>(config: unknown, callback: () => T, avoidCreatingRootRunTree?: boolean): T {
    const storage = provider.getInstance();
    const previous = storage.getStore() as Store | undefined;
    if (isTraced(previous) || hasTracer(config)) {
      return original.call(provider, config, callback, avoidCreatingRootRunTree) as T;
    }
    const variables = previous?.[CONTEXT_VARIABLES];
    let store: object | undefined;
    if (avoidCreatingRootRunTree !== true) store = untraced({ ...template.extra, [CHILD_CONFIG]: config });
    if (variables !== undefined) store = Object.assign(store ?? {}, { [CONTEXT_VARIABLES]: variables });
    return storage.run(store, callback);
  };
}

/** A `RunTree` of which tracing has not been switched off. */
function isTraced(store: Store | undefined): boolean {
  return store !== undefined && store["tracingEnabled"] !== false && typeof store["createChild"] === "function";
}

function hasTracer(config: unknown): boolean {
  const callbacks = (config as { readonly callbacks?: unknown } | undefined)?.callbacks;
  if (callbacks === undefined || callbacks === null) return false;
  const handlers = Array.isArray(callbacks) ? callbacks : (callbacks as { readonly handlers?: unknown }).handlers;
  return (
    Array.isArray(handlers) && handlers.some((handler) => (handler as Store | null)?.["name"] === "langchain_tracer")
  );
}
