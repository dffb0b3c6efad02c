/**
 * Let scripts of `Range.createContextualFragment` run when they enter the document, as browsers do (DOM Parsing, step 6).
 * happy-dom 21.0.4 parses them as those of `innerHTML`, which never run.
 */
export function runContextualScripts(): void {
  const { prototype } = globalThis.Range;
  const create = Reflect.get<Range, "createContextualFragment">(prototype, "createContextualFragment");
  prototype.createContextualFragment = function contextualFragment(this: Range, html: string) {
    const fragment = create.call(this, html);
    for (const inert of fragment.querySelectorAll("script")) {
      const script = document.createElement("script");
      for (const { name, value } of inert.attributes) script.setAttribute(name, value);
      script.textContent = inert.textContent;
      inert.replaceWith(script);
    }
    return fragment;
  };
}
