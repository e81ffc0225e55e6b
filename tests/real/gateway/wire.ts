import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { GATEWAY_ADDRESS, type Stage } from "./stage.ts";

/** Raw conversations with the gateway: what a browser would never send. */

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type TlsChanges = ConnectionOptions & { readonly localAddress?: string };

/** A verified TLS connection for a name; rejects with the handshake's error. Without a name no SNI is sent. */
export function openTls(stage: Stage, servername: string | undefined, changes: TlsChanges = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host: GATEWAY_ADDRESS,
      port: stage.httpsPort,
      ca: stage.ca,
      ALPNProtocols: ["http/1.1"],
      ...(servername === undefined ? { checkServerIdentity: () => undefined } : { servername }),
      ...changes,
    });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      socket.removeListener("error", reject);
      socket.on("error", () => undefined);
      resolve(socket);
    });
  });
}

export function openTcp(port: number, localAddress?: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({
      host: GATEWAY_ADDRESS,
      port,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.removeListener("error", reject);
      socket.on("error", () => undefined);
      resolve(socket);
    });
  });
}

/** Sends bytes and reads until the other side closes, or nothing has come for `patience` milliseconds. */
export function converse(socket: Socket, bytes: string, patience = 6000): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const timer = setTimeout(end, patience);
    function end(): void {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    }
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      timer.refresh();
    });
    socket.on("close", end);
    socket.write(Buffer.from(bytes, "latin1"));
  });
}

/** All responses in a text of HTTP/1.1 with Content-Length or nothing behind the last head. */
export function answersIn(text: string): Answer[] {
  const answers: Answer[] = [];
  let rest = text;
  for (;;) {
    const match = /^HTTP\/1\.[01] ([0-9]{3})[^\r]*\r\n([\s\S]*?)\r\n\r\n/.exec(rest);
    if (match === null) return answers;
    const headers: Record<string, string> = {};
    for (const line of (match[2] ?? "").split("\r\n")) {
      const [name = "", ...value] = line.split(":");
      headers[name.toLowerCase()] = value.join(":").trim();
    }
    rest = rest.slice(match[0].length);
    const length = Number(headers["content-length"] ?? rest.length);
    answers.push({
      status: Number(match[1]),
      headers,
      body: Buffer.from(rest.slice(0, length), "latin1").toString("utf8"),
    });
    rest = rest.slice(length);
  }
}

/** One HTTPS request over HTTP/1.1: SNI and Host as given. */
export async function ask1(
  stage: Stage,
  request: { readonly sni: string; readonly host?: string; readonly path?: string; readonly head?: string },
): Promise<Answer> {
  const socket = await openTls(stage, request.sni);
  const host = request.host ?? request.sni;
  const text = await converse(
    socket,
    `GET ${request.path ?? "/"} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${request.head ?? ""}\r\n`,
  );
  return firstOf(answersIn(text));
}

/** One plain HTTP request, given whole but for what ends it. */
export async function askPlain(stage: Stage, head: string): Promise<Answer> {
  return firstOf(answersIn(await converse(await openTcp(stage.httpPort), `${head}\r\nConnection: close\r\n\r\n`)));
}

/** A verified HTTP/2 connection for a name. */
export function openHttp2(stage: Stage, sni: string, localAddress?: string): ClientHttp2Session {
  const session = connectHttp2(`https://${sni}:${stage.httpsPort}`, {
    createConnection: () =>
      connectTls({
        host: GATEWAY_ADDRESS,
        port: stage.httpsPort,
        ca: stage.ca,
        servername: sni,
        ALPNProtocols: ["h2"],
        ...(localAddress === undefined ? {} : { localAddress }),
      }),
  });
  session.on("error", () => undefined);
  return session;
}

/** One request over HTTP/2; `:authority` and other headers as given. */
export function ask2(stage: Stage, sni: string, headers: OutgoingHttpHeaders): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = openHttp2(stage, sni);
    session.on("error", reject);
    const stream = session.request({ ":path": "/", ...headers });
    let status = 0;
    const received: Record<string, string> = {};
    let body = "";
    stream.on("response", (response) => {
      status = Number(response[":status"]);
      for (const [name, value] of Object.entries(response)) received[name] = String(value);
    });
    stream.on("error", (error) => {
      session.destroy();
      reject(error);
    });
    stream.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    stream.on("end", () => {
      session.close();
      resolve({ status, headers: received, body });
    });
    stream.end();
  });
}

/** SHA-256 of the certificate that a new handshake sees, lower-case hexadecimal. */
export async function seenFingerprint(stage: Stage, servername: string): Promise<string> {
  const socket = await openTls(stage, servername);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256.replaceAll(":", "").toLowerCase();
}

function firstOf(answers: readonly Answer[]): Answer {
  return answers[0] ?? { status: 0, headers: {}, body: "" };
}
