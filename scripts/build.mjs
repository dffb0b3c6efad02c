/**
 * Build `dist/` with plain tsc.
 *
 *     node scripts/build.mjs              build
 *     node scripts/build.mjs --if-stale   build only when a source is newer than the last build
 *
 * After tsc: the files of the offline `/docs` page are copied to `dist/http/docs/`, the bin is made executable, and
 * `package.json#exports` is compared with the sources' public entries, both ways. A difference fails the build and leaves
 * the last one in place.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
/** Beside `dist/`, so that the relative paths in source maps stay right. */
const staging = join(root, `.dist-${process.pid}`);
const pkg = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** What the `/docs` page needs without a network. */
const docsAssets = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "LICENSE", "NOTICE"];

function isStale() {
  const targets = [...exportedFiles(), ...Object.values(pkg.bin), "dist/http/docs/swagger-ui.css"];
  if (targets.some((file) => !existsSync(join(root, file)))) return true;
  const built = statSync(join(dist, "index.js")).mtimeMs;
  const inputs = ["package.json", "tsconfig.json", "tsconfig.build.json", "scripts/build.mjs"].concat(
    readdirSync(join(root, "src"), { recursive: true }).map((file) => join("src", file)),
  );
  return inputs.some((file) => statSync(join(root, file)).mtimeMs > built);
}

function exportedFiles() {
  return Object.values(pkg.exports)
    .flatMap((entry) => (typeof entry === "string" ? [entry] : Object.values(entry)))
    .filter((file) => file.startsWith("./dist/"));
}

function compile() {
  const tsc = createRequire(import.meta.url).resolve("typescript/lib/tsc.js");
  const args = [tsc, "-p", "tsconfig.build.json", "--outDir", staging];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error("build: tsc found errors");
}

/** Swap the finished build in: whoever runs `dist/` meanwhile never sees half of it. */
function publish() {
  const old = `${staging}-old`;
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(staging, dist);
  rmSync(old, { recursive: true, force: true });
}

function copyDocsAssets() {
  const from = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
  mkdirSync(join(staging, "http/docs"), { recursive: true });
  for (const name of docsAssets) copyFileSync(join(from, name), join(staging, "http/docs", name));
}

/** An `index.ts` whose head says `@module heddle/<name>` is a public entry: those and `package.json#exports` must agree. */
function compareExports() {
  const problems = exportedFiles()
    .filter((file) => !existsSync(join(staging, file.slice("./dist/".length))))
    .map((file) => `not built: ${file}`);
  const exported = new Map(
    Object.entries(pkg.exports)
      .filter(([, entry]) => typeof entry === "object")
      .map(([key, entry]) => [entry.default, key.replace(/^\./, pkg.name)]),
  );
  const sources = readdirSync(join(root, "src"), { recursive: true }).filter((file) => /(^|\/)index\.ts$/.test(file));
  for (const source of sources) {
    const built = `./dist/${source.replace(/\.ts$/, ".js")}`;
    const [, declared] = /@module (heddle\S*)/.exec(readFileSync(join(root, "src", source), "utf8")) ?? [];
    if (exported.get(built) === declared) continue;
    problems.push(
      `src/${source} says @module ${declared ?? "nothing"}, package.json#exports has it as ${exported.get(built) ?? "nothing"}`,
    );
  }
  for (const file of Object.values(pkg.bin)) {
    const built = join(staging, file.slice("dist/".length));
    if (!existsSync(built)) problems.push(`bin not built: ${file}`);
    else if (!readFileSync(built, "utf8").startsWith("#!")) problems.push(`bin without #! line: ${file}`);
    else chmodSync(built, 0o755);
  }
  return problems;
}

if (!process.argv.includes("--if-stale") || isStale()) {
  try {
    compile();
    copyDocsAssets();
    const problems = compareExports();
    for (const problem of problems) console.error(`build: ${problem}`);
    if (problems.length > 0) process.exitCode = 1;
    else publish();
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
