import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type DecisionContext,
  type FileAccess,
  type PolicyOutcome,
  SallyportError,
  type ShellFacts,
  type ShellSimpleCommand,
} from '../core/index.js'
import { createTextCompiler } from './compile-match.js'
import { compileRule } from './compile-rule.js'
import { findingOf } from './decider.js'
import { createPolicy, type Match, re2jsEngine, type Rule } from './index.js'
import { isUnparsedCommand, viewsOf } from './view.js'
import { forward, line, request, sftp, shell, simple, terminal, UNPARSED_LINE } from './channels.test-support.js'

// Small worlds, so that rules and commands meet often.
const list = <T>(entry: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.uniqueArray(entry, { minLength: 1, maxLength: 2 })
const mode = fc.constantFrom('read', 'write', 'create', 'delete')
const hazard = fc.constantFrom('shutdown', 'persistence')
const program = fc.constantFrom('ls', 'rm', '/tmp/ls')
const path = fc.constantFrom('/etc/a', '/tmp/a', '/tmp/b/c', '~/a', 'a', '/tmp/../etc/a', '$X', '/tmp/*')
const pathPattern = fc.constantFrom('/etc/**', '/tmp/**', '/tmp/*', '~/a', 'a', '**', '/tmp/b', '/etc/a')

const flatMatch: fc.Arbitrary<Match> = fc
  .record({
    kinds: list(fc.constantFrom('shell', 'sftp', 'terminal', 'port-forward', 'ssh-request')),
    programs: list(
      fc.oneof(
        fc.constantFrom('ls', 'rm', '*', '/tmp/*'),
        fc.record({ programs: fc.constantFrom('ls', 'rm', 'r*'), flags: list(fc.constantFrom('force', 'all')) }),
      ),
    ),
    hazards: list(hazard),
    files: list(
      fc.oneof(
        pathPattern,
        fc.record({ files: list(pathPattern), access: list(fc.constantFrom('read', 'change', 'write', 'delete')) }),
      ),
    ),
    hosts: list(fc.constantFrom('db', '*', 'd*', '10.0.0.1')),
    ports: list(fc.constantFrom(22, 80)),
    isPrivileged: fc.boolean(),
    isRemote: fc.boolean(),
    wrappers: list(fc.constantFrom('sudo', 'sh', '*')),
    operations: list(fc.constantFrom('open', 'rename')),
    requests: list(fc.constantFrom('env', 'shell', 'direct-*')),
    names: list(fc.constantFrom('LANG', 'L*')),
    hasTerminal: fc.boolean(),
    environment: list(fc.constantFrom('LANG', 'L*', 'LD_PRELOAD')),
    text: fc.constantFrom('ls', 'x'),
    certainty: list(fc.constantFrom('exact', 'conservative', 'unparsed')),
  })
  .chain((all) => fc.subarray(Object.entries(all), { maxLength: 3 }))
  .map((entries): Match => Object.fromEntries(entries))

const match: fc.Arbitrary<Match> = fc
  .tuple(flatMatch, fc.option(flatMatch, { nil: undefined, freq: 2 }))
  .map(([outer, inner]) => (inner === undefined || Object.keys(inner).length === 0 ? outer : { ...outer, not: inner }))

const effect = fc.constantFrom('deny', 'hold', 'allow', 'allow')

const rules: fc.Arbitrary<readonly Rule[]> = fc
  .array(fc.tuple(effect, match, fc.constantFrom('guarded', 'record', undefined)), { maxLength: 8 })
  .map((entries) =>
    entries.map(
      ([kind, about, mode], index): Rule => ({
        id: `r${(index * 7) % 10}`,
        effect: kind,
        match: about,
        ...(mode === undefined ? {} : { terminal: mode }),
      }),
    ),
  )

const access: fc.Arbitrary<FileAccess> = fc
  .record({ path, modes: fc.uniqueArray(mode, { maxLength: 2 }), isRecursive: fc.boolean(), isExact: fc.boolean() })
  .map((entry) => ({ ...entry, isExact: entry.isExact && !/[$*]/.test(entry.path) }))
const command: fc.Arbitrary<ShellSimpleCommand> = fc
  .record({
    word: program,
    isUnknown: fc.nat(5),
    flags: fc.subarray(['all', 'force']),
    wrappers: fc.subarray(['sudo', 'sh -c']),
    assignments: fc.subarray([
      { name: 'LANG', value: 'C' },
      { name: 'LD_PRELOAD', value: undefined },
    ]),
    isRemote: fc.boolean(),
  })
  .map(({ word, isUnknown, ...rest }) =>
    simple(word, { ...rest, ...(isUnknown === 0 ? { program: undefined, certainty: 'conservative' } : {}) }),
  )
const facts: fc.Arbitrary<ShellFacts> = fc
  .record({
    commands: fc.array(command, { maxLength: 2 }),
    files: fc.array(access, { maxLength: 2 }),
    hazards: fc.subarray(['shutdown', 'persistence'] as const),
    isPrivileged: fc.boolean(),
    network: fc.subarray([
      { host: 'db', port: 22, direction: 'connect' },
      { host: undefined, direction: 'listen' },
    ] as const),
  })
  .map(({ commands, ...rest }) => line(commands, rest))

const context: fc.Arbitrary<DecisionContext> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(facts, fc.boolean(), fc.constantFrom('ls', 'ls x'))
      .map(([whole, tty, text]) => shell(whole, { hasTerminal: tty, text })),
  },
  { weight: 1, arbitrary: fc.constant(shell(UNPARSED_LINE, { text: 'ls' })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('open', 'rename'), fc.array(access, { maxLength: 2 }))
      .map(([name, files]) => sftp(name as 'open', ...files)),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      terminal(),
      forward('direct-tcpip', { host: 'db', port: 22 }),
      forward('direct-streamlocal', { socketPath: '/tmp/a' }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('env', 'x11-req'), fc.constantFrom('LANG', 'LD_PRELOAD'))
      .map(([via, name]) => request(via, name)),
  },
)

function policyOf(all: readonly Rule[]): ((context: DecisionContext) => PolicyOutcome) | undefined {
  try {
    const policy = createPolicy({ rules: all })
    return (each) => {
      const outcome = policy.decide(each)
      if (outcome instanceof Promise) throw new Error('expected a synchronous outcome')
      return outcome
    }
  } catch (error) {
    if (error instanceof SallyportError) return undefined
    throw error
  }
}

function sound(all: readonly Rule[]): readonly Rule[] {
  const kept: Rule[] = []
  for (const rule of all) if (policyOf([...kept, rule]) !== undefined) kept.push(rule)
  return kept
}

/** Whether a rule, looked at alone and without an index, has something to say. */
function matches(rule: Rule, each: DecisionContext): boolean {
  const compiled = compileRule(rule, { order: 0, mode: 'enforce', texts: createTextCompiler(re2jsEngine) })
  const finding = findingOf(compiled, viewsOf(each), isUnparsedCommand(each.command))
  return finding !== undefined && finding.state !== 'doubtful'
}

describe('properties of rules about shells, files and channels', () => {
  it('the order of rules never changes an outcome', () => {
    fc.assert(
      fc.property(rules, context, fc.infiniteStream(fc.nat()), (all, each, seeds) => {
        const kept = sound(all)
        const shuffled = kept.map((rule) => ({ rule, key: seeds.next().value ?? 0 })).sort((a, b) => a.key - b.key)
        expect(policyOf(shuffled.map(({ rule }) => rule))?.(each)).toEqual(policyOf(kept)?.(each))
      }),
      { numRuns: 200 },
    )
  })

  it('the index and the memory agree with a look at every rule', () => {
    let allowed = 0
    fc.assert(
      fc.property(rules, fc.array(context, { minLength: 1, maxLength: 6 }), (all, contexts) => {
        const kept = sound(all)
        const decide = policyOf(kept)
        for (const each of [...contexts, ...contexts]) {
          const outcome = decide?.(each)
          const expected = kept.filter((rule) => matches(rule, each)).map(({ id }) => id)
          expect(outcome?.matchedRuleIds).toEqual(expected.sort())
          if (outcome?.effect === 'allow') allowed++
        }
      }),
      { numRuns: 400 },
    )
    expect(allowed).toBeGreaterThan(50)
  })

  it('facts that are less sure never allow more', () => {
    let allowed = 0
    fc.assert(
      fc.property(rules, facts, fc.nat(3), (all, each, at) => {
        const kept = sound(all).filter((rule) => !JSON.stringify(rule).includes('"certainty"'))
        const decide = policyOf(kept)
        const less: ShellFacts[] = [
          { ...each, certainty: 'conservative' },
          { ...each, files: each.files.map((entry) => ({ ...entry, isExact: false })) },
          {
            ...each,
            certainty: 'conservative',
            commands: each.commands.map((entry) => ({ ...entry, certainty: 'conservative', program: undefined })),
          },
          {
            ...each,
            certainty: 'conservative',
            network: each.network.map(({ direction }) => ({ direction, host: undefined })),
          },
        ]
        const unsure = less[at % less.length]
        if (decide === undefined || unsure === undefined) return
        const before = decide(shell(each, { text: 'ls' })).effect
        if (before === 'allow') allowed++
        if (decide(shell(unsure, { text: 'ls' })).effect === 'allow') expect(before).toBe('allow')
      }),
      { numRuns: 400 },
    )
    expect(allowed).toBeGreaterThan(5)
  })

  it('what does more is never allowed by permissions where what does less is not', () => {
    fc.assert(
      fc.property(rules, facts, access, hazard, command, (all, each, file, harm, other) => {
        const kept = sound(all).filter(
          (rule) => rule.effect === 'allow' && rule.match?.programs !== undefined && rule.match.not === undefined,
        )
        fc.pre(each.commands.length > 0 && each.files.length > 0 && each.network.length > 0)
        const decide = policyOf(kept)
        for (const more of [
          { ...each, files: [...each.files, file] },
          { ...each, commands: [...each.commands, other] },
          ...(kept.some((rule) => rule.match?.hazards !== undefined)
            ? []
            : [{ ...each, hazards: [...each.hazards, harm] }]),
        ]) {
          if (decide?.(shell(more)).effect === 'allow') expect(decide(shell(each)).effect).toBe('allow')
        }
      }),
      { numRuns: 200 },
    )
  })

  it('a rule refused as one that can never fire never does', () => {
    let impossible = 0
    let outdone = 0
    fc.assert(
      fc.property(
        match,
        match,
        effect,
        fc.boolean(),
        fc.array(context, { minLength: 20, maxLength: 20 }),
        (inner, outer, kind, asksForMore, contexts) => {
          fc.pre(kind === 'allow' || kind === 'hold')
          const rule: Rule = { id: 'a', effect: kind, match: asksForMore ? { ...inner, ...outer } : inner }
          const deny: Rule = { id: 'd', effect: 'deny', match: outer }
          if (policyOf([deny]) === undefined || policyOf([rule, deny]) !== undefined) return
          const isImpossible = policyOf([rule]) === undefined
          // What excludes nothing is refused too, and proves nothing.
          const excluded = rule.match?.not
          if (excluded !== undefined && policyOf([{ id: 'n', effect: 'deny', match: excluded }]) === undefined) return
          if (isImpossible) impossible++
          else outdone++
          for (const each of contexts) {
            if (!matches(rule, each)) continue
            // What could not be parsed is denied without `evenIfUnparsed`.
            if (isImpossible) expect(isUnparsedCommand(each.command)).toBe(true)
            else expect(matches(deny, each)).toBe(true)
          }
        },
      ),
      { numRuns: 1_500 },
    )
    expect(impossible).toBeGreaterThan(50)
    expect(outdone).toBeGreaterThan(50)
  })
})
