import { readdirSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder with package.json in it. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Layers in which time, randomness and the outside world come in as arguments. */
export const PURE_LAYERS = [
  'core',
  'protocols',
  'analysis',
  'policy',
  'masking',
  'approval',
  'recording',
  'identity',
  'credentials',
  'enforcement',
]

/** TypeScript files under `folder`, without tests and what only they use (`x.test-support.ts`), as paths from the root with `/`. */
export function sourceFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !/\.test(?:-support)?\.ts$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}
