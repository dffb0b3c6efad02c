import path from "node:path";
import type ts from "typescript";
import type { TypeScript } from "../loading/find-typescript.js";
import { TypeToJsonSchema } from "./type-to-json-schema.js";

/** Schemas read from types; `null` where a type says nothing (`any`). */
export interface TypeSchemas {
  readonly state: Record<string, unknown> | null;
  readonly input: Record<string, unknown> | null;
  readonly output: Record<string, unknown> | null;
  readonly config: Record<string, unknown> | null;
}

export interface GraphTypes {
  readonly graph: TypeSchemas;
  /** By node name: graphs given to `addNode` in the project's own sources, where the name means one graph only. */
  readonly nodes: Readonly<Record<string, TypeSchemas>>;
  /** Absolute paths of all files that decided it: sources, and `package.json` of the packages whose types were read. */
  readonly files: readonly string[];
}

/** Source files parsed before, by the options they were parsed with and their name: a second graph costs a fraction. */
export type ParsedFiles = Map<string, Map<string, ts.SourceFile | undefined>>;

/**
 * Read the types of an exported graph with TypeScript's checker: `Annotation` graphs have their state nowhere else
 * (docs/wire/langgraph-api.md part 6, 4). Takes seconds; run it in a process of its own.
 * @param target.file absolute
 * @param parsed shared between calls while no file changes
 * @throws Error with a sentence for the reader of the schemas
 */
export function graphTypes(
  compiler: TypeScript,
  target: { readonly file: string; readonly exportName: string },
  parsed: ParsedFiles = new Map(),
): GraphTypes {
  const program = createProgram(compiler, target.file, parsed);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(target.file);
  const moduleSymbol = source && checker.getSymbolAtLocation(source);
  if (source === undefined || moduleSymbol === undefined)
    throw new Error(`${target.file} is not a module that TypeScript can read.`);
  const symbol = checker.getExportsOfModule(moduleSymbol).find((one) => one.name === target.exportName);
  if (symbol === undefined) throw new Error(`TypeScript finds no export named "${target.exportName}".`);
  const reader = new GraphTypeReader(compiler, checker);
  const graph = reader.schemas(checker.getTypeOfSymbol(symbol));
  if (graph === null) throw new Error(`The type of "${target.exportName}" is not a graph's.`);
  const own = program.getSourceFiles().filter((file) => !file.isDeclarationFile && !isPackage(file.fileName));
  return { graph, nodes: reader.nodeSchemas(own), files: decidingFiles(compiler, program) };
}

class GraphTypeReader {
  readonly #ts: TypeScript;
  readonly #checker: ts.TypeChecker;
  readonly #convert: TypeToJsonSchema;

  constructor(compiler: TypeScript, checker: ts.TypeChecker) {
    this.#ts = compiler;
    this.#checker = checker;
    this.#convert = new TypeToJsonSchema(compiler, checker);
  }

  schemas(exported: ts.Type): TypeSchemas | null {
    const graph = this.#compiled(exported);
    if (graph === null) return null;
    const of = (name: string): ReturnType<TypeToJsonSchema["convert"]> => {
      const type = this.#propertyType(graph, name);
      return type === undefined ? null : this.#convert.convert(this.#checker.getAwaitedType(type) ?? type);
    };
    const input = of("~InputType");
    // The reference takes the update type for `state`; entrypoints have none.
    return { state: of("~RunInput") ?? input, input, output: of("~OutputType"), config: this.#contextSchema(graph) };
  }

  /** `addNode("name", graph)` wherever it is written; a node whose graphs differ is left out. */
  nodeSchemas(files: readonly ts.SourceFile[]): Record<string, TypeSchemas> {
    const found = new Map<string, ts.Type | null>();
    const visit = (node: ts.Node): void => {
      if (this.#ts.isCallExpression(node)) {
        const [name, action] = node.arguments;
        const callee = node.expression;
        const isAddNode = this.#ts.isPropertyAccessExpression(callee) && callee.name.text === "addNode";
        if (isAddNode && name !== undefined && action !== undefined && this.#ts.isStringLiteralLike(name)) {
          const type = this.#compiled(this.#checker.getTypeAtLocation(action), false);
          const before = found.get(name.text);
          if (type !== null) found.set(name.text, before === undefined || before === type ? type : null);
        }
      }
      this.#ts.forEachChild(node, visit);
    };
    for (const file of files) visit(file);
    const schemas: Record<string, TypeSchemas> = {};
    for (const [name, type] of found) {
      const schema = type === null ? null : this.schemas(type);
      if (schema !== null) schemas[name] = schema;
    }
    return schemas;
  }

  /** Unwrap promises, factories, builders and agents, as `graph-input.ts` does with values. */
  #compiled(given: ts.Type, calls = true): ts.Type | null {
    let type: ts.Type | undefined = given;
    for (let depth = 0; depth < 8 && type !== undefined; depth += 1) {
      type = this.#checker.getAwaitedType(type) ?? type;
      if (type.getProperty("~InputType") !== undefined) return type;
      const compile: ts.Symbol | undefined = type.getProperty("compile");
      const signatures: readonly ts.Signature[] = compile
        ? this.#checker.getTypeOfSymbol(compile).getCallSignatures()
        : calls
          ? type.getCallSignatures()
          : [];
      if (signatures.length > 0) type = signatures.at(-1)?.getReturnType();
      else type = this.#propertyType(type, "graph");
    }
    return null;
  }

  /** The `context` of `invoke`'s options; LangGraph's default, a record of anything, says nothing. */
  #contextSchema(graph: ts.Type): Record<string, unknown> | null {
    const invoke = this.#propertyType(graph, "invoke")?.getCallSignatures().at(-1);
    const options = invoke?.getParameters()[1];
    const optionsType = options && this.#checker.getNonNullableType(this.#checker.getTypeOfSymbol(options));
    const context = optionsType && this.#propertyType(optionsType, "context");
    const schema = context === undefined ? null : this.#convert.convert(this.#checker.getNonNullableType(context));
    return schema !== null && "properties" in schema ? schema : null;
  }

  #propertyType(type: ts.Type, name: string): ts.Type | undefined {
    const property = type.getProperty(name);
    return property && this.#checker.getTypeOfSymbol(property);
  }
}

/** As the project's tsconfig says, except what would only cost time or refuse a file that runs. */
function createProgram(compiler: TypeScript, file: string, parsed: ParsedFiles): ts.Program {
  const configPath = compiler.findConfigFile(path.dirname(file), (name) => compiler.sys.fileExists(name));
  const forced: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowJs: true,
    checkJs: false,
    composite: false,
    incremental: false,
    declaration: false,
    sourceMap: false,
    allowImportingTsExtensions: true,
  };
  const fallback: ts.CompilerOptions = {
    target: compiler.ScriptTarget.ES2022,
    module: compiler.ModuleKind.ESNext,
    moduleResolution: compiler.ModuleResolutionKind.Bundler,
    resolveJsonModule: true,
    types: [],
  };
  const config: unknown =
    configPath === undefined ? null : compiler.readConfigFile(configPath, (name) => compiler.sys.readFile(name)).config;
  const options =
    configPath === undefined
      ? fallback
      : compiler.parseJsonConfigFileContent(config ?? {}, compiler.sys, path.dirname(configPath)).options;
  delete options["incremental"];
  delete options["tsBuildInfoFile"];
  const merged = { ...options, ...forced };
  return compiler.createProgram({ rootNames: [file], options: merged, host: cachingHost(compiler, merged, parsed) });
}

function cachingHost(compiler: TypeScript, options: ts.CompilerOptions, parsed: ParsedFiles): ts.CompilerHost {
  const host = compiler.createCompilerHost(options);
  const key = JSON.stringify(options);
  const files = parsed.get(key) ?? new Map<string, ts.SourceFile | undefined>();
  parsed.set(key, files);
  return {
    ...host,
    getSourceFile: (name, languageVersion, onError) => {
      if (!files.has(name)) files.set(name, host.getSourceFile(name, languageVersion, onError));
      return files.get(name);
    },
  };
}

function decidingFiles(compiler: TypeScript, program: ts.Program): readonly string[] {
  const files = new Set<string>();
  const folders = new Map<string, string | null>();
  const packageFile = (folder: string): string | null => {
    const known = folders.get(folder);
    if (known !== undefined) return known;
    const candidate = path.join(folder, "package.json");
    const parent = path.dirname(folder);
    const found = compiler.sys.fileExists(candidate) ? candidate : parent === folder ? null : packageFile(parent);
    folders.set(folder, found);
    return found;
  };
  for (const { fileName } of program.getSourceFiles()) {
    const deciding = isPackage(fileName) ? packageFile(path.dirname(fileName)) : path.normalize(fileName);
    if (deciding !== null) files.add(deciding);
  }
  return [...files];
}

function isPackage(file: string): boolean {
  return /[\\/]node_modules[\\/]/.test(file);
}
