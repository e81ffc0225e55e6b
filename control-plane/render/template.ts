import Handlebars from "handlebars";

/**
 * Strict Handlebars for manifests. Every `{{value}}` becomes a JSON scalar (JSON is YAML), so a value can never end a
 * line, open a mapping or add a document. What the strict mode of Handlebars leaves open is closed here: raw output,
 * partials, decorators and comments with content are refused when a template is compiled.
 */

export type Scalar = string | number | boolean;
export type TemplateValue =
  | Scalar
  | null
  | undefined
  | readonly TemplateValue[]
  | { readonly [key: string]: TemplateValue };

/** Wraps a value so that Handlebars prints it as JSON instead of HTML. */
class JsonText {
  readonly value: Scalar;
  constructor(value: Scalar) {
    this.value = value;
  }
  toHTML(): string {
    return toJson(this.value);
  }
}

function isScalar(value: unknown): value is Scalar {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

/** JSON in which YAML's extra line ends cannot break a line either. */
function toJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u0085\u2028\u2029\u007f-\u009f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Prototype of every mapping in a context: no names at all, only what Handlebars needs to word its errors. */
const BARE: object = Object.create(null, { [Symbol.toPrimitive]: { value: () => "the values" } });

function wrap(value: TemplateValue): unknown {
  if (isScalar(value)) return new JsonText(value);
  if (value === null || value === undefined) return value;
  if (Array.isArray(value)) return value.map(wrap);
  // Without a prototype, so that `constructor` and `__proto__` are as unknown as any other name.
  const bare: Record<string, unknown> = Object.create(BARE);
  for (const [key, inner] of Object.entries(value)) bare[key] = wrap(inner);
  return bare;
}

function unwrap(value: unknown): unknown {
  if (value instanceof JsonText) return value.value;
  if (Array.isArray(value)) return value.map(unwrap);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unwrap(inner)]));
  }
  return value;
}

interface BlockOptions {
  fn(context: unknown): string;
  inverse(context: unknown): string;
}

const environment = Handlebars.create();
for (const name of Object.keys(environment.helpers)) environment.unregisterHelper(name);
environment.registerHelper("json", (value: unknown) => {
  if (value === undefined) throw new Error("json: the value is undefined");
  return new Handlebars.SafeString(toJson(unwrap(value)));
});
environment.registerHelper("if", function (this: unknown, value: unknown, options: BlockOptions) {
  const condition = unwrap(value);
  if (condition === undefined) throw new Error("if: the value is unknown");
  // As in Handlebars itself, an empty list is nothing.
  const holds = Array.isArray(condition) ? condition.length > 0 : Boolean(condition);
  return holds ? options.fn(this) : options.inverse(this);
});
environment.registerHelper("each", (list: unknown, options: BlockOptions) => {
  if (!Array.isArray(list)) throw new Error("each: the value is not a list");
  return list.map((item) => options.fn(item)).join("");
});

const KNOWN_HELPERS = new Set(["json", "if", "each"]);

function isKnownHelper(callee: hbs.AST.Expression): boolean {
  return callee.type === "PathExpression" && "original" in callee && KNOWN_HELPERS.has(String(callee.original));
}

/** Refuses what strict mode would let through. */
class TemplateGuard extends Handlebars.Visitor {
  override MustacheStatement(node: hbs.AST.MustacheStatement): void {
    if (!node.escaped) throw new Error(`line ${node.loc.start.line}: raw output {{{…}}} is not allowed`);
    this.checkHelper(node);
    super.MustacheStatement(node);
  }
  override BlockStatement(node: hbs.AST.BlockStatement): void {
    if (!isKnownHelper(node.path)) {
      throw new Error(`line ${node.loc.start.line}: only {{#if}} and {{#each}} are blocks here`);
    }
    super.BlockStatement(node);
  }
  override PartialStatement(node: hbs.AST.PartialStatement): void {
    throw new Error(`line ${node.loc.start.line}: partials are not allowed`);
  }
  override PartialBlockStatement(node: hbs.AST.PartialBlockStatement): void {
    throw new Error(`line ${node.loc.start.line}: partials are not allowed`);
  }
  override Decorator(node: hbs.AST.Decorator): void {
    throw new Error(`line ${node.loc.start.line}: decorators are not allowed`);
  }
  private checkHelper(node: hbs.AST.MustacheStatement): void {
    const called = node.params.length > 0;
    if (!called) return;
    if (!isKnownHelper(node.path)) throw new Error(`line ${node.loc.start.line}: unknown helper`);
  }
}

export type Template = (values: { readonly [key: string]: TemplateValue }) => string;

/**
 * Compiles a template.
 * @throws Error naming the template and line when it uses anything but `{{value}}`, `{{json x}}`,
 *   `{{#if}}` and `{{#each}}`; the returned function throws when a variable is unknown.
 */
export function compileTemplate(name: string, source: string): Template {
  try {
    new TemplateGuard().accept(Handlebars.parse(source));
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const compiled = environment.compile(source, { strict: true, knownHelpersOnly: false });
  return (values) => {
    try {
      return compiled(wrap(values));
    } catch (error) {
      throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
}
