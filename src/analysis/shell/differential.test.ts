import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { ShellFacts } from '../../core/index.js'
import { corpusCases } from './corpus.test-support.js'
import { createShellAnalyzer } from './index.js'

/**
 * Real shells say what they would run. No line runs as it is: every slash becomes another character first, so that
 * no program and no file has a path, and the PATH holds nothing but scripts that write down how they were called.
 */
const SHELLS = ['/bin/bash', '/bin/dash'].filter((shell) => existsSync(shell))
const analyzer = createShellAnalyzer()
const box = mkdtempSync(join(tmpdir(), 'sallyport-shell-'))
const log = `${box}.log`
const work = `${box}.work`
const made = new Set<string>()
afterAll(() => {
  rmSync(box, { recursive: true, force: true })
  rmSync(log, { force: true })
  rmSync(work, { recursive: true, force: true })
})

/** Those that shells run themselves without harm, and without anybody to ask how they were called. */
const BUILTINS = new Set([
  ...[
    'echo',
    'printf',
    'true',
    'false',
    'test',
    '[',
    ':',
    'cd',
    'set',
    'export',
    'unset',
    'pwd',
    'type',
    'read',
    'umask',
  ],
])
/** Never run, not even here. */
const REFUSED =
  /\b(?:kill|exec|exit|while|until|wait|suspend|ulimit|trap|fc|history|command|builtin|hash|enable|source|logout|coproc|alias|jobs|bg|fg|disown|times|let|local|readonly|shopt|return|break|continue)\b|bash -l|\(\)|\$0|(?:^|\s)\.\s/

function shim(name: string): void {
  if (made.has(name)) return
  made.add(name)
  const file = join(box, name)
  const isShell = /^(?:sh|dash|bash)$/.test(name)
  const body = isShell
    ? `exec /bin/${name === 'bash' ? 'bash' : 'dash'} "$@"`
    : `printf '%s\\0' "$SHIM_NAME" "$@" '<end>' >> '${log}'`
  writeFileSync(file, `#!/bin/dash\nSHIM_NAME='${name}'\n${body}\n`)
  chmodSync(file, 0o755)
}

/** Files that are read and directories that are gone to have to be there. */
function furnish(facts: ShellFacts): void {
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work)
  for (const { program, operands } of facts.commands)
    if (program === 'cd') mkdirSync(join(work, operands[0] ?? '.'), { recursive: true })
  for (const { path, modes } of facts.files) {
    if (modes.includes('read') && !existsSync(join(work, path))) writeFileSync(join(work, path), '')
  }
}

function run(shell: string, text: string): readonly string[] {
  rmSync(log, { force: true })
  spawnSync(shell, ['-c', text], { cwd: work, env: { PATH: box, HOME: '~' }, timeout: 10_000, input: '' })
  if (!existsSync(log)) return []
  return readFileSync(log, 'utf8')
    .split('<end>\0')
    .slice(0, -1)
    .map((call) => JSON.stringify(call.split('\0').slice(0, -1)))
    .sort()
}

function predicted(facts: ShellFacts): readonly string[] {
  return facts.commands
    .filter(({ program }) => program !== undefined && !BUILTINS.has(program))
    .map((command) => JSON.stringify([command.program, ...command.arguments]))
    .sort()
}

function isSafe(text: string, facts: ShellFacts): boolean {
  return (
    facts.certainty === 'exact' &&
    !REFUSED.test(text) &&
    !facts.hazards.includes('fork-bomb') &&
    facts.commands.every(({ program, word, wrappers }) => {
      return (
        /^[\w.+[:-]+$/.test(program ?? '') &&
        !word.includes('/') &&
        wrappers.every((wrapper) => /^(?:sh|bash|dash) -c$|^eval$/.test(wrapper))
      )
    })
  )
}

const CASES = ['corpus-dangerous.txt', 'corpus-harmless.txt']
  .flatMap((name) => corpusCases(readFileSync(join(import.meta.dirname, name), 'utf8')))
  .map(({ text }) => text.replaceAll('/', '%'))
  .filter((text) => isSafe(text, analyzer.analyze(text)))

describe.each(SHELLS)('what %s would run', (shell) => {
  it('is compared on enough lines', () => {
    expect(CASES.length).toBeGreaterThan(200)
  })

  it('is what the facts name, for every line of the corpus that is exact', () => {
    const differences: string[] = []
    for (const text of CASES) {
      const facts = analyzer.analyze(text)
      for (const { program } of facts.commands) if (program !== undefined && !BUILTINS.has(program)) shim(program)
      for (const name of ['sh', 'bash', 'dash']) shim(name)
      furnish(facts)
      const seen = run(shell, text)
      const named = predicted(facts).filter((call) => !/^\["(?:sh|bash|dash)"/.test(call))
      const isBranching = /\|\||\bif\b|\bcase\b|\bfalse\b|\btest\b|\[/.test(text)
      const isSame = isBranching
        ? seen.every((call) => named.includes(call))
        : JSON.stringify(seen) === JSON.stringify(named)
      if (!isSame) differences.push(`${text}\n  ran   ${seen.join(' ')}\n  named ${named.join(' ')}`)
    }
    expect(differences).toEqual([])
  }, 120_000)

  it('is what the facts name, however its words are quoted', () => {
    shim('probe')
    const piece = fc.oneof(
      fc
        .string({ unit: fc.constantFrom(...'ab $`"\\*?[]{}~!#&;|<>()=-\'\n\t\u00e9'), maxLength: 5 })
        .map((text) => `'${text.replaceAll("'", "'\\''")}'`),
      fc.string({ unit: fc.constantFrom(..."ab *?[]{}~#&;|<>()=-'\n\té"), maxLength: 5 }).map((text) => `"${text}"`),
      fc.string({ unit: fc.constantFrom(...'ab'), maxLength: 5 }),
      fc.constantFrom(...' $`"\\*?[]{}~#&;|<>()=-\'\n').map((character) => `\\${character}`),
      fc.constantFrom('"\\$"', '"\\`"', '"\\\\"', '"\\""', '"\\a"', '"a\\\nb"', '=', '-', '%', '@', ':', ',', '+', '!'),
    )
    const word = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join(''))
    const line = fc.array(word, { maxLength: 4 }).map((words) => ['probe', ...words].join(' '))
    const lines = fc.sample(line, { numRuns: 600, seed: 7 })
    const exact = lines.filter((text) => analyzer.analyze(text).certainty === 'exact')
    expect(exact.length).toBeGreaterThan(300)
    const text = exact.join('\n')
    rmSync(log, { force: true })
    spawnSync(shell, ['-c', text], { cwd: box, env: { PATH: box, LC_ALL: 'C.UTF-8' }, timeout: 60_000, input: '' })
    const seen = readFileSync(log, 'utf8').split('<end>\0').slice(0, -1)
    seen.forEach((call, index) => {
      const [command] = analyzer.analyze(exact[index] ?? '').commands
      expect(call.split('\0').slice(0, -1), exact[index]).toEqual(['probe', ...(command?.arguments ?? [])])
    })
    expect(seen.length).toBe(exact.length)
  }, 120_000)
})
