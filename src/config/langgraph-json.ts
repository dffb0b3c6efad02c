import { readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { z } from "zod";
import { lineOfJsonMistake } from "./json-mistake.js";
import { lineOfJsonPath } from "./json-position.js";
import { EDITOR_KEY, LANGGRAPH_JSON_KEYS } from "./langgraph-json-keys.js";
import { type Manifest, manifestSchema } from "./langgraph-json-schema.js";
import type { ConfigProblem } from "./problem.js";

export const MANIFEST_NAME = "langgraph.json";

/** The official server's default; here it stands for Heddle's own loader (docs/wire/langgraph-api.md §5.5). */
const DEFAULT_LOADER = "tsx";

/** `langgraph.json` as read from disk, not yet judged. */
export interface ManifestFile {
  /** Absolute. */
  readonly path: string;
  readonly dir: string;
  /** For line numbers. */
  readonly text: string;
  readonly document: Readonly<Record<string, unknown>>;
}

/**
 * Read a `langgraph.json`.
 * @param path a file, or a folder that has a `langgraph.json`; relative to `cwd`
 * @returns the file, or what is wrong with it
 */
export function readManifest(path: string, cwd: string): ManifestFile | ConfigProblem {
  const given = resolve(cwd, path);
  const file = statSync(given, { throwIfNoEntry: false })?.isDirectory() === true ? join(given, MANIFEST_NAME) : given;
  let text: string;
  try {
    text = readFileSync(file, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    const message = missing ? "does not exist. Name it with --config, or pass graphs to createApp" : String(error);
    return { code: "CONFIG_INVALID", field: MANIFEST_NAME, message, file };
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // The parser's message quotes the text around the mistake, which may be a secret of `env`.
    const message = "is not valid JSON (no comments, no comma before a closing bracket, names in double quotes)";
    return { code: "CONFIG_INVALID", field: MANIFEST_NAME, message, file, line: lineOfJsonMistake(text) };
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    return { code: "CONFIG_INVALID", field: MANIFEST_NAME, message: "must hold a JSON object", file, line: 1 };
  }
  return { path: file, dir: dirname(file), text, document: document as Record<string, unknown> };
}

/** A section that the environment gives instead of the file. */
export interface ManifestSection {
  readonly value: unknown;
  /** Named in messages. */
  readonly variable: string;
}

/**
 * Judge every key of a manifest: honoured ones are checked, refused and unknown ones named.
 * @param sections from the environment; they replace those of the file
 * @returns the honoured part; without what was wrong
 */
export function parseManifest(params: {
  readonly file: ManifestFile | null;
  readonly sections: Readonly<Record<string, ManifestSection>>;
  readonly problems: ConfigProblem[];
  readonly warnings: string[];
}): Manifest {
  const { file, sections, problems, warnings } = params;
  const given = Object.fromEntries(Object.entries(sections).map(([key, section]) => [key, section.value]));
  const document: Record<string, unknown> = { ...file?.document, ...given };
  const placeOf = (path: readonly (string | number)[]): Omit<ConfigProblem, "code" | "message"> => {
    const section = sections[String(path[0])];
    if (section !== undefined) return { field: [section.variable, ...path.slice(1)].join(".") };
    if (file === null) return { field: path.join(".") };
    return { field: path.join("."), file: file.path, line: lineOfJsonPath(file.text, path) };
  };
  for (const { key, status, note } of LANGGRAPH_JSON_KEYS) {
    const path = key.split(".");
    if (status === "refused" && isSet(valueAt(document, path))) {
      problems.push({ code: "UNSUPPORTED_OPTION", message: `${note}.`, ...placeOf(path) });
    }
  }
  const loader = document["node_loader"];
  if (typeof loader === "string" && loader !== DEFAULT_LOADER) {
    const message = `Heddle compiles TypeScript itself and can't use "${loader}". Remove the key.`;
    problems.push({ code: "UNSUPPORTED_OPTION", message, ...placeOf(["node_loader"]) });
  }
  for (const path of unknownKeys(document)) {
    const place = placeOf(path);
    warnings.push(
      `${place.line === undefined ? "" : `${MANIFEST_NAME}:${place.line}: `}unknown key "${place.field}" is ignored`,
    );
  }
  const parsed = manifestSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    const path = issue.path.filter((part) => typeof part !== "symbol");
    problems.push({ code: "CONFIG_INVALID", message: `${messageOf(issue)}.`, ...placeOf(path) });
  }
  return {};
}

/** zod answers a failed union with one list of issues per member: the longest path is what the user meant. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== "invalid_union" || issue.message !== "Invalid input") return issue.message;
  const nested = issue.errors.flat();
  return nested.map((inner) => [inner.path.join("."), inner.message].filter(Boolean).join(": ")).join(", or ");
}

function valueAt(document: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<string, unknown>)[key]
        : undefined,
    document,
  );
}

/** False for what asks for nothing: absent, `null`, `false`, `{}`. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

function unknownKeys(document: Readonly<Record<string, unknown>>): readonly string[][] {
  const known = LANGGRAPH_JSON_KEYS.map(({ key }) => key.split("."));
  const unknown: string[][] = [];
  for (const [key, value] of Object.entries(document)) {
    if (key === EDITOR_KEY) continue;
    const paths = known.filter((path) => path[0] === key);
    if (paths.length === 0) unknown.push([key]);
    if (paths.length === 0 || paths.some((path) => path.length === 1)) continue;
    if (typeof value !== "object" || value === null) continue;
    for (const inner of Object.keys(value)) if (!paths.some((path) => path[1] === inner)) unknown.push([key, inner]);
  }
  return unknown;
}
