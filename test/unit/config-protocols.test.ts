import { describe, expect, it } from "vitest";
import { problemsOf } from "../../src/config/problem.js";
import { parseProtocol } from "../../src/config/protocol-text.js";
import { protocolText } from "../../src/config/resolve-protocols.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { isHeddleError } from "../../src/core/errors.js";
import { toCliFlags } from "../../src/cli/flags.js";
import { openwop } from "../../src/protocols/openwop/index.js";
import { snapstate } from "../../src/protocols/snapstate/index.js";

describe("where a protocol is served, as a text", () => {
  it.each([
    ["snapstate", { name: "snapstate" }],
    ["state-store@/state", { name: "state-store", path: "/state" }],
    ["openwop@/a/b-c.d", { name: "openwop", path: "/a/b-c.d" }],
    ["openwop@/", { name: "openwop", path: "/" }],
    ["openwop@:3001", { name: "openwop", port: 3001 }],
    ["openwop@:0", { name: "openwop", port: 0 }],
  ])("%s", (text, parsed) => {
    expect(parseProtocol(text)).toEqual(parsed);
    expect(protocolText({ kind: "named", ...(parsed as { name: "openwop" }) })).toBe(text);
  });

  it.each([
    "",
    "@/x",
    "nothing",
    "openwop@",
    "openwop@x",
    "openwop@/a b",
    "openwop@/../x",
    "openwop@/{x}",
    "openwop@:",
    "openwop@:x",
    "openwop@:65536",
    "openwop@:-1",
    "openwop@/a@/b",
    "openwop@//x",
  ])("%j is none", (text) => expect(parseProtocol(text)).toBeNull());

  it("says where one is that was made", () => {
    const text = (value: ReturnType<typeof openwop>) => protocolText({ kind: "value", value });
    expect(text(openwop())).toBe("openwop@/openwop");
    expect(text(openwop({ path: "" }))).toBe("openwop@/");
    expect(text(openwop({ port: 3001 }))).toBe("openwop@:3001");
    expect(text(openwop({ port: 3001, path: "/x/" }))).toBe("openwop@:3001/x");
  });

  it.each([{ path: "x" }, { path: "/a b" }, { path: "/.." }, { port: 1.5 }, { port: 70_000 }])(
    "a factory refuses %j and names it",
    (options) => {
      const field = Object.keys(options)[0] ?? "";
      expect(() => snapstate(options)).toThrow(`protocols: ${field} of snapstate must be`);
    },
  );
});

describe("which protocols are served", () => {
  const graphs = { agent: () => null };

  it("what options say goes before flags", async () => {
    const flags = toCliFlags({ protocol: [{ name: "snapstate" }] });
    expect(flags).toEqual({ protocols: [{ name: "snapstate" }] });
    const byFlag = await resolveConfig({ options: { graphs, env: {} }, flags });
    expect(byFlag.protocols).toEqual([{ kind: "named", name: "snapstate" }]);
    const byOption = await resolveConfig({ options: { graphs, env: {}, protocols: [openwop()] }, flags });
    expect(byOption.protocols.map(protocolText)).toEqual(["openwop@/openwop"]);
    expect(byOption.origins["protocols"]).toBe("option");
  });

  it.each([
    ['["nothing"]', /names are state-store, agentex-states, snapstate, openwop/],
    ['[{"name":"openwop","path":"x"}]', /must be/],
    ['[{"name":"openwop","prot":1}]', /prot/],
    ['{"name":"openwop"}', /must be a list/],
    ['["openwop","openwop@/x"]', /openwop is named twice/],
  ])("%s is refused", async (json, message) => {
    const error = await resolveConfig({ options: { graphs, env: { HEDDLE_PROTOCOLS: json } } }).catch(
      (caught: unknown) => caught,
    );
    if (!isHeddleError(error)) throw error;
    expect(
      problemsOf(error)
        .map((problem) => `${problem.field}: ${problem.message}`)
        .join("\n"),
    ).toMatch(message);
  });
});
