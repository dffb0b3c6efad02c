import { z } from "zod";
import type { ProtocolRoute } from "../../protocol.js";
import type { EdgeDeps } from "../edge-routes.js";
import type { RunRoutesDeps } from "../run-routes.js";
import { edgeRoutes2 } from "./edge-routes.js";
import { secondMajor } from "./major.js";
import { runRoutes2 } from "./run-routes.js";
import { requireVersion, VERSION, VERSION_HEADER } from "./version.js";

const versionHeader = z.object({ [VERSION_HEADER]: z.literal(VERSION) });

/** What the routes of the second major call: the operations of the first. */
export type RoutesDeps2 = RunRoutesDeps & EdgeDeps;

/**
 * The second major over the same runs (docs/wire/openwop.md §3.9): only below a prefix or on a port of its own, as `/runs` at the root is the
 * LangGraph API's. Discovery is served by the first major's route, which looks at `OpenWOP-Version`.
 */
export function routes2(deps: RoutesDeps2): readonly ProtocolRoute[] {
  const major = secondMajor(deps.access, deps.runRecords);
  return [...runRoutes2(deps, major), ...edgeRoutes2(deps, major)].flatMap(withBothPaths).map((route) =>
    Object.assign({}, route, {
      headers: versionHeader,
      errors: [400, 406, ...(route.errors ?? [])],
      handle(...[exchange, http]: Parameters<ProtocolRoute["handle"]>) {
        requireVersion(exchange);
        return route.handle(exchange, http);
      },
    }),
  );
}

/** A run's id may come as one segment or, from clients that put it raw into a path, as two. */
function withBothPaths(route: ProtocolRoute): readonly ProtocolRoute[] {
  if (!route.path.startsWith("/runs/{run_id}")) return [route];
  return [route, { ...route, path: route.path.replace("{run_id}", "{tenant}/{run_id}") }];
}
