/** A character of an id that goes as it is; every other byte becomes `~` and two hex digits (docs/wire/openwop.md §3.9). */
const PLAIN = /^[A-Za-z0-9._-]$/;

/** `<tenant>/<opaque>`: how the second major names what belongs to a tenant. */
export function bound(tenant: string, id: string): string {
  return `${tenant}/${id}`;
}

/** One segment of a path: `acme/r-1` → `acme~2Fr-1`. */
export function projected(id: string): string {
  return Array.from(Buffer.from(id, "utf8"), (byte) => {
    const character = String.fromCodePoint(byte);
    return PLAIN.test(character) ? character : `~${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

/** The id in a segment that was percent-decoded once already; `null` for bytes that are no text. */
export function unprojected(segment: string): string | null {
  const bytes: Buffer[] = [];
  let rest = segment;
  for (let escape = /~([0-9A-Fa-f]{2})/.exec(rest); escape !== null; escape = /~([0-9A-Fa-f]{2})/.exec(rest)) {
    bytes.push(Buffer.from(rest.slice(0, escape.index)), Buffer.from(escape[1] ?? "", "hex"));
    rest = rest.slice(escape.index + escape[0].length);
  }
  bytes.push(Buffer.from(rest));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(bytes));
  } catch {
    return null;
  }
}

/** Tenant and own part of an id; `null` for one that is not bound. Tenants may hold slashes, own parts don't. */
export function partsOf(id: string): { readonly tenant: string; readonly own: string } | null {
  const slash = id.lastIndexOf("/");
  return slash < 1 || slash === id.length - 1 ? null : { tenant: id.slice(0, slash), own: id.slice(slash + 1) };
}
