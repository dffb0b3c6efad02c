/**
 * Sum up the reports of all test runners: `node scripts/sum-reports.mjs [failed step…]`, reports in the folder REPORTS.
 * Prints `N passed, N failed` as the last line. A missing report or a failed step without a failed test is a failure: a suite
 * that did not run has not passed. Skipped tests (a contract's case for what a driver cannot do) are told, and count for
 * neither. What failed is named once more: of a long output often only the end is kept. A test that passed
 * at its second try is named, too: it is a defect of the test or of the product.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const failedSteps = process.argv.slice(2);
const read = (name) => {
  const path = join(process.env.REPORTS, name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
};

function counts(name, text) {
  if (text === undefined) return { failed: 1, passed: 0, note: "no report" };
  if (name.endsWith(".xml")) {
    const of = (key) => Number(new RegExp(`<testsuite [^>]*\\b${key}="(\\d+)"`).exec(text)?.[1] ?? Number.NaN);
    const [failed, skipped] = [of("failures") + of("errors"), of("skipped")];
    const broken = [...text.matchAll(/<testcase ([^>]*)>\s*<(?:failure|error) message="([^"]*)"/g)];
    const failures = broken.map(([, attributes, reason]) => {
      const at = (key) => new RegExp(`\\b${key}="([^"]*)"`).exec(attributes)?.[1] ?? "";
      return { file: at("classname"), fullName: at("name"), reason };
    });
    return { failed, passed: of("tests") - failed - skipped, skipped, failures };
  }
  const {
    numPassedTests,
    numFailedTests,
    numPendingTests = 0,
    numFailedTestSuites = 0,
    testResults,
  } = JSON.parse(text);
  // A file that does not load has no tests that could fail.
  const failed = Math.max(numFailedTests, Math.min(numFailedTestSuites, 1));
  const named = (wanted) =>
    (testResults ?? []).flatMap(({ name: file, assertionResults }) =>
      assertionResults
        .filter(({ status, failureMessages }) => status === wanted && failureMessages.length > 0)
        .map(({ fullName, failureMessages }) => ({
          file: relative(".", file),
          fullName,
          reason: failureMessages.at(-1),
        })),
    );
  // Also what a file's own set-up threw.
  const unloaded = (testResults ?? [])
    .filter(({ status, message, assertionResults }) => {
      return status === "failed" && message && !assertionResults.some((one) => one.status === "failed");
    })
    .map(({ name: file, message }) => ({ file: relative(".", file), fullName: "the file", reason: message }));
  const failures = [...unloaded, ...named("failed")];
  return { failed, passed: numPassedTests, skipped: numPendingTests, retried: named("passed"), failures };
}

/** The first lines, in one. */
const told = (reason) => reason.split("\n").slice(0, 4).join(" | ").slice(0, 500);

let [passed, failed] = [0, 0];
for (const name of ["vitest.json", "python.xml", "examples.json", "browser.json"]) {
  const one = counts(name, read(name));
  const note = one.note ?? (one.skipped > 0 ? `${one.skipped} skipped` : "");
  console.log(`${name}: ${one.passed} passed, ${one.failed} failed${note && `, ${note}`}`);
  const tell = (what, { file, fullName, reason }) => console.log(`  ${what}: ${file}: ${fullName}: ${told(reason)}`);
  for (const each of one.failures ?? []) tell("FAILED", each);
  for (const each of one.retried ?? []) tell("at its second try", each);
  passed += one.passed;
  failed += one.failed;
}
if (failedSteps.length > 0) console.log(`failed steps: ${failedSteps.join(", ")}`);
failed = Math.max(failed, failedSteps.length);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
