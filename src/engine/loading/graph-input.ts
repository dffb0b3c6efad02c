import { HeddleError, isHeddleError } from "../../core/errors.js";
import type { RunConfig } from "../../core/assistant.js";
import type { GraphUse, PregelLike } from "../graph-source.js";

/**
 * What a graph may be given as: a compiled graph, an uncompiled builder (an object with `compile()`), a factory
 * `(config, runtime) => graph | Promise<graph>`, a `createAgent` result (the graph under `.graph`), a functional-API
 * `entrypoint`, or a promise of one of them (docs/wire/langgraph-api.md §5.4). Recognised by shape: the user's project
 * may carry another copy of LangGraph than ours.
 */
export type GraphInput = object;

/** A graph made ready once: shared by every use, or a factory called for each. */
export type PreparedGraph =
  | { readonly kind: "shared"; readonly graph: PregelLike }
  | { readonly kind: "factory"; readonly create: (config: RunConfig, use: GraphUse) => Promise<PregelLike> };

type Factory = (config: RunConfig, runtime: GraphUse) => unknown;

/** How deep `.graph` and `compile()` may be nested before we call it a mistake. */
const MAX_WRAPPERS = 8;

/**
 * Await, unwrap and compile a graph.
 * @param graphId used in messages
 * @throws HeddleError `GRAPH_LOAD_FAILED` when it is no graph, or when `compile()` throws
 */
export async function prepareGraph(graphId: string, input: unknown): Promise<PreparedGraph> {
  const value = await awaited(graphId, input);
  if (typeof value !== "function") return { kind: "shared", graph: await compiled(graphId, value) };
  const factory = value as Factory;
  return {
    kind: "factory",
    create: async (config, use) => {
      const made = await factory(withConfigurable(config), { ...use });
      if (typeof made === "function") {
        throw failed(graphId, "its factory returned a function. Return the graph itself.");
      }
      return compiled(graphId, made);
    },
  };
}

/** True for a compiled graph of any copy of LangGraph. */
export function isCompiledGraph(value: unknown): value is PregelLike {
  if (typeof value !== "object" || value === null) return false;
  const { invoke, stream, nodes, channels } = value as Readonly<Record<string, unknown>>;
  return typeof invoke === "function" && typeof stream === "function" && isObject(nodes) && isObject(channels);
}

async function awaited(graphId: string, input: unknown): Promise<unknown> {
  try {
    return await input;
  } catch (error) {
    throw failed(graphId, `the promise of it was rejected: ${messageOf(error)}`, error);
  }
}

async function compiled(graphId: string, input: unknown): Promise<PregelLike> {
  let value = input;
  for (let depth = 0; depth < MAX_WRAPPERS; depth += 1) {
    value = await awaited(graphId, value);
    if (value === null || value === undefined) throw failed(graphId, "graph is nullush");
    if (isCompiledGraph(value)) return value;
    if (!isObject(value)) break;
    const { compile, graph } = value as Readonly<Record<string, unknown>>;
    if (typeof compile === "function") value = compileBuilder(graphId, value as { compile(): unknown });
    else if (isObject(graph)) value = graph;
    else break;
  }
  throw failed(
    graphId,
    `${describe(value)} is not a graph. Export a compiled graph, a builder with compile(), or a function that returns one.`,
  );
}

function compileBuilder(graphId: string, builder: { compile(): unknown }): unknown {
  try {
    return builder.compile();
  } catch (error) {
    throw failed(graphId, `compile() failed: ${messageOf(error)}`, error);
  }
}

function withConfigurable(config: RunConfig): RunConfig {
  return isObject(config["configurable"]) ? config : { ...config, configurable: {} };
}

function failed(graphId: string, reason: string, cause?: unknown): HeddleError {
  return new HeddleError("GRAPH_LOAD_FAILED", {
    message: `Failed to load graph "${graphId}": ${reason}`,
    details: { graphId },
    ...(cause === undefined ? {} : { cause }),
  });
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (!isObject(value)) return `a value of type ${typeof value}`;
  const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === "string" && name !== "Object" && name !== "" ? `an instance of ${name}` : "a plain object";
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function messageOf(error: unknown): string {
  if (isHeddleError(error)) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
