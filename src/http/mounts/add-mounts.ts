import { Hono } from "hono";
import type { Context } from "hono";
import { routePath } from "hono/route";
import type { HttpDeps } from "../http-deps.js";
import { type Mount, type ServedMount, serveMount } from "./serve-mount.js";
import { literalPrefix, parseTemplate } from "./path-template.js";

/** Protocols beside the LangGraph API. */
export interface Mounts {
  /** @param to with the base path */
  addTo(to: Hono): void;
  /**
   * Whether a request to one of them needs no authentication; `null`: it is none of their routes.
   * @param path without the base path
   */
  isPublic(method: string, path: string): boolean | null;
}

/** At a path of its own a protocol answers everything below; at the root only what belongs to it, so that an app around keeps its routes. */
export function createMounts(mounts: readonly Mount[], deps: HttpDeps): Mounts {
  const all = mounts.map((mount) => ({ mount, served: serveMount(mount, deps) }));
  return {
    addTo(to) {
      for (const { mount, served } of all) {
        const answer = answering(served, deps);
        if (mount.path !== "") {
          to.all(`${mount.path}/*`, (context) => answer(context, prefixOf(context, 0)));
          continue;
        }
        for (const first of firstSegments(mount)) {
          to.all(`/${first}/*`, (context, next) => {
            const prefixSegments = prefixOf(context, 1);
            return served.owns(context, prefixSegments) ? answer(context, prefixSegments) : next();
          });
        }
      }
    },
    isPublic(method, path) {
      for (const { mount, served } of all) {
        if (!path.startsWith(`${mount.path}/`)) continue;
        const isPublic = served.isPublic(method, path.slice(mount.path.length + 1).split("/"));
        if (isPublic !== null) return isPublic;
      }
      return null;
    },
  };
}

/** One protocol alone: on a port of its own, or for code in the same process. What is not below its path is unknown to it, too. */
export function createMountApp(mount: Mount, deps: HttpDeps): Hono {
  const served = serveMount(mount, deps);
  const answer = answering(served, deps);
  const app = new Hono();
  app.all(`${mount.path}/*`, (context) => answer(context, prefixOf(context, 0)));
  app.notFound((context) => answer(context, 0));
  return app;
}

function answering(served: ServedMount, { settings }: HttpDeps) {
  return (context: Context, prefixSegments: number): Response | Promise<Response> =>
    settings.workerOnly === true ? served.refuseAll(context, WORKER_ONLY) : served.serve(context, prefixSegments);
}

/** Why a worker refuses. */
export const WORKER_ONLY =
  "This process only executes runs (role worker). Send requests to a process of role api or all.";

/**
 * How many segments of a request's path are those of the mount: of the pattern that matched, in whichever app it is by now, all but the
 * `*` at its end and what is the protocol's own.
 */
function prefixOf(context: Context, ownSegments: number): number {
  return routePath(context).split("/").length - 2 - ownSegments;
}

function firstSegments({ face }: Mount): ReadonlySet<string> {
  return new Set(face.routes.map((route) => literalPrefix(parseTemplate(route.path))[0] ?? ""));
}
