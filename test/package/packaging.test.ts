import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeDocumented } from './documented.js'
import { type Consumer, installPacked, link, readManifest } from './installed-package.js'

const manifest = readManifest()
/** Specifiers of all code entries: `sallyport`, `sallyport/core` and so on. */
const specifiers = Object.keys(manifest.exports)
  .filter((path) => !path.endsWith('.json'))
  .map((path) => manifest.name + path.slice(1))

let consumer: Consumer

beforeAll(() => {
  consumer = installPacked()
}, 300_000)

afterAll(() => {
  rmSync(consumer.folder, { recursive: true, force: true })
})

/** Runs a program text in the consumer's folder and parses what it prints. */
function run(text: string, type: 'module' | 'commonjs'): unknown {
  const printed = execFileSync(process.execPath, [`--input-type=${type}`, '--eval', text], {
    cwd: consumer.folder,
    encoding: 'utf8',
  })
  return JSON.parse(printed) as unknown
}

/** What the compiler says about files in the consumer's folder; empty when it has nothing to say. */
function typeProblems(files: readonly string[], moduleResolution: string): string {
  const modules = join(consumer.folder, 'node_modules')
  for (const name of ['typescript', '@types/node', 'pg', '@types/pg', 'postgres']) {
    if (!existsSync(join(modules, name))) link(name, modules)
  }
  const compilerOptions = {
    target: 'ES2023',
    lib: ['ES2023'],
    module: moduleResolution === 'Bundler' ? 'ESNext' : moduleResolution,
    moduleResolution,
    strict: true,
    exactOptionalPropertyTypes: true,
    // The declarations themselves must hold too.
    skipLibCheck: false,
    noEmit: true,
    types: ['node'],
  }
  writeFileSync(join(consumer.folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  const tsc = join(modules, 'typescript', 'bin', 'tsc')
  const { stdout, stderr } = spawnSync(process.execPath, [tsc, '--project', consumer.folder], { encoding: 'utf8' })
  return stdout + stderr
}

const importAll = `
  const names = {}
  for (const specifier of ${JSON.stringify(specifiers)}) names[specifier] = Object.keys(await import(specifier)).sort()
  console.log(JSON.stringify(names))`

const requireAll = `
  const names = {}
  for (const specifier of ${JSON.stringify(specifiers)}) names[specifier] = Object.keys(require(specifier)).sort()
  console.log(JSON.stringify(names))`

describe('the packed package', () => {
  it('has every subpath importable and requirable, with the same names in both', () => {
    const imported = run(importAll, 'module') as Record<string, string[]>
    expect(Object.keys(imported)).toEqual(specifiers)
    expect(imported['sallyport/core']).toContain('SallyportError')
    expect(run(requireAll, 'commonjs')).toEqual(imported)
  })

  it('has one class behind all the subpaths that export it', () => {
    expect(
      run(
        `import * as root from 'sallyport'
         import * as core from 'sallyport/core'
         console.log(JSON.stringify(root.SallyportError === core.SallyportError))`,
        'module',
      ),
    ).toBe(true)
    expect(
      run(
        `console.log(JSON.stringify(require('sallyport').SallyportError === require('sallyport/core').SallyportError))`,
        'commonjs',
      ),
    ).toBe(true)
  })

  it('has no default export anywhere', () => {
    for (const names of Object.values(run(importAll, 'module') as Record<string, string[]>)) {
      expect(names).not.toContain('default')
    }
  })

  it('has its policy schema where the schema says it is', () => {
    const schema = run(
      `console.log(JSON.stringify(require('sallyport/schema/policy.schema.json')))`,
      'commonjs',
    ) as Record<string, unknown>
    expect(schema['$schema']).toMatch(/^https?:\/\/json-schema\.org\//)
  })

  it('has a command that Node can run', () => {
    const command = join(consumer.folder, 'node_modules', manifest.name, manifest.bin['sallyport'] ?? '')
    expect(readFileSync(command, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
    const help = execFileSync(process.execPath, [command, '--help'], { cwd: consumer.folder, encoding: 'utf8' })
    expect(help).toContain('verify')
  })

  it('carries no sources, tests or stray files', () => {
    const strangers = consumer.packedFiles.filter(
      (path) => !/^(?:dist\/|schema\/|package\.json$|[A-Z]+(?:\.md)?$)/.test(path),
    )
    expect(strangers).toEqual([])
    expect(consumer.packedFiles).toContain('LICENSE')
    expect(consumer.packedFiles).toContain('README.md')
  })

  it('type-checks every program and fragment of the README and the guides', () => {
    const files = writeDocumented(consumer.folder)
    expect(files.length).toBeGreaterThan(15)
    expect(typeProblems(files, 'NodeNext')).toBe('')
  }, 120_000)

  it.each([
    { moduleResolution: 'NodeNext', files: ['consumer.mts', 'consumer.cts'] },
    { moduleResolution: 'Bundler', files: ['consumer.mts'] },
  ])(
    'type-checks with moduleResolution $moduleResolution in $files',
    ({ moduleResolution, files }) => {
      const imports = specifiers.map((specifier, index) => `import * as entry${index} from '${specifier}'`)
      const uses = `
        import { SallyportError, type ErrorCode } from 'sallyport/core'
        const code: ErrorCode = new SallyportError('limit_exceeded', 'too long').code
        // @ts-expect-error a code that is not one
        const wrong: ErrorCode = 'no such code'
        console.log(code, wrong, [${specifiers.map((_, index) => `entry${index}`).join(', ')}])`
      for (const file of files) writeFileSync(join(consumer.folder, file), [...imports, uses].join('\n'))
      expect(typeProblems(files, moduleResolution)).toBe('')
    },
    120_000,
  )
})
