/**
 * Build `dist/` with plain tsc.
 *
 *     node scripts/build.mjs              build
 *     node scripts/build.mjs --if-stale   build only when a source is newer than the last build
 *
 * After tsc: the files of the offline `/docs` page are copied to `dist/http/docs/`, the bin is made executable, and
 * `package.json#exports` is compared with what was built, both ways. A difference fails the build.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const stamp = join(dist, "index.js");
const pkg = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** What the `/docs` page needs without a network. */
const docsAssets = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "LICENSE", "NOTICE"];

function isStale() {
  const targets = [...exportedFiles(), ...Object.values(pkg.bin), "dist/http/docs/swagger-ui.css"];
  if (targets.some((file) => !existsSync(join(root, file)))) return true;
  const built = statSync(stamp).mtimeMs;
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
  rmSync(dist, { recursive: true, force: true });
  const tsc = createRequire(import.meta.url).resolve("typescript/lib/tsc.js");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

function copyDocsAssets() {
  const from = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
  mkdirSync(join(dist, "http/docs"), { recursive: true });
  for (const name of docsAssets) copyFileSync(join(from, name), join(dist, "http/docs", name));
}

/**
 * Entries are `dist/index.js` and every `dist/<folder>/index.js` whose source says `@public-entry`; each must be exported,
 * and each export must exist.
 */
function compareExports() {
  const problems = exportedFiles()
    .filter((file) => !existsSync(join(root, file)))
    .map((file) => `not built: ${file}`);
  const exported = new Set(exportedFiles());
  for (const source of readdirSync(join(root, "src"), { recursive: true }).filter((file) =>
    file.endsWith("index.ts"),
  )) {
    const isEntry = source === "index.ts" || readFileSync(join(root, "src", source), "utf8").includes("@public-entry");
    const built = `./dist/${source.replace(/\.ts$/, ".js").replaceAll("\\", "/")}`;
    if (isEntry && !exported.has(built)) problems.push(`not in package.json#exports: ${built}`);
    if (!isEntry && exported.has(built)) problems.push(`exported, but its source lacks @public-entry: src/${source}`);
  }
  for (const file of Object.values(pkg.bin)) {
    if (!existsSync(join(root, file))) problems.push(`bin not built: ${file}`);
    else if (!readFileSync(join(root, file), "utf8").startsWith("#!")) problems.push(`bin without #! line: ${file}`);
    else chmodSync(join(root, file), 0o755);
  }
  return problems;
}

if (!process.argv.includes("--if-stale") || isStale()) {
  compile();
  copyDocsAssets();
  const problems = compareExports();
  for (const problem of problems) console.error(`build: ${problem}`);
  if (problems.length > 0) {
    // Without the stamp the next --if-stale builds again.
    rmSync(stamp, { force: true });
    process.exit(1);
  }
}
