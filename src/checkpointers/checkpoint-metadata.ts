import type { CheckpointMetadata } from "@langchain/langgraph-checkpoint";
import type { JsonObject } from "../core/json.js";
import { jsonContains } from "../core/metadata-filter.js";
import type { CheckpointSerde } from "./serde.js";

/** What LangGraph itself writes; it differs from checkpoint to checkpoint. */
const STEP_KEYS: ReadonlySet<string> = new Set([
  "source",
  "step",
  "parents",
  "counters_since_delta_snapshot",
  "delta_writes_versioned",
]);

/** Metadata in two parts, so that what a run's checkpoints have in common can be kept once. */
export function splitMetadata(metadata: CheckpointMetadata): {
  readonly step: Record<string, unknown>;
  readonly run: Record<string, unknown>;
} {
  const step: Record<string, unknown> = {};
  const run: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (STEP_KEYS.has(key)) step[key] = value;
    else Object.defineProperty(run, key, { value, writable: true, enumerable: true, configurable: true });
  }
  return { step, run };
}

/** The run that wrote a checkpoint. */
export function runIdOf(metadata: object): string | undefined {
  const runId = (metadata as { readonly run_id?: unknown }).run_id;
  return typeof runId === "string" ? runId : undefined;
}

/**
 * JSON of metadata. It is plain: clients send it, so nothing in it is ever revived as an object of LangChain.
 * What `JSON.stringify` refuses is written as the stock serializer does.
 */
export function metadataText(serde: CheckpointSerde, metadata: object): string {
  try {
    return JSON.stringify(metadata);
  } catch {
    return serde.encodeText(metadata);
  }
}

/** Read metadata that was kept in one or more parts; later parts win. */
export function readMetadata(...texts: readonly string[]): CheckpointMetadata {
  const [first = "{}", ...rest] = texts;
  const metadata = JSON.parse(first) as CheckpointMetadata;
  for (const text of rest) if (text !== "{}") Object.assign(metadata, JSON.parse(text));
  return metadata;
}

/**
 * Whether metadata passes a filter: JSON containment, as `@>` of PostgresSaver, in every saver of ours (core/metadata-filter).
 * Keys with dots are plain keys.
 */
export function matchesFilter(metadata: object, filter: Readonly<Record<string, unknown>> | undefined): boolean {
  return filter === undefined || jsonContains(metadata as JsonObject, filter as JsonObject);
}

/**
 * Whether a checkpoint's text of step metadata says that a DeltaChannel of it is rebuilt from the writes of its ancestors.
 */
export function isDelta(stepText: string): boolean {
  return stepText.includes('"counters_since_delta_snapshot"') || stepText.includes('"delta_writes_versioned"');
}

/**
 * Of the checkpoints of one thread and namespace, the ids that may go with a run. None when a survivor is rebuilt from
 * one of them (docs/wire/langgraph-api.md §2.9.2: no checkpoint removal for graphs with delta channels).
 */
export function removableIds(
  rows: readonly {
    readonly id: string;
    readonly parentId: string | undefined;
    readonly delta: boolean;
    readonly doomed: boolean;
  }[],
): ReadonlySet<string> {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const doomed = new Set(rows.filter((row) => row.doomed).map(({ id }) => id));
  const safe = new Set<string>();
  for (const row of rows) {
    if (row.doomed || !row.delta) continue;
    for (
      let at = byId.get(row.parentId ?? "");
      at !== undefined && !safe.has(at.id);
      at = byId.get(at.parentId ?? "")
    ) {
      if (at.doomed) return new Set();
      safe.add(at.id);
    }
  }
  return doomed;
}
