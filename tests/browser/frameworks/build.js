/** Bundles the pages of this folder as an app's own build would: `node build.js <static> <to>`. */

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { compile } from 'svelte/compiler';

const [, , files, to] = process.argv;
const here = dirname(fileURLToPath(import.meta.url));

const svelte = {
  name: 'svelte',
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
      const { js } = compile(await readFile(path, 'utf8'), { filename: path, generate: 'client' });
      return { contents: js.code };
    });
  },
};

await build({
  entryPoints: ['react.jsx', 'vue.js', 'svelte.js', 'plain.js'].map((name) => join(here, name)),
  bundle: true,
  format: 'esm',
  splitting: true,
  outdir: to,
  jsx: 'automatic',
  alias: { '@bellwire/client/define': join(files, 'define.js'), '@bellwire/client': join(files, 'client.js') },
  conditions: ['browser'],
  define: { 'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
  plugins: [svelte],
});
