/**
 * Adds what a registry that mirrors only some platforms leaves out of package-lock.json: packages with prebuilt
 * binaries for other systems. Without their entries `npm ci` calls the lock file incomplete everywhere. A package
 * that the registry did not have gets no integrity hash; its version is exact all the same.
 *
 * Run it after `npm install` when `test/package/lockfile.test.ts` says so.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface LockEntry {
  readonly version?: string
  readonly cpu?: readonly string[]
  readonly dev?: boolean
  readonly engines?: unknown
  readonly libc?: readonly string[]
  readonly license?: string
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const SYSTEMS = new Set(['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'])

const file = join(dirname(fileURLToPath(import.meta.url)), '..', 'package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, LockEntry> }
const added: string[] = []

for (const [path, { optionalDependencies, version }] of Object.entries(lock.packages)) {
  const names = Object.keys(optionalDependencies ?? {})
  const sibling = names.map((name) => lookUp(path, name)).find((entry) => entry !== undefined)
  for (const name of names) {
    if (lookUp(path, name) !== undefined) continue
    const wanted = optionalDependencies?.[name]
    const system = systemOf(name)
    if (sibling === undefined || system === undefined || wanted === undefined || !/^\d/.test(wanted)) {
      console.error(`cannot complete \`${name}@${wanted}\` of \`${path}\` ${version}: add it by hand`)
      process.exitCode = 1
      continue
    }
    const { dev, engines, license } = sibling
    const place = `node_modules/${name}`
    lock.packages[lock.packages[place] === undefined ? place : `${path}/${place}`] = withoutUndefined({
      version: wanted,
      cpu: [system.cpu],
      dev,
      libc: system.libc === undefined ? undefined : [system.libc],
      license,
      optional: true,
      os: [system.os],
      engines,
    })
    added.push(`${name}@${wanted}`)
  }
}

const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'))
if (added.length > 0) {
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`)
}
console.log(added.length === 0 ? 'the lock file is complete' : `added ${added.length}: ${added.join(', ')}`)

/** The entry that Node would find for `name` from the package at `path`. */
function lookUp(path: string, name: string): LockEntry | undefined {
  for (let folder = path; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/node_modules/'), 0))) {
    const entry = lock.packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`]
    if (entry !== undefined || folder === '') return entry
  }
}

/** Reads the end of names such as `binding-linux-arm64-musl`. */
function systemOf(name: string): { os: string; cpu: string; libc?: string } | undefined {
  const words = name.split(/[/-]/)
  const at = words.findIndex((word) => SYSTEMS.has(word))
  const [os, cpu, abi] = words.slice(at)
  if (at < 0 || os === undefined || cpu === undefined) return undefined
  if (os !== 'linux') return { os, cpu }
  return { os, cpu, libc: abi?.startsWith('musl') ? 'musl' : 'glibc' }
}

function withoutUndefined(entry: Readonly<Record<string, unknown>>): LockEntry {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined))
}
