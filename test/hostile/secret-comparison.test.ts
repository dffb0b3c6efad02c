import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const SRC = join(import.meta.dirname, "../../src");
/** What holds a secret, or what one could be guessed from byte by byte. */
const SECRET = /secret|digest|signature|password|\bmac\b|hmac|apiKey$|ticket$/i;
const COMPARES = new Set([
  ts.SyntaxKind.EqualsEqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsEqualsToken,
  ts.SyntaxKind.EqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsToken,
]);
/** With these nothing is compared but whether there is one, or of which form it is. */
const HARMLESS = /^(?:null|undefined|""|"[a-z]+"|\d+|true|false)$/;

/** Comparisons that stand, each with why nobody learns a secret from how long it takes. */
const EXPLAINED: Readonly<Record<string, string>> = {
  "stores/memory/api-keys.ts":
    "looks a digest up, as an index does; what it found is compared by isSameDigest once more",
  "stores/memory/stream-tickets.ts": "looks the digest of 256 random bits up, as an index does",
  "maintenance/row-digest.ts": "digests of rows that were copied, for who copies them",
  "cli/commands/copy.ts": "the same",
  "services/idempotency.ts": "digests of a caller's own bodies, under a key of his own",
};

function comparisonsOfSecrets(name: string): string[] {
  const source = ts.createSourceFile(name, readFileSync(join(SRC, name), "utf8"), ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isBinaryExpression(node) && COMPARES.has(node.operatorToken.kind)) {
      const sides = [node.left.getText(), node.right.getText()];
      const isSecret = sides.some(
        (side) => SECRET.test(side.split(/[?.]*\./).at(-1) ?? "") && !/\.length$|^typeof /.test(side),
      );
      if (isSecret && !sides.some((side) => HARMLESS.test(side))) found.push(node.getText());
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));

test("secrets are compared by timingSafeEqual alone, on digests of one length", () => {
  const found = files.flatMap((name) => comparisonsOfSecrets(name).map((text) => [name, text] as const));
  const unexplained = found.filter(([name]) => EXPLAINED[name] === undefined);
  expect(unexplained).toEqual([]);
  // The check sees what there is to see.
  expect(found.map(([name]) => name)).toContain("stores/memory/api-keys.ts");
  const users = files.filter((name) => /\btimingSafeEqual\(/.test(readFileSync(join(SRC, name), "utf8")));
  expect(users).toContain("auth/api-key-secret.ts");
});
