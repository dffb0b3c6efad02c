import { BlockList, isIP } from "node:net";

/** What an address may be of, beside the internet. */
export interface AddressPermissions {
  readonly loopback: boolean;
  /** Private, link-local, unique-local, shared (carrier-grade NAT). Never metadata services, multicast or reserved ones. */
  readonly privateNetworks: boolean;
}

type AddressKind = "public" | "loopback" | "private" | "reserved";

const LISTS: readonly (readonly [Exclude<AddressKind, "public">, readonly string[]])[] = [
  // Before the others: single addresses of what they hold.
  [
    "reserved",
    [
      // Metadata services of clouds: they give out credentials to whoever asks from inside.
      "169.254.169.254/32",
      "169.254.170.2/32",
      "169.254.170.23/32",
      "100.100.100.200/32",
      "168.63.129.16/32",
      "fd00:ec2::254/128",
      "fd00:ec2::23/128",
      "fd20:ce::254/128",
    ],
  ],
  ["loopback", ["127.0.0.0/8", "::1/128"]],
  ["private", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]],
  ["private", ["fc00::/7", "fe80::/10", "fec0::/10"]],
  [
    "reserved",
    [
      // IANA's special-purpose registries (RFC 6890 and later).
      "0.0.0.0/8",
      "192.0.0.0/24",
      "192.0.2.0/24",
      "192.88.99.0/24",
      "198.18.0.0/15",
      "198.51.100.0/24",
      "203.0.113.0/24",
      "224.0.0.0/4",
      "240.0.0.0/4",
    ],
  ],
];

/** Of IPv6 only this is the internet; all else but what is listed above is reserved. */
const GLOBAL_IPV6 = blockList(["2000::/3"]);
/** Documentation, benchmarking, ORCHID, Teredo, 6to4: tunnels reach whatever IPv4 address they hold. */
const RESERVED_IPV6 = blockList(["2001:db8::/32", "2001::/23", "2002::/16", "3fff::/20"]);

const BLOCKS = LISTS.map(([kind, ranges]) => [kind, blockList(ranges)] as const);

/** Whether a server may call this address. @param address IPv4 or IPv6, as a resolver or a URL's host without brackets has it */
export function isAllowedAddress(address: string, allowed: AddressPermissions): boolean {
  const kind = kindOf(address);
  if (kind === "loopback") return allowed.loopback;
  return kind === "public" || (kind === "private" && allowed.privateNetworks);
}

function kindOf(address: string): AddressKind {
  const version = isIP(address);
  if (version === 0) return "reserved";
  if (version === 4) return kindIn(address, "ipv4") ?? "public";
  const embedded = embeddedIpv4(address);
  if (embedded !== null) return kindOf(embedded);
  const listed = kindIn(address, "ipv6");
  if (listed !== null) return listed;
  return GLOBAL_IPV6.check(address, "ipv6") && !RESERVED_IPV6.check(address, "ipv6") ? "public" : "reserved";
}

function kindIn(address: string, family: "ipv4" | "ipv6"): AddressKind | null {
  return BLOCKS.find(([, list]) => list.check(address, family))?.[0] ?? null;
}

/**
 * The IPv4 address that an IPv6 address stands for: mapped, compatible, translated, or behind the NAT64 of RFC 6052. Of a network's
 * own NAT64 (64:ff9b:1::/48, RFC 8215) nobody can tell where the address stands in it: it stays reserved.
 */
function embeddedIpv4(address: string): string | null {
  const groups = groupsOf(address);
  if (groups === null) return null;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  const isNull = a === 0 && b === 0 && c === 0 && d === 0;
  const isMapped = isNull && e === 0 && f === 0xffff;
  const isTranslated = isNull && e === 0xffff && f === 0;
  // `::` and `::1` are of IPv6.
  const isCompatible = isNull && e === 0 && f === 0 && (g > 0 || h > 1);
  const isNat64 = a === 0x64 && b === 0xff9b && c === 0 && d === 0 && e === 0 && f === 0;
  if (!isMapped && !isTranslated && !isCompatible && !isNat64) return null;
  return [g >> 8, g & 255, h >> 8, h & 255].join(".");
}

function groupsOf(address: string): readonly number[] | null {
  const bare = address.replace(/%.*$/, "");
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare);
  const hex = (high: string | undefined, low: string | undefined): string =>
    (Number(high) * 256 + Number(low)).toString(16);
  const text = dotted === null ? bare : `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}`;
  const [head = "", tail] = text.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array.from({ length: Math.max(missing, 0) }, () => "0"), ...right];
  return groups.length === 8 ? groups.map((group) => Number.parseInt(group, 16)) : null;
}

function blockList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = "", prefix = ""] = range.split("/");
    list.addSubnet(address, Number(prefix), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}
