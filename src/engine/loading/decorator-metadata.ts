import { hasOption, tsconfigFiles } from "./tsconfig-files.js";
import { findTypeScript, loadTypeScript } from "./find-typescript.js";

/**
 * `emitDecoratorMetadata`, which esbuild does not have: where tsconfig asks for it and a file has decorators, TypeScript
 * itself turns the file into JavaScript, with a source map that esbuild carries on.
 * @param find where TypeScript comes from
 * @returns the source to bundle, or a sentence that says what is missing
 */
export async function withDecoratorMetadata(
  file: string,
  source: string,
  find: typeof findTypeScript = findTypeScript,
): Promise<{ readonly source: string } | { readonly error: string }> {
  if (!/\.[cm]?tsx?$/.test(file) || !/(^|[\s;({}])@[\w$]/m.test(source)) return { source };
  const configs = await tsconfigFiles(file);
  if (!hasOption(configs, "emitDecoratorMetadata")) return { source };
  const found = await find(file);
  if (found === null) {
    return {
      error: "tsconfig.json sets emitDecoratorMetadata, which needs TypeScript 5.9 or 6: npm install -D typescript@6",
    };
  }
  const ts = loadTypeScript(found);
  const { outputText } = ts.transpileModule(source, {
    fileName: file,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      useDefineForClassFields: hasOption(configs, "useDefineForClassFields"),
      jsx: ts.JsxEmit.Preserve,
      inlineSourceMap: true,
      inlineSources: false,
    },
  });
  return { source: outputText };
}
