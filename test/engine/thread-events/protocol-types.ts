import type { Event } from "@langchain/protocol";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import ts from "typescript";
import type { JsonValue } from "../../../src/core/json.js";
import { parseThreadEvent } from "../../../src/core/thread-event.js";
import type { Frame } from "../harness.js";

/** A thread's event as it is on the wire; what it is allowed to be is for {@link typeErrors} to say. */
export function wireFrames(events: readonly Frame[]): readonly JsonValue[] {
  return events.map(({ event, data }, seq) => ({
    type: "event" satisfies Event["type"],
    event_id: String(seq + 1),
    seq: seq + 1,
    method: parseThreadEvent(event).method,
    params: data,
  }));
}

/**
 * Let TypeScript's compiler assign each frame to the protocol's own `Event`.
 * @returns its complaints, each with the frame that it is about
 */
export async function typeErrors(frames: readonly JsonValue[]): Promise<readonly string[]> {
  const lines = ['import type { Event } from "@langchain/protocol";'];
  // By its type, not as a literal: members that the protocol does not name are allowed.
  frames.forEach((frame, at) => lines.push(`export const frame${at}: Event = null! as ${typeOf(frame)};`));
  // Inside the project, so that the protocol's package is found.
  const directory = await mkdtemp(join(import.meta.dirname, ".frames-"));
  try {
    const file = join(directory, "frames.ts");
    await writeFile(file, lines.join("\n"));
    const program = ts.createProgram([file], {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: [],
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
    });
    const source = program.getSourceFiles().find(({ fileName }) => fileName.endsWith("frames.ts"));
    return ts.getPreEmitDiagnostics(program, source).map(({ messageText, start }) => {
      const line = source === undefined ? 0 : source.getLineAndCharacterOfPosition(start ?? 0).line;
      return `${ts.flattenDiagnosticMessageText(messageText, "\n")}\n${JSON.stringify(frames[line - 1])}`;
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function typeOf(value: JsonValue | undefined): string {
  if (Array.isArray(value)) return `[${value.map((item: JsonValue) => typeOf(item)).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${typeOf(item)}`);
  return `{ ${members.join("; ")} }`;
}
