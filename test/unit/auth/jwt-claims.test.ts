import { describe, expect, it } from "vitest";
import { callerOfClaims } from "../../../src/auth/jwt-claims.js";
import { type JwtOptions, jwtSettings } from "../../../src/auth/jwt-options.js";

const settings = (options: Partial<JwtOptions> = {}) =>
  jwtSettings({ issuer: "https://login.example.com", audience: "agents", ...options });

describe("callerOfClaims", () => {
  it("gives graphs the identity, and of other claims only those that are named", () => {
    const claims = { sub: "ada", email: "a@x.org", phone: "1", name: "Ada", org: "acme", iss: "i", exp: 1 };
    expect(callerOfClaims(claims, settings({ userClaims: ["email", "nickname"], tenantClaim: "org" }))).toEqual({
      identity: "ada",
      permissions: [],
      user: {
        email: "a@x.org",
        identity: "ada",
        display_name: "Ada",
        is_authenticated: true,
        permissions: [],
        tenant: "acme",
      },
    });
  });

  it("lets no claim replace what was found out", () => {
    const claims = {
      sub: "ada",
      identity: "root",
      permissions: ["*"],
      is_authenticated: false,
      tenant: "t",
      metadata: { team: "x" },
      team: "red",
    };
    const userClaims = ["identity", "permissions", "is_authenticated", "metadata"];
    const { user, identity, permissions } = callerOfClaims(
      claims,
      settings({ userClaims, metadataClaims: { team: "team" } }),
    );
    expect({ identity, permissions }).toEqual({ identity: "ada", permissions: [] });
    expect(user).toMatchObject({ identity: "ada", permissions: [], is_authenticated: true, metadata: { team: "red" } });
  });

  it("looks for a claim by its whole name first, then by a path of own members", () => {
    const named = settings({ permissionsClaim: "https://x.org/roles" });
    expect(callerOfClaims({ sub: "a", "https://x.org/roles": ["r"] }, named).permissions).toEqual(["r"]);
    const path = settings({ permissionsClaim: "a.b" });
    expect(callerOfClaims({ sub: "a", a: { b: "x y  z" } }, path).permissions).toEqual(["x", "y", "z"]);
    expect(callerOfClaims({ sub: "a", "a.b": ["q"], a: { b: ["r"] } }, path).permissions).toEqual(["q"]);
    for (const permissionsClaim of ["constructor.name", "__proto__.x", "toString"]) {
      expect(callerOfClaims({ sub: "a" }, settings({ permissionsClaim })).permissions).toEqual([]);
    }
    expect(callerOfClaims({ sub: "a", a: { b: [1, null, "r", ["s"]] } }, path).permissions).toEqual(["r"]);
  });

  it.each([[{}], [{ sub: "" }], [{ sub: null }], [{ sub: ["ada"] }], [{ sub: "x".repeat(257) }], [{ sub: "a\r\nb" }]])(
    "finds nobody in %j",
    (claims) => {
      expect(() => callerOfClaims(claims, settings())).toThrow(/no usable claim sub/);
    },
  );
});
