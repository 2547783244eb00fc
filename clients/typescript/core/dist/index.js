/** `@tidings/client`: follow topics, publish, resume. */
export { createClient, json } from './client.js';
export { TidingsError, UnauthorizedError } from './errors.js';
//# sourceMappingURL=index.js.map