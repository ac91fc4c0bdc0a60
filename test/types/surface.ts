import { join } from 'node:path';
import ts from 'typescript';
import { compilerOptions, root } from './compile.js';

const LIBRARY = join(root, 'lib/');

/** Entry points of the package: folders of `lib`, `.` for the root. */
export const ENTRIES = [
  '.',
  'audit',
  'http',
  'opentelemetry',
  'postgres',
  'prometheus',
  'terminus',
  'testing',
  'transactions',
  'wire',
] as const;

export type Entry = (typeof ENTRIES)[number];

export const fileOf = (entry: Entry): string =>
  join(LIBRARY, entry, 'index.ts');

interface Export {
  readonly name: string;
  readonly symbol: ts.Symbol;
  readonly isValue: boolean;
}

/** The compiled library, queried for the names that its entry points export. */
export class Surface {
  readonly #program = ts.createProgram(
    ENTRIES.map(fileOf),
    compilerOptions({ paths: {} }),
  );
  readonly #checker = this.#program.getTypeChecker();

  /** Exported names in order, `type` before those that have no value. */
  names(entry: Entry): string[] {
    return this.#exportsOf(entry)
      .map(({ name, isValue }) => (isValue ? name : `type ${name}`))
      .toSorted(byName);
  }

  /**
   * Types that the values of an entry point lead to, and that are exported neither
   * there nor by `beside`. A user's own declarations cannot name them.
   */
  unnamable(entry: Entry, beside: readonly Entry[]): string[] {
    const reached = new Reached(this.#checker);
    for (const { symbol, isValue } of this.#exportsOf(entry)) {
      if (isValue) reached.visitValue(symbol);
    }
    const named = new Set(
      [entry, ...beside].flatMap((each) =>
        this.#exportsOf(each).map(({ symbol }) => symbol),
      ),
    );
    return [...reached.symbols]
      .filter((symbol) => !named.has(symbol))
      .map(({ name }) => name)
      .toSorted();
  }

  #exportsOf(entry: Entry): Export[] {
    const file = this.#program.getSourceFile(fileOf(entry))!;
    const module = this.#checker.getSymbolAtLocation(file)!;
    return this.#checker.getExportsOfModule(module).map((each) => {
      const isAlias = (each.flags & ts.SymbolFlags.Alias) !== 0;
      const symbol = isAlias ? this.#checker.getAliasedSymbol(each) : each;
      const isTypeOnly =
        each.declarations?.some(ts.isTypeOnlyExportDeclaration) ?? false;
      const isValue =
        !isTypeOnly && (symbol.flags & ts.SymbolFlags.Value) !== 0;
      return { name: each.name, symbol, isValue };
    });
  }
}

/**
 * Collects the types of `lib` that values lead to: by the results of their
 * functions, by the properties of those results, and by the defaults of type
 * parameters.
 */
class Reached {
  readonly symbols = new Set<ts.Symbol>();
  readonly #seen = new Set<ts.Type>();

  constructor(private readonly checker: ts.TypeChecker) {}

  visitValue(symbol: ts.Symbol): void {
    this.#visit(this.checker.getTypeOfSymbol(symbol));
  }

  #visit(type: ts.Type): void {
    if (this.#seen.has(type)) return;
    this.#seen.add(type);
    this.#visitNames(type);
    if (type.isUnionOrIntersection()) return this.#visitAll(type.types);
    const symbol = type.getSymbol();
    if (symbol !== undefined && !isOfLibrary(symbol)) return;
    for (const signature of [
      ...type.getCallSignatures(),
      ...type.getConstructSignatures(),
    ]) {
      this.#visit(signature.getReturnType());
      this.#visitDefaults(signature.typeParameters ?? []);
    }
    for (const property of type.getProperties()) {
      if (isHidden(property)) continue;
      this.#visit(this.checker.getTypeOfSymbol(property));
    }
  }

  #visitAll(types: readonly ts.Type[]): void {
    for (const type of types) this.#visit(type);
  }

  #visitDefaults(parameters: readonly ts.TypeParameter[]): void {
    for (const parameter of parameters) {
      const value = this.checker.getDefaultFromTypeParameter(parameter);
      if (value) this.#visit(value);
    }
  }

  /** Records the names by which the compiler would write the type down. */
  #visitNames(type: ts.Type): void {
    this.#visitAll(type.aliasTypeArguments ?? []);
    this.#visitAll(this.#argumentsOf(type));
    const { target } = type as Partial<ts.TypeReference>;
    for (const named of [type, target]) {
      if (named?.isClassOrInterface()) this.#add(named.symbol);
    }
    if (type.aliasSymbol !== undefined) this.#add(type.aliasSymbol);
  }

  #add(symbol: ts.Symbol): void {
    if (isOfLibrary(symbol)) this.symbols.add(symbol);
  }

  #argumentsOf(type: ts.Type): readonly ts.Type[] {
    const isReference =
      (type as ts.ObjectType).objectFlags & ts.ObjectFlags.Reference;
    return isReference
      ? this.checker.getTypeArguments(type as ts.TypeReference)
      : [];
  }
}

function isOfLibrary(symbol: ts.Symbol): boolean {
  return (
    symbol.declarations?.some((each) =>
      each.getSourceFile().fileName.startsWith(LIBRARY),
    ) ?? true
  );
}

/** Members that are private or tagged `@internal`. */
function isHidden(property: ts.Symbol): boolean {
  return (
    property.declarations?.some(
      (each) =>
        ts.getCombinedModifierFlags(each) &
          (ts.ModifierFlags.Private | ts.ModifierFlags.Protected) ||
        isNamedPrivately(each) ||
        ts
          .getJSDocTags(each)
          .some(({ tagName }) => tagName.text === 'internal'),
    ) ?? false
  );
}

/** Whether a member is named with `#`. */
function isNamedPrivately(member: ts.Declaration): boolean {
  const name = ts.getNameOfDeclaration(member);
  return name !== undefined && ts.isPrivateIdentifier(name);
}

function byName(one: string, other: string): number {
  return one
    .replace(/^type /, '')
    .localeCompare(other.replace(/^type /, ''), 'en');
}
