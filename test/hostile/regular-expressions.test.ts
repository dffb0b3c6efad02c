import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { createCors } from "../../src/http/middleware/cors.js";
import { parseBody } from "../../src/wire/json.js";
import { readQuery } from "../../src/wire/query.js";

const SRC = join(import.meta.dirname, "../../src");
/** Long enough that a quadratic expression takes seconds, and a linear one no time. */
const LENGTH = 30_000;
const MAX_MS = 250;

/** Programs for who runs the server read what he wrote himself. */
const OF_THE_DEPLOYER = /^(?:cli|config|engine\/loading|maintenance|testing|ui)\//;

interface Expression {
  readonly where: string;
  readonly regexp: RegExp;
}

/** Every regular expression that is written down in the code that sees requests. */
function expressions(): Expression[] {
  const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  return files
    .filter((name) => !OF_THE_DEPLOYER.test(name))
    .flatMap((name) => {
      const path = join(SRC, name);
      const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
      const found: Expression[] = [];
      const visit = (node: ts.Node): void => {
        if (ts.isRegularExpressionLiteral(node)) {
          const end = node.text.lastIndexOf("/");
          const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
          const regexp = new RegExp(node.text.slice(1, end), node.text.slice(end + 1));
          found.push({ where: `${relative(SRC, path)}:${line} ${node.text}`, regexp });
        }
        ts.forEachChild(node, visit);
      };
      visit(source);
      return found;
    });
}

/** Repetitions of what the expression itself is made of, which almost match. */
function attacks({ source }: RegExp): string[] {
  const literals = [...new Set(source.replaceAll(/\\[a-zA-Z]|\(\?[:=!<]+/g, ""))].filter(
    (one) => !"()[]{}?*+|^$".includes(one),
  );
  const units = new Set([
    ...Array.from("a0 -_./\\:\"'=,;%*#|\t\n\u0000\u00e9"),
    "aA",
    "a.",
    "a/",
    "\\\\",
    "\\u0000",
    "a ",
    "0.",
    ...literals,
  ]);
  return [...units].flatMap((unit) => {
    const long = unit.repeat(Math.ceil(LENGTH / unit.length));
    return [long, `${long}!`, `"${long}\u0001`];
  });
}

function milliseconds(work: () => unknown): number {
  const startedAt = performance.now();
  work();
  return performance.now() - startedAt;
}

/** The best of three, when the first was slow: the machine may have been busy. */
function slowness(work: () => unknown): number {
  const first = milliseconds(work);
  return first <= MAX_MS ? first : Math.min(first, milliseconds(work), milliseconds(work));
}

describe("no text keeps the server busy", () => {
  const all = expressions();

  test("every regular expression of the code that sees requests takes time in proportion", () => {
    expect(all.length).toBeGreaterThan(40);
    const slow = all.flatMap(({ where, regexp }) =>
      attacks(regexp).flatMap((text) => {
        const ms = slowness(() => text.replace(regexp, ""));
        return ms > MAX_MS ? [`${where} on ${JSON.stringify(text.slice(0, 6))}…: ${Math.round(ms)} ms`] : [];
      }),
    );
    expect(slow).toEqual([]);
  });

  test("the measure finds an expression that tries again at every place", () => {
    const regexp = /\s+as\s+/;
    const [text = ""] = [attacks(regexp).find((attack) => attack.trim() === "")];
    expect(milliseconds(() => text.replace(regexp, ""))).toBeGreaterThan(MAX_MS);
  });

  test("bodies of escapes, queries of separators, origins", () => {
    const million = 1_000_000;
    for (const inner of [
      "\\\\".repeat(million),
      "\\u0000".repeat(million / 5),
      "\\u0000\\\\".repeat(million / 8),
      "{".repeat(200),
    ]) {
      expect(milliseconds(() => parseBody(JSON.stringify(inner).replaceAll("\\\\u0000", "\\u0000")))).toBeLessThan(
        2_000,
      );
    }
    for (const search of [
      "&".repeat(million),
      "a=".repeat(million),
      "%".repeat(million),
      "+".repeat(million),
      "a&".repeat(million),
    ]) {
      expect(milliseconds(() => readQuery(search))).toBeLessThan(4_000);
    }
    const cors = createCors({
      allowOrigins: [],
      allowOriginRegex: /^(?:https:\/\/(?:[a-z0-9-]+\.)*example\.com)$/,
      allowMethods: ["GET"],
      allowHeaders: null,
      allowCredentials: true,
      exposeHeaders: [],
      maxAgeSeconds: null,
    });
    expect(milliseconds(() => cors.allows(`https://${"a.".repeat(8_000)}`))).toBeLessThan(MAX_MS);
    expect([cors.allows("https://x.example.com"), cors.allows("https://x.example.com.evil.org")]).toEqual([
      true,
      false,
    ]);
  });
});
