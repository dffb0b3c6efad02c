import { createEmbedder } from "../../../src/embeddings/create-embedder.js";
import type { ItemIndex } from "../../../src/embeddings/indexed-items.js";
import { toTextModel } from "../../../src/embeddings/text-model.js";
import { parseTextPath } from "../../../src/core/item-text.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

/** How often each letter occurs: texts of the same letters are near. */
export function letters(text: string): number[] {
  const counts = Array.from({ length: 26 }, () => 0);
  for (const letter of text.toLowerCase()) {
    const at = (letter.codePointAt(0) ?? 0) - 97;
    if (at >= 0 && at < 26) counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}

export interface Heard {
  readonly calls: string[][];
  /** Texts that the model refuses. */
  readonly refused: Set<string>;
}

/** An index by letters, that notes what it was asked. */
export function letterIndex(fields: readonly string[], fingerprint = "letters"): ItemIndex & Heard {
  const calls: string[][] = [];
  const refused = new Set<string>();
  const embed = async (texts: string[]) => {
    calls.push(texts);
    const bad = texts.find((text) => refused.has(text));
    if (bad !== undefined) throw new Error(`refused ${bad}`);
    return texts.map(letters);
  };
  return {
    calls,
    refused,
    fingerprint,
    fields: fields.map((text) => {
      const path = parseTextPath(text);
      if ("problem" in path) throw new Error(path.problem);
      return path;
    }),
    embedder: createEmbedder(toTextModel(embed, "embed"), {
      dims: 26,
      maxTexts: 96,
      concurrency: 4,
      timeoutMs: 1_000,
      clock: fakeClock(),
    }),
  };
}
