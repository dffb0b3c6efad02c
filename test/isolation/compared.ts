import { expect } from "vitest";
import type { Answer } from "./served.js";
import { type Ids, SECRET } from "./things.js";

/** What an answer says, without what is never the same twice: compared between what is hidden and what is missing. */
export interface Said {
  readonly status: number;
  readonly headers: readonly string[];
  readonly text: string;
}

/** The status of an answer; of a command that was carried out or refused, how. */
export function outcomeOf({ status, text }: Pick<Answer, "status" | "text">): number | string {
  const frame = /^\{"type":"(?:(success)|error","id":\w+,"error":"(\w+))"/.exec(text);
  return frame?.[1] ?? frame?.[2] ?? status;
}

/** Headers that say nothing of the things: ids of the request, and the time. */
const NOISE: ReadonlySet<string> = new Set(["x-request-id", "date", "traceparent"]);

/** @param plain see {@link plainer}; of this answer alone */
export function saidOf({ status, headers, text }: Answer, plain: (text: string) => string): Said {
  const kept = headers.filter(([name]) => !NOISE.has(name));
  return { status, headers: kept.map(([name, value]) => `${name}: ${plain(value)}`).toSorted(), text: plain(text) };
}

/**
 * What makes texts comparable: ids by the order in which they come, times and names by their kind.
 * @param names of users, which become one
 */
export function plainer(names: readonly string[]): () => (text: string) => string {
  const named = names.length === 0 ? null : new RegExp(`\\b(?:${names.join("|")})\\b`, "g");
  return () => {
    const ids = new Map<string, string>();
    const numbered = (id: string): string => {
      const known = ids.get(id) ?? `<id ${ids.size + 1}>`;
      ids.set(id, known);
      return known;
    };
    return (text) => {
      const plain = text
        .replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}|\b[\da-f]{32}\b/g, numbered)
        .replaceAll(/\bwh_(?:[\da-f]{24}|[\da-f]{32})\b/g, numbered)
        .replaceAll(/("uptime_seconds":)\d+/g, "$1<seconds>")
        .replaceAll(/("subscription_id":"[^".]+\.)\w+/g, "$1<random>")
        .replaceAll(/hdt_[\w-]{43}/g, "<ticket>")
        .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
        .replaceAll(/\b1\d{12}\b/g, "<ms>")
        // How far a run is that one has just started oneself: on its thread it is one's own to know.
        .replaceAll(/("result":\{"run_id":.*"applied_through_seq":)\d+/g, "$1<seq>");
      return named === null ? plain : plain.replaceAll(named, "<name>");
    };
  };
}

/** Nothing of the owner's is in an answer but what the request itself has said. */
export function expectNothingOf(ids: Ids, sent: unknown, answer: string, what: string): void {
  const said = JSON.stringify(sent);
  const told = [SECRET, ...Object.values(ids).flat()].filter(
    (thing: string) => (thing === SECRET || thing.length >= 32) && !said.includes(thing) && answer.includes(thing),
  );
  expect({ what, told }).toEqual({ what, told: [] });
}

export const wholeOf = ({ headers, text }: Answer): string => `${JSON.stringify(headers)}${text}`;
