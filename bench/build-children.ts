import { join } from 'node:path'
import { build } from 'tsup'

const CHILDREN = ['relay', 'gateway', 'reader', 'null-server'] as const

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
  const file = (name: string): string => join(outDir, `${name}.mjs`)
  return { relay: file('relay'), gateway: file('gateway'), reader: file('reader'), 'null-server': file('null-server') }
}
