/**
 * Sum up the reports of all test runners: `node scripts/sum-reports.mjs <failed steps>`, reports in the folder REPORTS.
 * Prints `N passed, N failed` as the last line. A missing report or a failed step without a failed test is a failure: a suite
 * that did not run has not passed. Skipped tests (a contract's case for what a driver cannot do) are told, and count for
 * neither. A test that passed at its second try is named: it is a defect of the test or of the product.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const failedSteps = Number(process.argv[2] ?? 0);
const read = (name) => {
  const path = join(process.env.REPORTS, name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
};

function counts(name, text) {
  if (text === undefined) return { failed: 1, passed: 0, note: "no report" };
  if (name.endsWith(".xml")) {
    const of = (key) => Number(new RegExp(`<testsuite [^>]*\\b${key}="(\\d+)"`).exec(text)?.[1] ?? Number.NaN);
    const [failed, skipped] = [of("failures") + of("errors"), of("skipped")];
    return { failed, passed: of("tests") - failed - skipped, skipped };
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
  const retried = (testResults ?? []).flatMap(({ name: file, assertionResults }) =>
    assertionResults
      .filter(({ status, failureMessages }) => status === "passed" && failureMessages.length > 0)
      .map(({ fullName, failureMessages }) => ({ file: relative(".", file), fullName, reason: failureMessages[0] })),
  );
  return { failed, passed: numPassedTests, skipped: numPendingTests, retried };
}

let [passed, failed] = [0, 0];
for (const name of ["vitest.json", "python.xml", "examples.json", "browser.json"]) {
  const one = counts(name, read(name));
  const note = one.note ?? (one.skipped > 0 ? `${one.skipped} skipped` : "");
  console.log(`${name}: ${one.passed} passed, ${one.failed} failed${note && `, ${note}`}`);
  for (const { file, fullName, reason } of one.retried ?? []) {
    console.log(`  at its second try: ${file}: ${fullName}: ${reason.split("\n")[0].slice(0, 200)}`);
  }
  passed += one.passed;
  failed += one.failed;
}
if (failedSteps > 0) console.log(`${failedSteps} steps failed`);
failed = Math.max(failed, failedSteps);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
