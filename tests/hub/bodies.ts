/** How the tests' hub sends files: by ranges, and with the faults that were ordered. */

/** What goes wrong, for the next `times` requests whose "hub|cdn METHOD /path" matches. */
export interface Fault {
  match: RegExp;
  times?: number;
  status?: number;
  headers?: Record<string, string>;
  /** The connection ends after so many bytes of the body. */
  dropAfter?: number;
  ignoreRange?: boolean;
  /** One byte of the body is another. */
  corrupt?: boolean;
  /** Milliseconds between the body's pieces of 64 KiB. */
  slow?: number;
  body?: string;
  /** Sends the request elsewhere. */
  redirect?: string;
}

/** A file to send. */
export interface Content {
  bytes: Uint8Array<ArrayBuffer>;
  headers: Record<string, string>;
}

/** Answers with the bytes that a request asks for. */
export function send({ bytes, headers }: Content, request: Request, fault: Fault | undefined): Response {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "") ?? [];
  const isPart = first !== undefined && !fault?.ignoreRange;
  const begin = isPart ? Number(first) : 0;
  const end = isPart && last !== "" ? Math.min(bytes.length, Number(last) + 1) : bytes.length;
  if (isPart && begin >= bytes.length) {
    return new Response(null, { status: 416, headers: { "content-range": `bytes */${bytes.length}` } });
  }
  const body = bytes.slice(begin, end);
  if (fault?.corrupt) body[body.length >> 1] ^= 1;
  return new Response(request.method === "HEAD" ? null : bodyOf(body, fault), {
    status: isPart ? 206 : 200,
    headers: {
      ...headers,
      "content-length": String(body.length),
      ...(fault?.ignoreRange ? {} : { "accept-ranges": "bytes" }),
      ...(isPart ? { "content-range": `bytes ${begin}-${end - 1}/${bytes.length}` } : {}),
    },
  });
}

const PIECE = 64 << 10;

function bodyOf(body: Uint8Array<ArrayBuffer>, fault: Fault | undefined): BodyInit {
  if (fault?.dropAfter === undefined && fault?.slow === undefined) return body;
  const limit = fault.dropAfter ?? body.length;
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      if (at >= limit) return controller.close(); // before the promised length: the connection breaks
      if (fault.slow !== undefined) await new Promise((resolve) => setTimeout(resolve, fault.slow));
      controller.enqueue(body.slice(at, Math.min(at + PIECE, limit)));
      at = Math.min(at + PIECE, limit);
    },
  });
}
