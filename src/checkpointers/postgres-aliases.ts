import type { Checkpoint } from "@langchain/langgraph-checkpoint";
import { randomInt } from "node:crypto";
import { fromJsonb } from "../databases/postgres/storable.js";
import { setOwn } from "./stored-checkpoint.js";

export type Version = string | number;

/**
 * Channel versions that are stored under another name than the one the writing graph knows.
 *
 * The stock tables keep one value per thread, namespace, channel and version, but LangGraph's versions are counters that
 * repeat: two forks of a checkpoint, or a rolled back run and the next one, give one version to two values. The stock saver
 * (1.0.5, `ON CONFLICT … DO NOTHING`) then reads the first value for both. Here the second one is stored under a version of
 * its own, in `channel_versions` and `versions_seen` alike: every reader of the tables finds it, and no node runs again.
 * The graph that put it goes on with the version that it knows, so the checkpoint says under {@link ALIASES_KEY} what the
 * next one has to change. Graphs on this saver hardly ever need it: {@link nextVersion} does not repeat.
 */
export type Aliases = ReadonlyMap<string, readonly [said: Version, stored: Version]>;

/** In the stored checkpoint, beside LangGraph's keys. */
export const ALIASES_KEY = "__heddle_aliases";

const FRACTIONS = 1_000_000;

/**
 * A number that grows as LangGraph's versions do (the next whole number), with a random fraction: forks don't repeat it. The
 * stock saver goes on from it by adding 1. LangGraph for Python does the same, with strings.
 */
export function nextVersion(current: number | undefined): number {
  return withFraction(Math.floor(current ?? 0) + 1);
}

/** Another version at the same place of the order: after all that a node has seen before, before the next one. */
export function aliasOf(version: Version): Version {
  return typeof version === "number" ? withFraction(Math.floor(version)) : `${version}~${randomInt(FRACTIONS)}`;
}

/** What a version and its aliases have in common, as text: of a number the whole part, of a string what precedes `.` and `~`. */
export function versionCounter(version: Version): string {
  return /^[^.~]*/.exec(String(version))?.[0] ?? "";
}

function withFraction(whole: number): number {
  return Number((whole + randomInt(1, FRACTIONS) / FRACTIONS).toFixed(6));
}

/** A checkpoint as it is stored: without values, which have a table of their own. */
export function aliased(checkpoint: Checkpoint, aliases: Aliases): Record<string, unknown> {
  const { v, id, ts, channel_versions, versions_seen } = checkpoint;
  const stored = { v, id, ts, channel_versions: channel_versions ?? {}, versions_seen: versions_seen ?? {} };
  if (aliases.size === 0) return stored;
  const rename = (versions: Readonly<Record<string, Version>>): Record<string, Version> => {
    const renamed: Record<string, Version> = {};
    for (const [channel, version] of Object.entries(versions)) {
      const alias = aliases.get(channel);
      setOwn(renamed, channel, alias?.[0] === version ? alias[1] : version);
    }
    return renamed;
  };
  const seen: Record<string, unknown> = {};
  for (const [node, versions] of Object.entries(stored.versions_seen)) setOwn(seen, node, rename(versions));
  return {
    ...stored,
    channel_versions: rename(stored.channel_versions),
    versions_seen: seen,
    [ALIASES_KEY]: Object.fromEntries(aliases),
  };
}

/** What a parent says under {@link ALIASES_KEY}. */
export function readAliases(json: string | null): Aliases {
  if (json === null) return new Map();
  return new Map(Object.entries(fromJsonb(json) as Readonly<Record<string, readonly [Version, Version]>>));
}
