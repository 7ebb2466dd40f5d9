import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ROOT } from './source-files.js'

/** The part of package.json that the tests read. */
export interface PackageManifest {
  readonly name: string
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, unknown>>
}

export function readManifest(): PackageManifest {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as PackageManifest
}

/** A folder with this package in its node_modules, as it comes out of the tarball, beside its dependencies only. */
export interface Consumer {
  readonly folder: string
  /** Paths in the tarball, without `package/`. */
  readonly packedFiles: readonly string[]
}

/** Packs and unpacks the package without a network: dependencies are links to those installed here. */
export function installPacked(): Consumer {
  buildWhenStale()
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-consumer-'))
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const packages = Object.values(JSON.parse(packed) as Record<string, PackResult>)
  const [result] = packages
  if (result === undefined || packages.length !== 1) throw new Error('expected `npm pack` to make one tarball')

  const modules = join(folder, 'node_modules')
  const target = join(modules, readManifest().name)
  mkdirSync(target, { recursive: true })
  execFileSync('tar', ['-xzf', join(folder, result.filename), '-C', target, '--strip-components=1'])
  for (const name of Object.keys(readManifest().dependencies)) link(name, modules)
  return { folder, packedFiles: result.files.map(({ path }) => path) }
}

interface PackResult {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

/** Makes an installed package visible in another node_modules. */
export function link(name: string, modules: string): void {
  mkdirSync(dirname(join(modules, name)), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules', name), join(modules, name), 'dir')
}

/** What is packed must be what the sources say now, also when a single test file is run by hand. */
function buildWhenStale(): void {
  const built = join(ROOT, 'dist', 'index.js')
  const builtAt = existsSync(built) ? statSync(built).mtimeMs : 0
  const isFresh =
    builtAt > newest(join(ROOT, 'src')) &&
    ['package.json', 'tsup.config.ts', 'tsconfig.json'].every((file) => builtAt > statSync(join(ROOT, file)).mtimeMs)
  if (!isFresh) execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] })
}

function newest(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .reduce((latest, entry) => Math.max(latest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0)
}
