import { existsSync, readFileSync } from "node:fs";

export const ROOT = new URL("../../", import.meta.url);

/** A row of docs/compat.md. */
export interface CompatRow {
  /** Heading of its table: `Endpoints`, `Fields/RunCreate`, `Fields/Queries`, `langgraph.json`, `Environment variables`. */
  readonly table: string;
  /** What it is about: the endpoint, field, key or variable; of queries `GET /path field`. */
  readonly name: string;
  readonly verdict: string;
  readonly note: string;
  /** `file: name of the test`, or empty. */
  readonly test: string;
}

/** All rows of a page written like docs/compat.md. */
export function readCompat(markdown: string): readonly CompatRow[] {
  const rows: CompatRow[] = [];
  let section = "";
  let table = "";
  for (const line of markdown.split("\n")) {
    const heading = /^(##+) (.+)$/.exec(line);
    if (heading !== null) {
      const title = (heading[2] ?? "").replaceAll("`", "");
      if (heading[1] === "##") section = table = title;
      else table = `${section}/${title}`;
    }
    if (!/^\| [`a-z]/.test(line)) continue;
    const cells = line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) =>
        cell
          .trim()
          .replace(/^`(.*)`$/, "$1")
          .replaceAll("\\|", "|"),
      );
    const test = cells.pop() ?? "";
    const note = cells.pop() ?? "";
    const verdict = cells.pop() ?? "";
    rows.push({ table, name: cells.join(" "), verdict, note, test });
  }
  return rows;
}

/** Why a row's test shows nothing, or `null`. */
export function testProblem(test: string): string | null {
  const [, file = "", name = ""] = /^(test\/[\w./-]+): (.+)$/.exec(test) ?? [];
  if (file === "") return `"${test}" is not of the form "test/file: name"`;
  const path = new URL(file, ROOT);
  if (!existsSync(path)) return `there is no ${file}`;
  const source = readFileSync(path, "utf8");
  if (file.endsWith(".py")) {
    const found = new RegExp(`((?:^@.*\\n(?:^[ )].*\\n)*)*)^def ${name}\\(`, "m").exec(source);
    if (found === null) return `${file} has no test ${name}`;
    return /skip|xfail/.test(found[1] ?? "") ? `${name} is skipped` : null;
  }
  // The name as a string, after `it` or `test` with whatever makes cases of it, within one statement.
  const quoted = ['"', "'", "`"].map((quote) => source.indexOf(quote + name + quote)).find((index) => index >= 0);
  if (quoted === undefined) return `${file} has no test "${name}"`;
  const [, how] = /\b(?:it|test)((?:\.\w+)*)\((?:(?!\b(?:it|test)[.(])[^;])*$/.exec(source.slice(0, quoted)) ?? [];
  if (how === undefined) return `${file}: "${name}" is not the name of a test`;
  return /skip|todo|fails/.test(how) ? `"${name}" is skipped` : null;
}
