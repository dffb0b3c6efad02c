import { expect } from "vitest";

/** What the scripted model answers to “Count to …”. */
export function counting(count: number): string {
  return `${Array.from({ length: count }, (_, index) => index + 1).join(" ")} – done.`;
}

/** An answer was shown in pieces, each the beginning of the whole and longer than the one before. */
export function expectOnlyGrowth(texts: readonly string[], whole: string): void {
  const pieces = texts.filter((text) => text !== "");
  expect(pieces.length).toBeGreaterThan(5);
  expect(pieces.filter((piece) => !whole.startsWith(piece.trimEnd()))).toEqual([]);
  expect(pieces.filter((piece, index) => piece.length < (pieces[index - 1]?.length ?? 0))).toEqual([]);
}
