import { findSourceMap, SourceMap } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Message } from "esbuild";
import { HeddleError } from "../../core/errors.js";
import type { Bundle } from "./bundle-graph.js";

/** Where in the user's sources something is wrong; line and column from 1. */
export interface SourcePosition {
  /** Relative to the project. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** How many of esbuild's errors one message shows. */
const MAX_ERRORS = 5;

/**
 * A graph that could not be loaded, named, with what failed and where.
 * @param graph.path `file:export` as in langgraph.json
 */
export function graphLoadError(
  graph: { readonly graphId: string; readonly path: string },
  reason: { readonly message: string; readonly position?: SourcePosition | undefined; readonly cause?: unknown },
): HeddleError {
  const { message, position, cause } = reason;
  const place = position === undefined ? "" : `${formatPosition(position)}: `;
  return new HeddleError("GRAPH_LOAD_FAILED", {
    message: `Failed to load graph "${graph.graphId}" (${graph.path}): ${place}${message}`,
    details: { graphId: graph.graphId, path: graph.path, ...position },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** esbuild's errors as one reason: the first one's position leads, the others follow on lines of their own. */
export function buildReason(errors: readonly Message[]): { message: string; position?: SourcePosition | undefined } {
  const [first, ...others] = errors.map((error) => ({ text: textOf(error), position: positionOf(error) }));
  if (first === undefined) return { message: "the build failed" };
  const lines = others
    .slice(0, MAX_ERRORS - 1)
    .map(({ text, position }) => `\n  ${position ? `${formatPosition(position)}: ` : ""}${text}`);
  const left = errors.length - MAX_ERRORS;
  return {
    message: first.text + lines.join("") + (left > 0 ? `\n  … and ${String(left)} more` : ""),
    position: first.position,
  };
}

/**
 * The first frame of an error's stack that lies in a project's own sources, through the bundle's source map unless the
 * process already maps its stacks.
 */
export function sourcePosition(error: unknown, bundle: Bundle, cwd: string): SourcePosition | undefined {
  if (typeof error !== "object" || error === null || !("stack" in error) || typeof error.stack !== "string")
    return undefined;
  const { dir, name, ext } = path.parse(bundle.outputFile);
  for (const [, where = "", line = "", column = ""] of error.stack.matchAll(
    /^\s+at (?:.*\()?(.+?):(\d+):(\d+)\)?$/gm,
  )) {
    const file = where.startsWith("file:") ? fileURLToPath(where) : where;
    if (bundle.inputs.has(file)) return { file: path.relative(cwd, file), line: Number(line), column: Number(column) };
    const parsed = path.parse(file);
    if (parsed.dir !== dir || !parsed.name.startsWith(`${name}-`) || parsed.ext !== ext) continue;
    const mapped = mappedPosition(bundle, where, Number(line), Number(column));
    if (mapped !== undefined) return { ...mapped, file: path.relative(cwd, path.resolve(dir, mapped.file)) };
  }
  return undefined;
}

function mappedPosition(bundle: Bundle, url: string, line: number, column: number): SourcePosition | undefined {
  const map = findSourceMap(url) ?? inlineMap(bundle.code);
  const entry = map?.findEntry(line - 1, column - 1);
  if (entry === undefined || !("originalSource" in entry)) return undefined;
  const source = entry.originalSource.startsWith("file:") ? fileURLToPath(entry.originalSource) : entry.originalSource;
  return { file: source, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
}

function inlineMap(code: string): SourceMap | undefined {
  const [, data] = /\/\/# sourceMappingURL=data:application\/json;base64,([\w+/=]+)\s*$/.exec(code) ?? [];
  if (data === undefined) return undefined;
  return new SourceMap(
    JSON.parse(Buffer.from(data, "base64").toString("utf8")) as ConstructorParameters<typeof SourceMap>[0],
  );
}

function textOf(error: Message): string {
  const notes = error.notes.map((note) => note.text).filter((text) => text !== "");
  return [error.text, ...notes].join(" ");
}

function positionOf({ location }: Message): SourcePosition | undefined {
  return location === null ? undefined : { file: location.file, line: location.line, column: location.column + 1 };
}

/** @example "src/agent.ts:3:5" */
export function formatPosition({ file, line, column }: SourcePosition): string {
  return line === 0 ? file : `${file}:${String(line)}:${String(column)}`;
}
