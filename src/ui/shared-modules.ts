import type { Plugin } from "esbuild";

/** What `LoadExternalComponent` of @langchain/langgraph-sdk 1.15.0 hands to components (dist/react-ui/client.js). */
const SHARED_BY_CLIENT = [
  "react",
  "react-dom",
  "react/jsx-runtime",
  "@langchain/langgraph-sdk/react",
  "@langchain/langgraph-sdk/react-ui",
];

const NAMESPACE = "heddle-shared";

/** Where the page's `require` lives; the SDK puts it there when its `react-ui` is imported. */
const REQUIRE = `globalThis[Symbol.for("LGUI_REQUIRE")]`;

/**
 * Modules that a component takes from the page instead of its bundle: one React for both, and what `ui_config.shared`
 * names. They need not be installed beside the component.
 * @param shared packages, or modules of one (`pkg/module`); a package stands for all its modules
 */
export function sharedModules(shared: readonly string[]): Plugin {
  const exact = new Set(SHARED_BY_CLIENT);
  const isShared = (path: string): boolean =>
    exact.has(path) || shared.some((name) => path === name || path.startsWith(`${name}/`));
  return {
    name: "heddle-shared-modules",
    setup(build) {
      build.onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
        kind !== "entry-point" && isShared(path) ? { path, namespace: NAMESPACE } : null,
      );
      build.onLoad({ filter: /.*/, namespace: NAMESPACE }, ({ path }) => ({
        loader: "js",
        contents: `if (typeof ${REQUIRE} !== "function") {
  throw new Error("Import @langchain/langgraph-sdk/react-ui in the page before its components are loaded");
}
module.exports = ${REQUIRE}(${JSON.stringify(path)});`,
      }));
    },
  };
}
