import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeDocumented } from './documented.js'
import { type Consumer, installPacked, link, readManifest } from './installed-package.js'
import { ROOT } from './source-files.js'

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

/** Files of the package that an entry loads, by imports of relative names. */
function builtFiles(folder: string, entry: string): readonly string[] {
  const seen = new Set<string>()
  const queue = [join(folder, entry)]
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file)) continue
    seen.add(file)
    for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(
      /(?:from|import|require)\s*\(?\s*["'](\.[^"']+)["']/g,
    )) {
      queue.push(join(dirname(file), name))
    }
  }
  return [...seen]
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

  it.each([
    ['module', 'await import'],
    ['commonjs', 'require'],
  ] as const)('says which package is missing when an SSH gateway listens without ssh2: %s', (type, load) => {
    const program = `
      const { createSshGateway } = ${load}('sallyport/gateway/ssh')
      const { ed25519KeyFrom, writeOpenSshKey } = ${load}('sallyport/credentials/ssh')
      const hostKeys = [writeOpenSshKey(ed25519KeyFrom(new Uint8Array(32)))]
      const gateway = createSshGateway({ listeners: [{ port: 0 }], resources: [], enforcer: {}, identity: {}, hostKeys })
      gateway.listen().then(
        () => console.log('"it listens"'),
        ({ code, message }) => console.log(JSON.stringify({ code, message })),
      )`
    expect(run(program, type)).toEqual({
      code: 'missing_dependency',
      message: expect.stringContaining('npm install ssh2'),
    })
  })

  it('loads ssh2 with none of its subpaths, also where it is installed', () => {
    const modules = join(consumer.folder, 'node_modules')
    const foreign = join(modules, 'ssh2')
    link('ssh2', modules)
    try {
      const loaded = run(
        `for (const specifier of ${JSON.stringify(specifiers)}) require(specifier)
         console.log(JSON.stringify(Object.keys(require.cache).filter((file) => /node_modules.ssh2.lib/.test(file))))`,
        'commonjs',
      )
      expect(loaded).toEqual([])
      const whole = run(`console.log(JSON.stringify(Object.keys(require('ssh2')).includes('Server')))`, 'commonjs')
      expect(whole).toBe(true)
    } finally {
      rmSync(foreign)
    }
  })

  it('names ssh2 in no file that the root or the SSH protocol loads', () => {
    const target = join(consumer.folder, 'node_modules', manifest.name)
    for (const entry of ['dist/index.js', 'dist/ssh.js', 'dist/index.cjs', 'dist/ssh.cjs']) {
      const files = builtFiles(target, entry)
      expect(files.length).toBeGreaterThan(1)
      const naming = files.filter((file) =>
        /(?:from|import|require)\s*\(?\s*["']ssh2["']/.test(readFileSync(file, 'utf8')),
      )
      expect(naming).toEqual([])
    }
    const naming = builtFiles(target, 'dist/gateway/ssh.js').filter((file) =>
      /import\(["']ssh2["']\)/.test(readFileSync(file, 'utf8')),
    )
    expect(naming).toHaveLength(1)
  })

  it("prints what docs/shell-analysis.md says of its example's lines", () => {
    const page = readFileSync(join(ROOT, 'docs/shell-analysis.md'), 'utf8')
    const [, program = '', printed] = /^```ts\n([\s\S]*?)^```\n\nprints\n\n```text\n([\s\S]*?)^```/m.exec(page) ?? []
    writeFileSync(join(consumer.folder, 'shell-analysis.mjs'), program)
    const out = execFileSync(process.execPath, ['shell-analysis.mjs'], { cwd: consumer.folder, encoding: 'utf8' })
    expect(out).toBe(printed)
  })

  it('guards the shell of docs/in-process.md', () => {
    const page = readFileSync(join(ROOT, 'docs/in-process.md'), 'utf8')
    const block = /^## A shell for an agent\n[\s\S]*?^```ts\n([\s\S]*?)^```/m.exec(page)?.[1] ?? ''
    const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 }
    writeFileSync(
      join(consumer.folder, 'shell.mjs'),
      ts.transpileModule(block, { compilerOptions: options }).outputText,
    )
    const out = execFileSync(process.execPath, ['shell.mjs'], { cwd: consumer.folder, encoding: 'utf8' })
    expect(out).toBe('mail to [redacted]\n\nrefused: this deletes more than can be taken back\n')
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
