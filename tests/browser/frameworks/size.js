/** Tells how large the web files are, minified and gzipped, as JSON: `node size.js <static>`. */

import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const [, , folder] = process.argv;

/** Leave out what is fetched only when it is needed: everything of that kind, or the languages alone. */
function without(filter) {
  const setup = ({ onResolve }) =>
    onResolve({ filter }, ({ kind, path }) => (kind === 'dynamic-import' ? { path, external: true } : undefined));
  return { name: 'without', setup };
}

async function size(contents, left) {
  const stdin = { contents, resolveDir: folder };
  const options = { bundle: true, minify: true, format: 'esm', target: 'es2022', write: false };
  const { outputFiles } = await build({ ...options, stdin, plugins: [without(left)] });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

const page = "import './define.js'; export * from './client.js';";
console.log(
  JSON.stringify({
    client: await size("export * from './client.js'; export * from './attention.js';", /./),
    page: await size(page, /./),
    opened: await size(`${page} export * from './bell/item-list.js';`, /./),
    all: await size(page, /locales/),
  }),
);
