// What transport-browser.mjs bundles for its tabs: the client as it is in the repository.
export { createClient } from '@tidings/client';
export { Parser } from '@tidings/client/parser';
export { tabs } from '@tidings/client/shared';
