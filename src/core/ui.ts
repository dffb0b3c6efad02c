/** A file of a {@link UiBundle}. */
export interface UiFile {
  /** As in `GET /ui/{id}/{name}`: `entrypoint.js`, `entrypoint.css`. */
  readonly name: string;
  /** Media type with charset. */
  readonly type: string;
  readonly text: string;
  /** Of the content: changes when and only when the text does. */
  readonly hash: string;
}

/** The components of one entry of `ui` in langgraph.json, built for browsers (docs/wire/langgraph-api.md §2.12). */
export interface UiBundle {
  readonly id: string;
  readonly script: UiFile;
  readonly styles: readonly UiFile[];
}

/** What is built of `ui`. Ids are mostly graph ids, but need not be. */
export interface UiBundles {
  /**
   * @returns `null` for an id that `ui` does not name
   * @throws HeddleError `UI_BUILD_FAILED` when no version of it could be built
   */
  get(id: string): UiBundle | null;
  close(): Promise<void>;
}

/**
 * The global that a bundle's script defines: every character of the id that is no letter or digit becomes `_`.
 * @example uiGlobal("my-agent") // "__LGUI_my_agent"
 */
export function uiGlobal(id: string): string {
  return `__LGUI_${id.replaceAll(/[^a-zA-Z0-9]/g, "_")}`;
}
