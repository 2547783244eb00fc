/** `@tidings/client`: follow topics, publish, resume. */
export * from './errors.js';
//# sourceMappingURL=index.js.map