import { expect } from "vitest";
import type { Moment } from "./chat-page.js";

/** What the scripted model answers to “Count to …”. */
export function counting(count: number): string {
  return `${Array.from({ length: count }, (_, index) => index + 1).join(" ")} – done.`;
}

/** The last answer was shown in pieces, each the beginning of the whole and longer than the one before. */
export function expectOnlyGrowth(moments: readonly Moment[], whole: string): void {
  const answers = moments.map(({ answer }) => answer);
  const pieces = answers.filter((text, index) => text !== "" && text !== answers[index - 1]);
  expect(pieces.length).toBeGreaterThan(2);
  expect(pieces.filter((piece) => !whole.startsWith(piece.trimEnd()))).toEqual([]);
  expect(pieces.filter((piece, index) => piece.length < (pieces[index - 1]?.length ?? 0))).toEqual([]);
}
