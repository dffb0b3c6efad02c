import { parentPort, workerData } from "node:worker_threads";
import { loadTypeScript } from "./find-typescript.js";
import { graphTypes, type GraphTypes } from "./graph-types.js";

/** What the worker is started with. */
export interface StaticSchemasJob {
  /** Absolute path of TypeScript's compiler. */
  readonly typescriptPath: string;
  readonly file: string;
  readonly exportName: string;
}

export type StaticSchemasAnswer = { readonly types: GraphTypes } | { readonly error: string };

/** A thread of its own: TypeScript's checker is synchronous, takes seconds and can be stopped only with its thread. */
function answer(job: StaticSchemasJob): StaticSchemasAnswer {
  try {
    return { types: graphTypes(loadTypeScript({ path: job.typescriptPath }), job) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.postMessage(answer(workerData as StaticSchemasJob));
