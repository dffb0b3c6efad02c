import { describe, expect, it } from "vitest";
import { createUrlPolicy, type UrlRules } from "../../src/webhooks/url-policy.js";

const RULES: UrlRules = {
  requireHttps: false,
  allowedDomains: null,
  allowedPorts: null,
  maxUrlLength: 200,
  addresses: { loopback: false, privateNetworks: false },
};
const judge = (url: string, rules: Partial<UrlRules> = {}) => createUrlPolicy({ ...RULES, ...rules }).judge(url);
const SELF = { addresses: { loopback: true, privateNetworks: false } };

describe("which URLs webhooks may have", () => {
  it.each([
    "http://0/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.1./",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "http://127\u30020\u30020\u30021/",
    "http://%31%32%37.0.0.1/",
    "ht\ntp://127.0.0.1/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1:7f00:0:100:808:808]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[::]/",
    "http://[::1]/",
    "http://[fe80::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://localhost/",
    "http://localhost./",
    "http://LOCALHOST:8080/",
    "http://loc%61lhost/",
    "http://a.b.localhost/",
  ])("%j is this machine or its network", (url) => {
    expect(judge(url)).toMatchObject({ kind: "refused", reason: expect.stringContaining("public internet") as string });
  });

  it.each([
    ["", "empty"],
    ["file:///etc/passwd", "https or http URL"],
    ["gopher://example.com/", "https or http URL"],
    ["http://[fe80::1%25eth0]/", "https or http URL"],
    ["http://user:pass@example.com/", "user and password"],
    ["http://user@127.0.0.1/", "user and password"],
    ["http://example.com:0/", "port 0"],
    ["http://localhost../", "empty label"],
    ["http://example.com../", "empty label"],
    ["http://.example.com/", "empty label"],
    ["http://a..example.com/", "empty label"],
    [`http://example.com/${"a".repeat(200)}`, "200 characters"],
    ["/in", "disable_loopback"],
  ])("%j is refused and told why", (url, reason) => {
    expect(judge(url)).toEqual({ kind: "refused", reason: expect.stringContaining(reason) as string });
  });

  it("takes a host as a resolver will, and not what looks like one", () => {
    for (const [url, host] of [
      ["http://Example.COM./x", "example.com:80"],
      ["https://example.com\\@127.0.0.1/", "example.com:443"],
      ["http://example.com#@127.0.0.1/", "example.com:80"],
      ["http://b\u00fccher.example/", "xn--bcher-kva.example:80"],
      ["http://[2606:2800:220:1::1]:8080/", "[2606:2800:220:1::1]:8080"],
    ] as const) {
      expect(judge(url), url).toMatchObject({ kind: "allowed", webhook: { host } });
    }
  });

  it("allows domains whole or below one, and ports", () => {
    const rules = { allowedDomains: ["hooks.example", "*.ok.example"], allowedPorts: [443, 8443] };
    for (const url of ["https://hooks.example/", "https://a.b.ok.example:8443/", "https://hooks.example./"]) {
      expect(judge(url, rules).kind, url).toBe("allowed");
    }
    for (const url of [
      "https://ok.example/",
      "https://evilok.example/",
      "https://hooks.example.evil/",
      "https://x.hooks.example/",
      "https://hooks.example:444/",
      "http://hooks.example/",
    ]) {
      expect(judge(url, rules).kind, url).toBe("refused");
    }
  });

  it("paths of the server are paths, whatever they look like", () => {
    expect(judge("/in?a=1#b", SELF)).toEqual({ kind: "allowed", webhook: { host: "self", url: "/in?a=1" } });
    for (const url of ["//evil.example/x", "/\\evil.example", "/\t/evil.example"]) {
      expect(judge(url, SELF).kind, url).toBe("refused");
    }
  });
});
