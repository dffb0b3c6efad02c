import { existsSync, readFileSync, readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { ROOT } from "./compat-table.js";

const pages = ["", "docs/", "docs/guides/", "docs/decisions/", "docs/wire/", "examples/", "bench/"].flatMap((folder) =>
  readdirSync(new URL(folder || ".", ROOT))
    .filter((file) => file.endsWith(".md"))
    .map((file) => folder + file),
);

it.each(pages)("%s links only to what exists", (page) => {
  const text = readFileSync(new URL(page, ROOT), "utf8").replaceAll(/```[\s\S]*?```/g, "");
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, path = ""]) => path);
  expect(links.filter((path) => !existsSync(new URL(path, new URL(page, ROOT))))).toEqual([]);
});

it("reads the pages that users read", () => {
  expect(pages).toEqual(expect.arrayContaining(["README.md", "docs/compat.md", "docs/guides/storages.md"]));
});
