import { defineConfig } from 'tsup'

/** One entry per subpath of `exports` in package.json: the key is the file's name in `dist`. */
const library = {
  index: 'src/index.ts',
  core: 'src/core/index.ts',
  policy: 'src/policy/index.ts',
  masking: 'src/masking/index.ts',
  approval: 'src/approval/index.ts',
  recording: 'src/recording/index.ts',
  identity: 'src/identity/index.ts',
  credentials: 'src/credentials/index.ts',
  enforcement: 'src/enforcement/index.ts',
  streams: 'src/streams/index.ts',
  gateway: 'src/gateway/index.ts',
  testing: 'src/testing/index.ts',
  postgres: 'src/protocols/postgres/index.ts',
  'analysis/postgres': 'src/analysis/sql/postgres/index.ts',
  ssh: 'src/protocols/ssh/index.ts',
  'analysis/shell': 'src/analysis/shell/index.ts',
  'identity/ssh': 'src/identity/ssh/index.ts',
  'credentials/ssh': 'src/credentials/ssh/index.ts',
  'gateway/ssh': 'src/gateway/ssh/index.ts',
}

export default defineConfig({
  entry: { ...library, cli: 'src/cli/main.ts' },
  format: ['esm', 'cjs'],
  target: 'node20',
  platform: 'node',
  // Shared chunks, in CommonJS too: a class imported through two subpaths is one class.
  splitting: true,
  shims: true,
  sourcemap: true,
  clean: true,
  treeshake: false,
  dts: {
    entry: library,
    // tsup sets `baseUrl` by itself, which TypeScript 6 calls deprecated.
    compilerOptions: { ignoreDeprecations: '6.0' },
  },
})
