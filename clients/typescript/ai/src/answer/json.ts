// Reading JSON of which nothing is known beforehand.

/** A JSON object. */
export type Fields = Record<string, unknown>;

/** Whether it is an object with members. */
export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object that the text is; undefined if it is something else or not JSON. */
export function parseObject(text: string): Fields | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What an error response says, where it is JSON of a form that is known. */
export function detailOf(text: string): string | undefined {
  const problem = parseObject(text) ?? {};
  for (const said of [problem['detail'], problem['error'], problem['title']]) {
    if (typeof said === 'string') return said;
    const message = isObject(said) ? said['message'] : undefined;
    if (typeof message === 'string') return message;
  }
  return undefined;
}
