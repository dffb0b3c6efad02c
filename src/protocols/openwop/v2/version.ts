import type { Exchange } from "../../../http/exchange.js";
import { invalid } from "../errors.js";
import { OpenwopRefusal } from "../seams.js";

export const VERSION_HEADER = "openwop-version";
/** What these routes speak. */
export const VERSION = "2.0";

/**
 * Every request says which version it speaks (docs/wire/openwop.md §3.9).
 * @throws OpenwopRefusal 400 `validation_error` where it says none, 406 `protocol_version_unsupported` for another one
 */
export function requireVersion(exchange: Pick<Exchange, "header">): void {
  const version = exchange.header(VERSION_HEADER);
  if (version === VERSION) return;
  if (version === undefined) throw invalid(`The header OpenWOP-Version is missing: send ${VERSION}`);
  throw new OpenwopRefusal({
    status: 406,
    code: "protocol_version_unsupported",
    message: `OpenWOP-Version ${version} is not spoken here`,
    details: { protocolVersions: [VERSION] },
  });
}
