import { join } from 'node:path'
import { build } from 'tsup'

const CHILDREN = [
  'relay',
  'gateway',
  'reader',
  'null-server',
  'ssh-relay',
  'ssh-gateway',
  'ssh-client',
  'ssh-null-server',
] as const

/** Where each of them is. */
export type ChildFiles = Readonly<Record<(typeof CHILDREN)[number], string>>

/**
 * Builds the programs that are measured the way the package is built: the code that ships is what runs, with no
 * loader in the way.
 */
export async function buildChildren(): Promise<ChildFiles> {
  // Inside the package, so that its dependencies are found.
  const root = join(import.meta.dirname, '..')
  const outDir = join(root, '.sallyport', `bench-${process.pid}`)
  await build({
    config: false,
    entry: Object.fromEntries(CHILDREN.map((name) => [name, join(import.meta.dirname, `children/${name}.ts`)])),
    outDir,
    format: 'esm',
    outExtension: () => ({ js: '.mjs' }),
    target: 'node20',
    platform: 'node',
    splitting: true,
    treeshake: false,
    sourcemap: true,
    silent: true,
  })
  return Object.fromEntries(CHILDREN.map((name) => [name, join(outDir, `${name}.mjs`)])) as ChildFiles
}
