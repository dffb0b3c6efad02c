import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons";
import type { Run } from "../../core/run.js";

/**
 * Runs graph code in the async context it should see.
 * @param run on behalf of which run; absent for a graph that is drawn, or asked about its state
 */
export type ExecutionScope = <T>(fn: () => T, run?: Run) => T;

/**
 * A scope in which LangChain sees no surrounding config. A run that is started from inside another graph's node (by
 * `new Client()`) would otherwise inherit that graph's callbacks, store, writer and recursion limit, because LangGraph
 * merges the config of the async context into every root call (langgraph 1.7.3, `ensureLangGraphConfig`).
 * @param runInContext e.g. the loopback's, so that clients inside graphs reach this server
 */
export function createExecutionScope(runInContext?: ExecutionScope): ExecutionScope {
  return (fn, run) => {
    const isolated = () => AsyncLocalStorageProviderSingleton.getInstance().run(undefined, fn);
    return runInContext === undefined ? isolated() : runInContext(isolated, run);
  };
}
