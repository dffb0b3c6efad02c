/**
 * Check what `npm publish` would ship:
 *
 * 1. publint and are-the-types-wrong (ESM only: `require` of an ESM package is Node's business since 22.12);
 * 2. the packed files are those of the allowlist, nothing less and nothing more;
 * 3. `import "heddle"` loads no database client; the detector is first shown one that it must find.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "..");
const pkg = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const problems = [];

const allowed = [
  /^package\.json$/,
  /^(README|LICENSE|CHANGELOG)(\.md)?$/,
  /^dist\/[\w/.-]+\.(js|js\.map|d\.ts)$/,
  /^dist\/http\/docs\/(swagger-ui\.css|favicon-32x32\.png|LICENSE|NOTICE)$/,
];
const required = [
  "package.json",
  "README.md",
  "LICENSE",
  ...Object.values(pkg.bin),
  ...Object.values(pkg.exports).flatMap((entry) => (typeof entry === "string" ? [entry] : Object.values(entry))),
].map((file) => file.replace(/^\.\//, ""));

const databaseClients = /\/node_modules\/(better-sqlite3|pg|mongodb|ioredis|bullmq)\//;

function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  if (status !== 0) problems.push(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`);
  return stdout;
}

function checkContents() {
  const [{ files }] = JSON.parse(run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"]));
  const paths = files.map(({ path }) => path);
  for (const path of paths) if (!allowed.some((pattern) => pattern.test(path))) problems.push(`must not ship: ${path}`);
  for (const path of required) if (!paths.includes(path)) problems.push(`does not ship: ${path}`);
  return paths.length;
}

/** The database clients that running `source` as a module loads. */
function clientsLoadedBy(source) {
  const detector = `
    import { registerHooks } from "node:module";
    const loaded = new Set();
    registerHooks({ load(url, context, next) { loaded.add(url); return next(url, context); } });
    process.on("exit", () => console.log(JSON.stringify([...loaded])));
    await import(${JSON.stringify(`data:text/javascript,${encodeURIComponent(source)}`)});`;
  const lines = run(process.execPath, ["--input-type=module", "--eval", detector]).trim().split("\n");
  return JSON.parse(lines.at(-1) || "[]").filter((url) => databaseClients.test(url));
}

run("publint", ["run", ".", "--strict"]);
run("attw", ["--pack", ".", "--profile", "esm-only", "--no-emoji"]);
const shipped = checkContents();
const entry = pathToFileURL(join(root, pkg.exports["."].default)).href;
const client = pathToFileURL(join(root, "node_modules/better-sqlite3/lib/index.js")).href;
if (clientsLoadedBy(`import "${entry}"; import "${client}";`).length === 0) {
  problems.push("the detector of loaded database clients finds none where there is one");
}
for (const url of clientsLoadedBy(`import "${entry}";`)) problems.push(`import "${pkg.name}" loads ${url}`);

for (const problem of problems) console.error(`package: ${problem}`);
if (problems.length > 0) process.exit(1);
console.log(`package: ${shipped} files, types right, import "${pkg.name}" loads no database client`);
