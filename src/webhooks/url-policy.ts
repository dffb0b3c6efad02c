import { isIP } from "node:net";
import { OWN_SERVER, type WebhookPolicy } from "../core/webhook.js";
import { type AddressPermissions, isAllowedAddress } from "./address-rules.js";

/** Which URLs webhooks may have (docs/wire/langgraph-api.md §5.1, `webhooks.url`). */
export interface UrlRules {
  readonly requireHttps: boolean;
  /** Exact names, or `*.example.com` for what is below one; `null`: any. */
  readonly allowedDomains: readonly string[] | null;
  /** `null`: any. */
  readonly allowedPorts: readonly number[] | null;
  readonly maxUrlLength: number;
  readonly addresses: AddressPermissions;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "https:": 443, "http:": 80 };
/** Names that are this machine wherever they are asked for (RFC 6761 §6.3). */
const LOCALHOST = /(?:^|\.)localhost$/;

/**
 * What a client may name as `webhook`. Where a name leads is only known when it is called, and checked then, on the address that is
 * connected to (./send-request).
 */
export function createUrlPolicy(rules: UrlRules): WebhookPolicy {
  const refused = (reason: string) => ({ kind: "refused", reason }) as const;
  return {
    judge(text) {
      if (text === "") return refused("must not be empty");
      if (text.length > rules.maxUrlLength) return refused(`must have at most ${rules.maxUrlLength} characters`);
      if (text.startsWith("/")) {
        if (!rules.addresses.loopback) {
          return refused(
            "a path of this server needs loopback, which is off: set webhooks.url.disable_loopback to false",
          );
        }
        const path = pathOf(text);
        if (path === null) return refused("expected an absolute https URL, or a path that begins with one slash");
        return { kind: "allowed", webhook: { host: OWN_SERVER, url: path } };
      }
      const url = URL.canParse(text) ? new URL(text) : null;
      if (url === null || !Object.hasOwn(DEFAULT_PORTS, url.protocol) || url.hostname === "") {
        return refused(`expected an absolute ${rules.requireHttps ? "https" : "https or http"} URL`);
      }
      if (rules.requireHttps && url.protocol !== "https:") {
        return refused("must be https: set webhooks.url.require_https to false to allow http");
      }
      if (url.username !== "" || url.password !== "") {
        return refused("must hold no user and password: send credentials by webhooks.headers, or in the query");
      }
      const port = url.port === "" ? (DEFAULT_PORTS[url.protocol] ?? 0) : Number(url.port);
      // Node takes it for none, and so for the port of the scheme.
      if (port === 0) return refused("port 0 is no port that anybody listens on");
      if (rules.allowedPorts !== null && !rules.allowedPorts.includes(port)) {
        return refused(`port ${port} is not allowed: use one of ${rules.allowedPorts.join(", ")}`);
      }
      // `example.com.` is the same name.
      const hostname = url.hostname.replace(/\.$/, "");
      if (/^\.|\.\.|\.$/.test(hostname))
        return refused("the host has an empty label: two dots, or one at its beginning");
      if (rules.allowedDomains !== null && !rules.allowedDomains.some((domain) => isOf(hostname, domain))) {
        return refused(`the host ${hostname} is not among those that are allowed`);
      }
      const bare = hostname.replaceAll(/^\[|\]$/g, "");
      const isLocal = LOCALHOST.test(bare) && !rules.addresses.loopback;
      if (isLocal || (isIP(bare) !== 0 && !isAllowedAddress(bare, rules.addresses))) return refused(NOT_PUBLIC);
      url.hash = "";
      return { kind: "allowed", webhook: { host: `${hostname}:${port}`, url: url.href } };
    },
  };
}

/** Said of hosts by name, too, once they are resolved. */
export const NOT_PUBLIC = "the host is not an address of the public internet, and others are not allowed";

/** A path as this server reads it; `null` for what a URL parser takes for another host. */
function pathOf(text: string): string | null {
  const base = "http://self.invalid";
  if (!URL.canParse(text, base)) return null;
  const url = new URL(text, base);
  return url.origin === base ? url.pathname + url.search : null;
}

function isOf(hostname: string, domain: string): boolean {
  const wanted = domain.toLowerCase().replace(/\.$/, "");
  return wanted.startsWith("*.") ? hostname.endsWith(wanted.slice(1)) : hostname === wanted;
}
