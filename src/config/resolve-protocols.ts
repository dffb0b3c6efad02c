import { z } from "zod";
import {
  isMountPath,
  isPort,
  isProtocol,
  MOUNT_PATH_RULE,
  PORT_RULE,
  PROTOCOL_NAMES,
  type ProtocolMount,
} from "../core/protocol.js";
import type { Manifest } from "./langgraph-json-schema.js";
import type { AppOptions, CliFlags } from "./options.js";
import type { ConfigProblem } from "./problem.js";
import { type NamedProtocol, parseProtocol, PROTOCOL_TEXT_RULE } from "./protocol-text.js";
import type { SettingPicker } from "./setting-picker.js";

/** A protocol that is to be served, and where. */
export type ResolvedProtocol =
  { readonly kind: "value"; readonly value: ProtocolMount } | ({ readonly kind: "named" } & NamedProtocol);

/** `protocols` of `langgraph.json`, and of `HEDDLE_PROTOCOLS`. */
export const protocolsSection = z.array(
  z.union(
    [
      z.string().refine((text) => parseProtocol(text) !== null, PROTOCOL_TEXT_RULE),
      z.strictObject({
        name: z.enum(PROTOCOL_NAMES),
        path: z.string().refine(isMountPath, MOUNT_PATH_RULE).optional(),
        port: z.number().refine(isPort, PORT_RULE).optional(),
      }),
    ],
    `${PROTOCOL_TEXT_RULE}; or {"name": …, "path": …, "port": …}, where a path ${MOUNT_PATH_RULE}`,
  ),
  'must be a list: ["state-store", {"name": "openwop", "path": "/wop"}]',
);

/** `protocols` of `createApp`. */
export const protocolsOptions = z.array(
  z.custom(isProtocol, "must be a protocol, as stateStore() and openwop() return it"),
  "must be a list of protocols: [stateStore(), openwop()]",
);

export function resolveProtocols(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly flags: CliFlags | undefined;
  readonly manifest: Manifest;
  readonly problems: ConfigProblem[];
}): readonly ResolvedProtocol[] {
  const { pick, options, flags, manifest, problems } = params;
  const protocols = pick<readonly ResolvedProtocol[]>("protocols", {
    option: options.protocols?.map((value) => ({ kind: "value", value })),
    flag: flags?.protocols?.map(byName),
    "langgraph.json": manifest.protocols?.map((entry) => byName(namedOf(entry))),
    default: [],
  });
  const names = protocols.map(nameOf);
  for (const name of new Set(names.filter((one, i) => names.indexOf(one) < i))) {
    const message = `${name} is named twice. One server serves it at one place.`;
    problems.push({ code: "CONFIG_INVALID", field: "protocols", message });
  }
  return protocols;
}

/** For `heddle check`: as {@link parseProtocol} reads it. */
export function protocolText(protocol: ResolvedProtocol): string {
  const { path, port } = protocol.kind === "value" ? protocol.value : protocol;
  const at = port === undefined || port === null ? "" : `:${port}`;
  const below = path === undefined ? "" : path === "" ? (at === "" ? "/" : "") : path;
  return at + below === "" ? nameOf(protocol) : `${nameOf(protocol)}@${at}${below}`;
}

const byName = (protocol: NamedProtocol): ResolvedProtocol => ({ kind: "named", ...protocol });

const nameOf = (protocol: ResolvedProtocol): string =>
  protocol.kind === "value" ? protocol.value.name : protocol.name;

type Entry = NonNullable<Manifest["protocols"]>[number];

function namedOf(entry: Entry): NamedProtocol {
  if (typeof entry === "string") return parseProtocol(entry) as NamedProtocol;
  const { name, path, port } = entry;
  return { name, ...(path !== undefined && { path }), ...(port !== undefined && { port }) };
}
