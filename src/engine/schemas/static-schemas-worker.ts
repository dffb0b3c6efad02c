import { loadTypeScript } from "../loading/find-typescript.js";
import { graphTypes, type GraphTypes, type ParsedFiles } from "./graph-types.js";

/** What the worker is asked. */
export interface StaticSchemasJob {
  /** Absolute path of TypeScript's compiler. */
  readonly typescriptPath: string;
  readonly file: string;
  readonly exportName: string;
}

export type StaticSchemasAnswer = { readonly types: GraphTypes } | { readonly error: string };

/*
 * A process of its own: TypeScript's checker is synchronous, takes seconds and can be stopped only from outside. It lives
 * as long as there are jobs, so that they share what is parsed, and not longer than that.
 */
const parsed: ParsedFiles = new Map();

function answer(job: StaticSchemasJob): StaticSchemasAnswer {
  try {
    return { types: graphTypes(loadTypeScript({ path: job.typescriptPath }), job, parsed) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

process.on("message", (job: StaticSchemasJob) => process.send?.(answer(job)));
process.once("disconnect", () => process.exit());
