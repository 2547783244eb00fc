// Where an answer of the relay is: what its first response says about coming back and stopping.

/** An answer of the relay, as the headers of its first response describe it. */
export interface AnswerHandle {
  /** Where it is read, its read token included (`Link`, `rel="alternate"`). */
  url: string;
  /** Where it is stopped with POST, its stop token included (`Tidings-Stop`). */
  stop?: string;
  /** Its topic (`Tidings-Topic`), for display and for logs: reading takes the token. */
  topic?: string;
}

/**
 * Reads the handle of an answer from the response that began it.
 *
 * @param response the response to the POST that asked for a stream
 * @param base where the server's own paths (`/topics`, `/answers`) are found; the response's URL if
 *   not given. Needed behind a proxy that puts the server below a path of its own.
 * @returns undefined if the response says nothing of where its answer can be read again: it is then
 *   not from the relay, or a page of another origin is not shown the headers
 */
export function answerOf(response: Response, base?: string | URL): AnswerHandle | undefined {
  const target = alternate(response.headers.get('link') ?? '');
  if (target === undefined) return undefined;
  const handle: AnswerHandle = { url: resolve(target, base, response.url) };
  const stop = response.headers.get('tidings-stop');
  const topic = response.headers.get('tidings-topic');
  if (stop !== null) handle.stop = resolve(stop, base, response.url);
  if (topic !== null) handle.topic = topic;
  return handle;
}

/** The target of the link that leads to the same answer as an event stream (RFC 8288). */
function alternate(header: string): string | undefined {
  for (const [, target, params = ''] of header.matchAll(/<([^>]*)>((?:\s*;[^,]*)*)/g)) {
    const rel = /;\s*rel="?([^";]*)"?/i.exec(params)?.[1];
    const type = /;\s*type="?([^";]*)"?/i.exec(params)?.[1];
    if (rel === 'alternate' && type === 'text/event-stream') return target;
  }
  return undefined;
}

/** `path` below `base`, which keeps its own path, or beside the response. */
function resolve(path: string, base: string | URL | undefined, response: string): string {
  if (base === undefined) return response === '' ? path : new URL(path, response).href;
  const text = String(base).replace(/\/$/, '');
  if (!path.startsWith('/')) return path;
  return text + path;
}
