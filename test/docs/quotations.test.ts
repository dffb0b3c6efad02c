import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkOptions, copyOptions, doctorOptions, migrateOptions, serveOptions } from "../../src/cli/flags.js";
import { ROOT } from "./compat-table.js";

const page = (path: string): string => readFileSync(new URL(path, ROOT), "utf8");
const guides = readdirSync(new URL("docs/guides/", ROOT)).map((file) => `docs/guides/${file}`);

/** All of Heddle's code as one text, with the pieces of divided strings joined. */
const code = readdirSync(new URL("src/", ROOT), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => page(`src/${file}`))
  .join("\n")
  .replaceAll(/["`] \+\s*["`]/g, "");

/** Quotations in the first column of the tables under a heading; `…` stands for what differs. */
function quoted(text: string, heading: string): readonly string[] {
  const section = text.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  return section
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => [...(line.split(" | ")[0] ?? "").matchAll(/`([^`]+)`/g)].map(([, quote = ""]) => quote));
}

const missing = (quotes: readonly string[]): readonly string[] =>
  quotes.filter((quote) => !quote.split("…").every((piece) => code.includes(piece.trim())));

describe("documents quote what Heddle says", () => {
  const text = page("docs/guides/looking-after-a-storage.md");

  it("in its log", () => {
    const lines = quoted(text, "What the log tells");
    expect(lines.length).toBeGreaterThan(8);
    expect(missing(lines)).toEqual([]);
    expect(missing(["no program says this", "run could not be … ended by nobody"])).toHaveLength(2);
  });

  it("when it explains a run", () => {
    const reasons = quoted(text, "Why does this run not run?");
    expect(reasons.length).toBeGreaterThan(3);
    // What blocks is put together of parts.
    expect(missing(reasons.map((reason) => reason.replace("run … (running)", "…")))).toEqual([]);
  });
});

it.each(["README.md", "docs/scaling.md", ...guides])("%s shows flags that the commands have", (path) => {
  const flags = { serve: serveOptions(), dev: serveOptions(), check: checkOptions(), migrate: migrateOptions() };
  const known: Readonly<Record<string, readonly { readonly long?: string | undefined }[]>> = {
    ...flags,
    copy: copyOptions(),
    doctor: doctorOptions(),
  };
  const shown = [...page(path).matchAll(/\bheddle (serve|dev|check|migrate|copy|doctor)\b([^\n`#]*)/g)];
  const wrong = shown.flatMap(([, command = "", rest = ""]) =>
    [...rest.matchAll(/--[a-z-]+/g)]
      .map(([flag]) => flag)
      .filter((flag) => !known[command]?.some(({ long }) => long === flag))
      .map((flag) => `heddle ${command} ${flag}`),
  );
  expect(wrong).toEqual([]);
});
