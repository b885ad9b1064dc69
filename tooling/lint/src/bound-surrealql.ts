// Bound SurrealQL. Owns: refusing SurrealQL that was built from strings.
// Does not own: text that arrives from another function or file; there the types refuse a plain string.
// B1. What goes into `query`, `transaction`, `live`, or a statement made by hand, is not interpolated, concatenated,
//     or tagged by anything but `surql`.
// B2. Raw text (`rawSurql`) is a literal. Migrations and generators may hand it text they read, but not build it there.
import type { RuleTester } from "oxlint/plugins-dev";

export type Rule = Parameters<RuleTester["run"]>[1];
type Context = Parameters<Extract<Rule, { create: unknown }>["create"]>[0];
type Visitor = ReturnType<Extract<Rule, { create: unknown }>["create"]>;
type Call = Parameters<NonNullable<Visitor["CallExpression"]>>[0];
type Node = Call["callee"] | Call["arguments"][number];
type Name = Extract<Node, { type: "Identifier" }>;
type Scope = ReturnType<Context["sourceCode"]["getScope"]>;
type Variable = Scope["variables"][number];
type Fault = "built" | "tag";

const SENDS = new Set(["query", "transaction", "live"]);
const RAW = new Set(["rawSurql", "surqlText", "surql"]); // `surql(text)` is raw; the tag surql`…` binds
const MADE = new Set(["BoundQuery", "Statement"]);
const BUILDS = new Set(["join", "replace", "replaceAll"]);
const READS_FILES = /(^|[\\/])(migrate|generate)[^\\/]*\.[cm]?ts$/;

export const boundSurrealql: Rule = {
  meta: {
    type: "problem",
    docs: { description: "SurrealQL is written with surql`…`; values are bound, never pasted in." },
    messages: {
      built: "SurrealQL built from strings: write it with surql`…`, which binds every ${value}.",
      tag: "SurrealQL under another tag than surql: only surql`…` binds its values.",
      raw: "{{name}} takes a plain literal here: values belong in surql`…`.",
    },
  },
  create(context) {
    const filename = context.filename;
    return {
      CallExpression(call) {
        const name = nameOf(call.callee);
        const text = call.arguments[0];
        if (name === undefined || text === undefined) return;
        if (RAW.has(name) && call.callee.type === "Identifier") {
          const refused = READS_FILES.test(filename)
            ? fault(text, undefined) !== undefined
            : !isLiteral(text);
          if (refused) context.report({ node: text, messageId: "raw", data: { name } });
        } else if (SENDS.has(name) && call.callee.type !== "Identifier") {
          report(context, text);
        }
      },
      NewExpression(call) {
        const text = call.arguments[0];
        if (text !== undefined && MADE.has(nameOf(call.callee) ?? "")) report(context, text);
      },
    };
  },
};

function report(context: Context, text: Node): void {
  const messageId = fault(text, context);
  if (messageId !== undefined) context.report({ node: text, messageId });
}

/** What is wrong with this text, if anything. With a context, local names are followed to what they were given. */
function fault(node: Node, context: Context | undefined, followed = new Set<Variable>()): Fault | undefined {
  const any = (nodes: Iterable<Node | null>): Fault | undefined => {
    for (const each of nodes) {
      const found = each === null ? undefined : fault(each, context, followed);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  switch (node.type) {
    case "TemplateLiteral":
      return node.expressions.length > 0 ? "built" : undefined;
    case "BinaryExpression":
      return node.operator === "+" ? "built" : undefined;
    case "TaggedTemplateExpression":
      return nameOf(node.tag) === "surql" ? undefined : "tag";
    case "CallExpression":
      return node.callee.type === "MemberExpression" && BUILDS.has(nameOf(node.callee) ?? "")
        ? "built"
        : undefined;
    case "ArrayExpression": // transaction([ … ])
      return any(node.elements);
    case "ConditionalExpression":
      return any([node.consequent, node.alternate]);
    case "LogicalExpression":
      return any([node.left, node.right]);
    case "SpreadElement":
    case "AwaitExpression":
      return any([node.argument]);
    case "ParenthesizedExpression":
    case "TSAsExpression":
    case "TSSatisfiesExpression":
    case "TSNonNullExpression":
    case "TSTypeAssertion":
      return any([node.expression]);
    case "Identifier": {
      const variable = context && variableOf(node, context);
      if (variable === undefined || followed.has(variable)) return undefined;
      followed.add(variable);
      return isAppendedTo(variable) ? "built" : any(valuesOf(variable));
    }
    default:
      return undefined;
  }
}

function variableOf(name: Name, context: Context): Variable | undefined {
  for (let scope: Scope | null = context.sourceCode.getScope(name); scope !== null; scope = scope.upper) {
    const variable = scope.set.get(name.name);
    if (variable !== undefined) return variable;
  }
  return undefined;
}

const valuesOf = (variable: Variable) =>
  variable.references.flatMap(({ writeExpr }) => (writeExpr ? [writeExpr as Node] : []));

const isAppendedTo = (variable: Variable) =>
  variable.references.some((use) => {
    const { parent } = use.identifier;
    return use.isWrite() && parent.type === "AssignmentExpression" && parent.operator === "+=";
  });

function isLiteral(node: Node): boolean {
  if (node.type === "TemplateLiteral") return node.expressions.length === 0;
  return node.type === "Literal" && typeof node.value === "string";
}

function nameOf(callee: Node): string | undefined {
  if (callee.type === "Identifier") return callee.name;
  if (callee.type !== "MemberExpression") return undefined;
  const { property } = callee;
  if (callee.computed) return property.type === "Literal" ? String(property.value) : undefined;
  return property.type === "Identifier" || property.type === "PrivateIdentifier" ? property.name : undefined;
}
