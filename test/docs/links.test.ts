import { existsSync, readFileSync, readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { ROOT } from "./compat-table.js";

const pages = [
  "",
  "docs/",
  "docs/guides/",
  "docs/decisions/",
  "docs/wire/",
  "examples/",
  "examples/chat/",
  "bench/",
].flatMap((folder) =>
  readdirSync(new URL(folder || ".", ROOT))
    .filter((file) => file.endsWith(".md"))
    .map((file) => folder + file),
);

const read = (url: URL): string => readFileSync(url, "utf8").replaceAll(/```[\s\S]*?```/g, "");

/** What GitHub makes of a page's headings. */
function anchorsOf(text: string): ReadonlySet<string> {
  const slugs = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
  return new Set(slugs);
}

/** Links of a page that lead nowhere: no such file, or no such heading in it. */
function brokenLinks(text: string, page: URL): readonly string[] {
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)];
  return links.flatMap(([, path = "", anchor]) => {
    const target = path === "" ? page : new URL(path, page);
    if (!existsSync(target)) return [path];
    if (anchor === undefined || !target.pathname.endsWith(".md")) return [];
    return anchorsOf(path === "" ? text : read(target)).has(anchor) ? [] : [`${path}#${anchor}`];
  });
}

it.each(pages)("%s links only to what exists", (page) => {
  const url = new URL(page, ROOT);
  expect(brokenLinks(read(url), url)).toEqual([]);
});

it("reads the pages that users read", () => {
  expect(pages).toEqual(expect.arrayContaining(["README.md", "docs/compat.md", "docs/guides/storages.md"]));
  expect(pages).toEqual(expect.arrayContaining(["docs/scaling.md", "examples/chat/README.md"]));
});

it("notices files and headings that are missing", () => {
  const page = new URL("docs/design.md", ROOT);
  const text =
    "# Why, and how?\n[a](#why-and-how) [b](#not-here) [c](gone.md) [d](scaling.md#sizing) [e](scaling.md#gone)";
  expect(brokenLinks(text, page)).toEqual(["#not-here", "gone.md", "scaling.md#gone"]);
});
