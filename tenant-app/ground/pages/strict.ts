/** A view asked for something that its data do not hold: a misspelt name, or data that were forgotten. */
export class MissingInView extends Error {
  override readonly name = "MissingInView";
}

const anyName = Symbol("any name");

/** Marks a record that may be asked for any name, such as messages by field. */
export function lenient<T extends object>(record: T): T {
  Object.defineProperty(record, anyName, { value: true });
  return record;
}

/** What the engine itself asks of objects that it walks through. */
const ofTheEngine = new Set(["toHTML", "toJSON", "then", "length", "constructor", "hasOwnProperty"]);

/**
 * The data of a view, all the way down, so that a name that is not there throws MissingInView instead of printing nothing. What may be
 * missing is given as `undefined`.
 */
export function strict<T extends object>(view: string, data: T): T {
  const made = new WeakMap<object, object>();
  const guard = (value: object, path: string): object => {
    const known = made.get(value);
    if (known !== undefined) {
      return known;
    }
    const guarded = isPlain(value) ? proxied(value, path) : value;
    made.set(value, guarded);
    return guarded;
  };
  const proxied = (target: object, path: string): object =>
    new Proxy(target, {
      get: (from, name) => {
        const value: unknown = Reflect.get(from, name);
        if (typeof value === "object" && value !== null) {
          return guard(value, typeof name === "symbol" ? path : `${path}${name}.`);
        }
        if (value === undefined && typeof name === "string" && !mayLack(from, name)) {
          throw new MissingInView(`${view}: there is no ${path}${name}`);
        }
        return value;
      },
    });
  return guard(data, "") as T;
}

/** Whether an object may be asked for a name that it does not hold. */
function mayLack(from: object, name: string): boolean {
  return Array.isArray(from) || Reflect.has(from, name) || ofTheEngine.has(name) || Reflect.has(from, anyName);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === Object.prototype || prototype === null;
}
