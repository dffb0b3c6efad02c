/**
 * What comes with the package and with its development:
 *
 * - install scripts run only where `allowScripts` of package.json says so, and every package that has one is named there;
 * - a software bill of materials (CycloneDX) in `$REPORTS` or `reports/`, which names every package that production installs;
 * - no known advisory of severity high or critical against these, but those of `scripts/audit-allowlist.json`
 *   (`{"<GHSA id>": "why it does not concern us"}`). A registry that does not answer is said aloud and fails nothing, unless
 *   `AUDIT_REQUIRED` is set: whether somebody has found a hole can't depend on a network that is away.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const json = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));
const pkg = json("package.json");
const { packages } = json("package-lock.json");
const problems = [];

function npm(...args) {
  return spawnSync("npm", args, { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
}

const nameOf = (path) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

/** Packages on this disk that npm would run something of when it installs them. */
function withInstallScripts() {
  return Object.keys(packages).filter((path) => {
    if (path === "" || !existsSync(join(root, path, "package.json"))) return false;
    const { scripts = {} } = json(join(path, "package.json"));
    return (
      ["preinstall", "install", "postinstall"].some((name) => scripts[name] !== undefined) ||
      existsSync(join(root, path, "binding.gyp"))
    );
  });
}

function checkInstallScripts() {
  const found = [...new Set(withInstallScripts().map(nameOf))].toSorted((a, b) => a.localeCompare(b));
  for (const name of found) {
    if (pkg.allowScripts[name] === undefined) {
      problems.push(`${name} has an install script: say in package.json's allowScripts whether it may run`);
    }
  }
  return `install scripts of ${found.map((name) => `${name} (${pkg.allowScripts[name] ? "may run" : "kept from running"})`).join(", ")}`;
}

const DEVELOPMENT = "cdx:npm:package:development";

/** What `npm install` of this package brings. */
const production = Object.entries(packages)
  .filter(([path, entry]) => path !== "" && !entry.dev && !entry.devOptional && !entry.peer && !entry.optional)
  .map(([path, entry]) => ({ name: nameOf(path), version: entry.version }));

/** npm 11.19.1 leaves packages out with `--omit dev` that a development dependency uses too: so all, of which each says what it is for. */
function writeBillOfMaterials() {
  const folder = process.env.REPORTS ?? join(root, "reports");
  const path = join(folder, "sbom.cdx.json");
  const { stdout, stderr, status } = npm("sbom", "--sbom-format", "cyclonedx", "--package-lock-only");
  if (status !== 0) {
    problems.push(`npm sbom failed: ${stderr}`);
    return "no bill of materials";
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, stdout);
  const { bomFormat, components } = JSON.parse(readFileSync(path, "utf8"));
  if (bomFormat !== "CycloneDX") problems.push(`${path} is no CycloneDX document`);
  const shipped = components.filter(({ properties }) => !properties.some(({ name }) => name === DEVELOPMENT));
  const listed = new Set(shipped.map(({ group, name, version }) => `${group ? `${group}/` : ""}${name}@${version}`));
  for (const { name, version } of production) {
    if (!listed.has(`${name}@${version}`)) problems.push(`the bill of materials does not name ${name}@${version}`);
  }
  for (const name of Object.keys(pkg.dependencies)) {
    if (!production.some((one) => one.name === name)) problems.push(`package-lock.json has no ${name}`);
  }
  return `a bill of materials of ${components.length} packages, ${production.length} of them in production`;
}

function checkAdvisories() {
  const allowed = json("scripts/audit-allowlist.json");
  const { stdout } = npm("audit", "--omit=dev", "--json");
  let report;
  try {
    report = JSON.parse(stdout);
  } catch {
    report = {};
  }
  if (report.vulnerabilities === undefined) {
    const message = `advisories NOT CHECKED: the registry does not answer npm audit (${report.message ?? "no answer"})`;
    if (process.env.AUDIT_REQUIRED === undefined) console.warn(`\n!!! dependencies: ${message}\n`);
    else problems.push(message);
    return "advisories not checked";
  }
  const advisories = Object.values(report.vulnerabilities)
    .flatMap(({ via }) => via)
    .filter((via) => typeof via === "object");
  const seen = new Set();
  for (const { url = "", title, name, severity } of advisories) {
    const id = url.split("/").at(-1);
    seen.add(id);
    if (["high", "critical"].includes(severity) && allowed[id] === undefined) {
      problems.push(
        `${name}: ${title} (${severity}, ${id}). Update it, or say in scripts/audit-allowlist.json why it does not concern us`,
      );
    }
  }
  for (const id of Object.keys(allowed))
    if (!seen.has(id)) problems.push(`scripts/audit-allowlist.json: ${id} is over, take it out`);
  return `${seen.size} advisories`;
}

const told = [checkInstallScripts(), writeBillOfMaterials(), checkAdvisories()];
for (const problem of problems) console.error(`dependencies: ${problem}`);
if (problems.length > 0) process.exit(1);
console.log(`dependencies: ${told.join("; ")}`);
