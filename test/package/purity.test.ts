import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { impurities } from './impurities.js'
import { PURE_LAYERS, ROOT, sourceFiles } from './source-files.js'

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

/** Files that an entry reaches by imports that exist at run time, as paths from the root. */
function reachableFrom(entry: string): string[] {
  const seen = new Set<string>()
  const queue = [entry]
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file)) continue
    seen.add(file)
    for (const { fileName } of ts.preProcessFile(read(file), true, true).importedFiles) {
      if (!fileName.startsWith('.')) continue
      const target = normalize(join(dirname(file), fileName))
        .replaceAll('\\', '/')
        .replace(/\.js$/, '.ts')
      if (existsSync(join(ROOT, target))) queue.push(target)
    }
  }
  return [...seen].sort()
}

describe('the pure layers', () => {
  it.each(PURE_LAYERS)('%s has no socket, file, timer, clock or randomness in any of its files', (layer) => {
    const found = sourceFiles(`src/${layer}`).flatMap((file) =>
      impurities(file, read(file)).map((what) => `${file}:${what}`),
    )
    expect(found).toEqual([])
  })

  it.each(PURE_LAYERS.filter((layer) => existsSync(join(ROOT, 'src', layer, 'index.ts'))))(
    'what is imported through %s stays in the pure layers',
    (layer) => {
      const outside = reachableFrom(`src/${layer}/index.ts`).filter(
        (file) => !PURE_LAYERS.some((pure) => file.startsWith(`src/${pure}/`)),
      )
      expect(outside).toEqual([])
    },
  )
})

describe('the purity check itself', () => {
  it.each([
    ["import { readFileSync } from 'node:fs'", "1: import from 'node:fs'"],
    ["import net from 'net'", "1: import from 'net'"],
    ["export { connect } from 'node:tls'", "1: export from 'node:tls'"],
    ["import { createHash, randomBytes } from 'node:crypto'", '1: randomBytes of node:crypto'],
    ["import { randomUUID as createHash } from 'node:crypto'", '1: randomUUID of node:crypto'],
    ["import * as crypto from 'node:crypto'", "1: import of all of 'node:crypto': name what is used"],
    ["await import('node:fs/promises')", "1: import('node:fs/promises')"],
    ['const name = "node:" + "fs"\nawait import(name)', '2: import of a computed name'],
    ['setTimeout(() => {}, 1)', '1: setTimeout'],
    ['const wait = setTimeout', '1: setTimeout'],
    ['globalThis.setTimeout(() => {}, 1)', '1: globalThis'],
    ['const now = Date.now()', '1: Date.now'],
    ['const now = new Date()', '1: new Date()'],
    ['const now = Date()', '1: Date()'],
    ['const id = Math.random()', '1: Math.random'],
    ['const id = crypto.randomUUID()', '1: crypto'],
    ['const at = performance.now()', '1: performance'],
    ['const home = process.env.HOME', '1: process'],
    ['const { env } = process', '1: process'],
    ['type F = (process: string) => void\nprocess.exit()', '2: process'],
  ])('finds the outside world in %j', (text, expected) => {
    expect(impurities('sample.ts', text)).toEqual([expected])
  })

  it.each([
    "import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto'",
    "import type { Socket } from 'node:net'",
    'const at = new Date(nowUnixMs).toISOString()',
    'function run(process: { id: number }) { return process.id }',
    'const settings = { process: 1, fetch: 2 }; settings.fetch',
    'interface Port { fetch(text: string): void; readonly process: number }',
    '// Date.now() and setTimeout are for others\nconst text = "Date.now()"',
  ])('leaves %j alone', (text) => {
    expect(impurities('sample.ts', text)).toEqual([])
  })
})
