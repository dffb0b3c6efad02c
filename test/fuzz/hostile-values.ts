import fc from "fast-check";

/** Strings that have broken something somewhere. */
export const HOSTILE_STRINGS: readonly string[] = [
  "",
  " ",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "toJSON",
  "then",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\udc00x",
  "\ufffe\uffff",
  "a\r\nset-cookie: x=1",
  "\u2028\u2029",
  "' OR 1=1 --",
  "'; DROP TABLE threads; --",
  "\\",
  "%",
  "%00",
  "_",
  "$where",
  "$ne",
  "$gt",
  "a.b",
  ".",
  "..",
  "../../../../etc/passwd",
  "*",
  "(a+)+$",
  "{}",
  "[]",
  "null",
  "undefined",
  "NaN",
  "-1",
  "1e999",
  "99999999999999999999",
  "langgraph_auth_user",
  "__pregel_tasks",
  "x".repeat(3_000),
];

const NUMBERS = [0, -0, -1, 1, 0.5, 1e308, -1e308, 2 ** 31, 2 ** 53, 2 ** 63, 1e21, 5e-324];

export const hostileString = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE_STRINGS) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
);

const scalar = fc.oneof(
  hostileString,
  fc.constantFrom(...NUMBERS),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

/** Any JSON, with names that prototypes have: `Object.fromEntries` makes them keys of their own. */
export const hostileJson: fc.Arbitrary<unknown> = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4, depthIdentifier: "json" },
    scalar,
    fc.array(tie("json"), { maxLength: 4 }),
    fc.array(fc.tuple(hostileString, tie("json")), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
})).json;

/** Some bytes of a text changed, taken out or put in. */
export const damaged = (text: fc.Arbitrary<string>): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(text, fc.array(fc.tuple(fc.nat(), fc.constantFrom("set", "cut", "add"), fc.nat(255)), { maxLength: 4 }))
    .map(([whole, edits]) => {
      let bytes = Buffer.from(whole);
      for (const [place, kind, byte] of edits) {
        const at = bytes.byteLength === 0 ? 0 : place % bytes.byteLength;
        const after = kind === "add" ? at : at + 1;
        const inserted = kind === "cut" ? [] : [byte];
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(inserted), bytes.subarray(after)]);
      }
      return bytes;
    });
