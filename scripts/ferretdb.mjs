/**
 * Builds the MongoDB-compatible server of the tests (test/support/ferretdb) once, and prints the path of its binary.
 *
 *   node scripts/ferretdb.mjs            build it unless it is there
 *   node scripts/ferretdb.mjs --if-built print the path only if nothing needs to be built
 *
 * Needs Go 1.22 or newer and Go's module proxy, the first time (90 s on two cores). Exits with 3 when Go is not there.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const source = join(root, "test/support/ferretdb");
const binary = join(root, "node_modules/.cache/heddle/ferretdb", `ferretdb-${sourceHash()}`);

if (!existsSync(binary)) {
  if (process.argv.includes("--if-built")) process.exit(3);
  build();
}
console.log(binary);

function sourceHash() {
  const hash = createHash("sha256");
  const names = readdirSync(source).filter((name) => /\.(go|mod|sum)$/.test(name));
  for (const name of names.sort()) hash.update(name).update(readFileSync(join(source, name)));
  return hash.digest("hex").slice(0, 12);
}

function build() {
  const go = ["go", "/usr/local/go/bin/go"].find((command) => spawnSync(command, ["version"]).status === 0);
  if (go === undefined) {
    console.error("Go is not installed");
    process.exit(3);
  }
  console.error("Building FerretDB 1.24 (once, some 90 s)…");
  mkdirSync(join(binary, ".."), { recursive: true });
  const unfinished = `${binary}.${process.pid}`;
  const args = ["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", unfinished, "."];
  const { status } = spawnSync(go, args, { cwd: source, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(1);
  renameSync(unfinished, binary);
}
