// Indexes and analyzers, as they are declared beside a table.

import { SchemaError } from "./errors.ts";
import type { IndexDefinition } from "./definition.ts";
import { nameText, numberText, requireName, stringText } from "./literal.ts";

/** What an index is, before its table is known. Made by `index`, `unique`, `fullText` and `vector`. */
export interface Index<Field extends string = string> {
  readonly fields: readonly Field[];
  readonly clause: string;
}

/**
 * An index over one or more fields, in this order. Put what is compared for equality first, what is a range last.
 *
 * @example indexes: { byOwner: index("owner", "createdAt") }
 */
export function index<const Field extends string>(...fields: Field[]): Index<Field> {
  return { fields, clause: "" };
}

/** An index that lets no two rows hold the same values. @example indexes: { byEmail: unique("email") } */
export function unique<const Field extends string>(...fields: Field[]): Index<Field> {
  return { fields, clause: "UNIQUE" };
}

export interface FullTextOptions {
  /** Made by `defineAnalyzer`. */
  analyzer: Analyzer;
  /** Ranking: how much a repeated word counts (`k1`) and how much a long text is held against it (`b`). */
  bm25?: { k1: number; b: number };
  /** Whether places of words are kept, for `search::highlight`. */
  highlights?: boolean;
}

/** A full-text index on a field. @example indexes: { text: fullText("body", { analyzer: english }) } */
export function fullText<const Field extends string>(
  field: Field,
  { analyzer, bm25 = { k1: 1.2, b: 0.75 }, highlights = false }: FullTextOptions,
): Index<Field> & { analyzer: Analyzer } {
  const ranking = `BM25(${requireFinite(bm25.k1)},${requireFinite(bm25.b)})`;
  const clause = `FULLTEXT ANALYZER ${nameText(analyzer.name)} ${ranking}${highlights ? " HIGHLIGHTS" : ""}`;
  return { fields: [field], clause, analyzer };
}

export interface VectorOptions {
  /** How many numbers a vector has. */
  dimension: number;
  distance?: "cosine" | "euclidean" | "manhattan" | "chebyshev" | "hamming";
  /** How a number is kept in the index. */
  type?: "f32" | "f64" | "i64" | "i32" | "i16";
  /** HNSW: how thoroughly the graph is built. Higher finds better and builds slower. */
  efConstruction?: number;
  /** HNSW: how many neighbours a point has. */
  m?: number;
}

/**
 * A nearest-neighbour index (HNSW) on a field of numbers. A vector of zeros has no direction: refuse it before you store
 * it, as its cosine distance is NaN and sorts first.
 *
 * @throws `schema.bad_table` if the dimension is no positive integer
 * @example indexes: { near: vector("embedding", { dimension: 384 }) }
 */
export function vector<const Field extends string>(
  field: Field,
  { dimension, distance = "cosine", type = "f32", efConstruction = 150, m = 12 }: VectorOptions,
): Index<Field> {
  for (const [name, value] of Object.entries({ dimension, efConstruction, m })) requirePositive(name, value);
  const graph = `EFC ${efConstruction} M ${m}`;
  const clause = `HNSW DIMENSION ${dimension} DIST ${distance.toUpperCase()} TYPE ${type.toUpperCase()} ${graph}`;
  return { fields: [field], clause };
}

/** How text is cut into words for a full-text index. */
export interface Analyzer {
  readonly name: string;
  readonly clause: string;
}

type Tokenizer = "blank" | "camel" | "class" | "punct";
type Filter =
  | "ascii"
  | "lowercase"
  | "uppercase"
  | { snowball: string }
  | { edgengram: [min: number, max: number] }
  | { ngram: [min: number, max: number] };

/**
 * An analyzer for full-text indexes.
 *
 * @example const english = defineAnalyzer({ name: "english", tokenizers: ["blank", "class"], filters: ["lowercase", { snowball: "english" }] });
 */
export function defineAnalyzer({
  name,
  tokenizers,
  filters = [],
  comment,
}: {
  name: string;
  tokenizers: readonly Tokenizer[];
  filters?: readonly Filter[];
  comment?: string;
}): Analyzer {
  const clause = [
    tokenizers.length > 0 && `TOKENIZERS ${tokenizers.map(requireWord).join(", ")}`,
    filters.length > 0 && `FILTERS ${filters.map(filterText).join(", ")}`,
    comment !== undefined && `COMMENT ${stringText(comment)}`,
  ];
  return Object.freeze({ name: requireName(name, "an analyzer"), clause: clause.filter(Boolean).join(" ") });
}

function filterText(filter: Filter): string {
  if (typeof filter === "string") return requireWord(filter);
  if ("snowball" in filter) return `snowball(${requireWord(filter.snowball)})`;
  const [name, sizes] = "ngram" in filter ? ["ngram", filter.ngram] : ["edgengram", filter.edgengram];
  return `${name}(${sizes.map((size) => requirePositive("size", size)).join(",")})`;
}

function requireWord(word: string): string {
  if (/^[a-z]+$/i.test(word)) return word;
  throw new SchemaError({
    code: "schema.bad_table",
    message: `${JSON.stringify(word)} is no word of an analyzer`,
  });
}

function requireFinite(value: number): number {
  if (Number.isFinite(value)) return value;
  throw new SchemaError({ code: "schema.bad_table", message: `${value} is no weight for a ranking` });
}

function requirePositive(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new SchemaError({
    code: "schema.bad_table",
    message: `the ${name} of an index is a positive integer, and not ${numberText(value)}`,
  });
}

/** The path of a field as SurrealQL spells it: `address.city`, `tags.*`. */
function pathText(path: string): string {
  return path
    .split(".")
    .map((part) => (part === "*" ? part : nameText(part)))
    .join(".");
}

export function indexDefinition({ fields, clause }: Index): IndexDefinition {
  return { fields: fields.map(pathText), clause };
}
