import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { createProgress } from "../../src/cli/progress.js";

function open(isTTY: boolean) {
  let at = 0;
  let text = "";
  const stream = { isTTY, write: (more: string) => (text += more) };
  const progress = createProgress(stream, () => at);
  return { progress, written: () => text, pass: (ms: number) => (at += ms) };
}

describe("progress on a terminal", () => {
  /** What stands in the line now and in those above. */
  const shown = (text: string): readonly string[] =>
    text.split("\n").map((line) => stripVTControlCharacters(line.split("\r").at(-1) ?? ""));

  it("is a bar that is redrawn in place, ten times a second at most", () => {
    const { progress, written, pass } = open(true);
    progress.update("copying checkpoints", 0, 4);
    expect(shown(written())).toEqual([`  copying checkpoints          ${"░".repeat(30)}   0 %  0 of 4`]);
    pass(99);
    progress.update("copying checkpoints", 1, 4);
    expect(written().split("\r")).toHaveLength(2);
    pass(1);
    progress.update("copying checkpoints", 2, 4);
    expect(written()).not.toContain("\n");
    const half = `${"█".repeat(15)}${"░".repeat(15)}  50 %  2 of 4`;
    expect(shown(written())).toEqual([`  copying checkpoints          ${half}`]);
    progress.update("copying checkpoints", 4, 4);
    progress.end();
    expect(shown(written())).toEqual([`  copying checkpoints          ${"█".repeat(30)} 100 %  4 of 4`, ""]);
  });

  it("leaves the end of one step standing above the next", () => {
    const { progress, written } = open(true);
    progress.update("copying threads", 1, null);
    progress.update("copying threads", 7, null);
    progress.update("copying runs", 3, null);
    progress.end();
    expect(shown(written())).toEqual(["  copying threads              7", "  copying runs                 3", ""]);
  });

  it("fills up when there is nothing, and no further than full", () => {
    const { progress, written } = open(true);
    progress.update("a", 0, 0);
    progress.update("b", 5, 4);
    progress.end();
    expect(shown(written()).map((line) => /█+ 100 %/.test(line) && line.includes("█".repeat(31)))).toEqual([
      false,
      false,
      false,
    ]);
    expect(
      shown(written())
        .slice(0, 2)
        .every((line) => line.includes(`${"█".repeat(30)} 100 %`)),
    ).toBe(true);
  });
});

describe("progress elsewhere", () => {
  it("is a line every five seconds, and one at the end of each step, without control characters", () => {
    const { progress, written, pass } = open(false);
    progress.update("copying threads", 1, null);
    pass(4_999);
    progress.update("copying threads", 2, null);
    expect(written()).toBe("");
    pass(1);
    progress.update("copying threads", 3, null);
    progress.update("copying threads", 4, null);
    progress.update("comparing checkpoints", 1, 2);
    progress.update("comparing checkpoints", 2, 2);
    progress.end();
    progress.end();
    expect(written()).toBe(
      ["copying threads              3", "copying threads              4", "comparing checkpoints        2 of 2"]
        .map((line) => `  ${line}\n`)
        .join(""),
    );
  });
});
