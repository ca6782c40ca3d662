/** Tells how large the web files are, minified and gzipped, as JSON: `node size.js <static>`. */

import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const [, , folder] = process.argv;

/** What is fetched only when it is needed stays outside. */
const onDemand = {
  name: 'on-demand',
  setup({ onResolve }) {
    onResolve({ filter: /./ }, ({ kind, path }) => (kind === 'dynamic-import' ? { path, external: true } : undefined));
  },
};

async function size(contents, plugins) {
  const stdin = { contents, resolveDir: folder };
  const options = { bundle: true, minify: true, format: 'esm', target: 'es2022', write: false, external: ['../locales/*'] };
  const { outputFiles } = await build({ ...options, stdin, plugins });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

const both = "import './define.js'; export * from './client.js';";
const modules = ['tabs', 'toasts', 'sound', 'title-badge', 'app-badge', 'push', 'preferences', 'snooze-menu', 'row-actions', 'long-list'];
console.log(
  JSON.stringify({
    client: await size("export * from './client.js';", [onDemand]),
    page: await size(both, [onDemand]),
    all: await size(both + modules.map((name, index) => `export * as part${index} from './bell/${name}.js';`).join(''), []),
  }),
);
