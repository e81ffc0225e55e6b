import type { Readable } from "node:stream";

interface Common {
  readonly status: number;
  /** Set-Cookie values. */
  readonly cookies?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a route answers. Only the gate writes it to the socket, so that no route can leave out a header. */
export type Reply =
  | (Common & { readonly kind: "page"; readonly view: string; readonly data: object })
  | (Common & { readonly kind: "redirect"; readonly location: string })
  | (Common & { readonly kind: "text"; readonly type: string; readonly body: string | Buffer })
  | (Common & {
      readonly kind: "download";
      readonly name: string;
      /** Of the whole, in bytes. */
      readonly length: number;
      /** Names this very content; another content has another one. */
      readonly etag: string;
      /** If no more than that is sent. */
      readonly part?: Part;
      readonly open: (part?: Part) => Readable;
    })
  | (Common & {
      readonly kind: "stream";
      readonly name: string;
      readonly type: string;
      readonly open: () => Readable;
    });

/** The first and the last byte, both included. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

export interface Extra {
  readonly cookies?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** 303: after a form was accepted, the browser fetches the next page. `location` is a path of our own. */
export function redirect(location: string, extra: Extra = {}): Reply {
  return { kind: "redirect", status: 303, location, ...extra };
}

export function text(
  status: number,
  body: string | Buffer,
  type = "text/plain; charset=utf-8",
  extra: Extra = {},
): Reply {
  return { kind: "text", status, type, body, ...extra };
}

/**
 * A file to save, never to show: its type is not believed, its name goes out encoded.
 * @param etag names its content: a download that broke off goes on where it was, if that is the same
 * @param open begins to read, when somebody listens to what may go wrong
 */
export function download(name: string, length: number, etag: string, open: (part?: Part) => Readable): Reply {
  return { kind: "download", status: 200, name, length, etag: `"${etag}"`, open };
}

/** A file to save that is made while it is sent, so that nobody knows yet how long it gets. Its stream fails when it cannot be whole. */
export function streamed(name: string, type: string, open: () => Readable): Reply {
  return { kind: "stream", status: 200, name, type, open };
}
