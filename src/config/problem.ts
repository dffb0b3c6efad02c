import { HeddleError } from "../core/errors.js";

/** One thing that is wrong with the configuration, and the way out. */
export interface ConfigProblem {
  readonly code: "CONFIG_INVALID" | "UNSUPPORTED_OPTION" | "GRAPH_LOAD_FAILED";
  /** Field, key, flag or variable, e.g. `http.cors.max_age`, `--port`, `LOG_LEVEL`. */
  readonly field: string;
  /** A sentence that names the way out. Holds no secrets. */
  readonly message: string;
  /** File as the user knows it. */
  readonly file?: string;
  /** Line in `file`, from 1. */
  readonly line?: number;
}

/** `langgraph.json:12: http.cors.max_age: must be …` */
function formatProblem(problem: ConfigProblem): string {
  const place =
    problem.file === undefined ? "" : `${problem.file}${problem.line === undefined ? "" : `:${problem.line}`}: `;
  // A problem of the file as a whole is named by its place.
  const field = problem.file?.endsWith(problem.field) === true ? "" : `${problem.field}: `;
  return `${place}${field}${problem.message}`;
}

/**
 * All problems as one error: `UNSUPPORTED_OPTION` when nothing else is wrong, else `CONFIG_INVALID`.
 * `details.problems` holds the list.
 */
export function configError(problems: readonly ConfigProblem[]): HeddleError {
  const code = problems.every((problem) => problem.code === "UNSUPPORTED_OPTION")
    ? "UNSUPPORTED_OPTION"
    : "CONFIG_INVALID";
  return new HeddleError(code, { message: problems.map(formatProblem).join("\n"), details: { problems } });
}

/** The problems that a {@link configError} carries; empty for any other error. */
export function problemsOf(error: HeddleError): readonly ConfigProblem[] {
  const problems = error.details?.["problems"];
  return Array.isArray(problems) ? (problems as readonly ConfigProblem[]) : [];
}
