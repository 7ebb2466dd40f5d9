import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { SallyportError } from '../core/index.js'
import { contextOf, statement, table } from './facts.test-support.js'
import { checkPolicy, createPolicy, formatProblem, loadPolicy, packs, policyJsonSchema } from './index.js'

const told = (text: string, fileName = 'p.yaml'): readonly string[] =>
  checkPolicy(text, { fileName }).map(formatProblem)

const file = (rules: string): string => `version: 1\nrules:\n${rules}`

describe('a policy file', () => {
  it('loads and decides', () => {
    const policy = loadPolicy(file('  - id: a\n    effect: allow\n    match: { tables: orders }\n'))
    expect(policy.decide(contextOf(statement('select', { tables: [table('orders')] })))).toMatchObject({
      effect: 'allow',
      ruleId: 'a',
    })
    expect(policy.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  it('reports every problem at once with line, column and hint', () => {
    const text = `version: 1
mode: enfore
rules:
  - id: one
    effect: deni
    match:
      tabels: [orders]
      verbs: []
  - id: one two
    effect: allow
    match:
      tables: ["a.b.c"]
      time: { from: "25:00" }
      text: "(a"
  - id: three
    effect: deny
    match:
      text: "(?=x)"
      classes: read
      verbs: delete
`
    expect(told(text)).toEqual([
      'p.yaml:2:7: expected `enforce`, `observe`, got `enfore` (did you mean `enforce`?)',
      'p.yaml:5:13: expected `deny`, `hold`, `allow`, got `deni` (did you mean `deny`?)',
      'p.yaml:7:7: unknown key `tabels` in match (did you mean `tables`?)',
      'p.yaml:8:14: an empty list never matches (leave the key out, or list at least one entry)',
      'p.yaml:9:9: `one two` is no rule id (use letters, digits and `. _ / -`, starting with a letter or digit)',
      'p.yaml:12:16: `a.b.c` has 3 parts and can never match (write at most 2: schema.table)',
      'p.yaml:13:21: expected `HH:MM` up to `24:00`, got `25:00`',
      'p.yaml:18:13: no valid RE2 pattern: error parsing regexp: invalid or unsupported Perl syntax: `(?=` (RE2 has no look-around and no back-references)',
      'p.yaml:19:16: can never fire: `delete` is never of class `read` (its class is `write` or worse; leave one of the two out)',
    ])
  })

  it('throws one error that lists them, and is no policy at all', () => {
    const load = (): unknown =>
      loadPolicy(file('  - id: a\n    effect: x\n  - id: b\n    effect: y\n'), { fileName: 'f.yaml' })
    expect(load).toThrow(SallyportError)
    expect(load).toThrow(/^f\.yaml:4:13: .*\nf\.yaml:6:13: /)
    try {
      load()
    } catch (error) {
      expect(error).toMatchObject({ code: 'invalid_policy' })
    }
  })

  it('refuses what YAML hides', () => {
    expect(told('version: 1\nversion: 1\nrules: []\n')[0]).toMatch(/^p\.yaml:2:1: map keys must be unique/)
    expect(told('')[0]).toMatch(/expected a map/)
    expect(told('[')).toHaveLength(1)
    expect(told('version: 1\n---\nversion: 1\n')[0]).toMatch(/^p\.yaml:2:1: /)
    expect(told(file('  - !!js/function "x"\n'))[0]).toMatch(/unresolved tag/i)
    expect(told(file('  - id: a\n    effect: allow\n    when: "true"\n'))[0]).toMatch(
      /^p\.yaml:5:5: unknown key `when`/,
    )
    expect(told(file('  - id: a\n    effect: allow\n    __proto__: { match: 1 }\n'))[0]).toMatch(
      /unknown key `__proto__`/,
    )
    expect(told(file('  - id: a\n    effect: allow\n    constructor: x\n'))[0]).toMatch(/unknown key `constructor`/)
    expect(told(file('  - id: a\n    effect: allow\n    match: { tables: no, missingWhere: yes }\n'))[0]).toMatch(
      /true or false/,
    )
    expect(told(file('  - id: a\n    effect: allow\n    maxRows: 1.5\n'))[0]).toMatch(/whole number/)
    expect(told(file('  - id: a\n    effect: allow\n    match:\n'))[0]).toMatch(/expected a map \(match\), got nothing/)
  })

  it('refuses alias bombs and bottomless nesting in bounded time', () => {
    const levels = Array.from(
      { length: 9 },
      (_, index) =>
        `l${index}: &l${index} [${Array(9)
          .fill(index === 0 ? 'x' : `*l${index - 1}`)
          .join(', ')}]`,
    )
    const start = performance.now()
    expect(told(levels.join('\n'))).toHaveLength(1)
    expect(told('['.repeat(100_000)).length).toBeGreaterThan(0)
    expect(told(`version: 1\nrules: ${'[{"a":'.repeat(5_000)}`).length).toBeGreaterThan(0)
    expect(performance.now() - start).toBeLessThan(20_000)
  })

  it('lets rules share a match by alias', () => {
    const text = file(
      '  - id: a\n    effect: allow\n    match: &m { tables: orders }\n  - id: b\n    maxRows: 5\n    match: *m\n',
    )
    expect(told(text)).toEqual([])
    const broken = file(
      '  - id: a\n    effect: allow\n    match: &m { tabels: orders }\n  - id: b\n    maxRows: 5\n    match: *m\n',
    )
    expect(told(broken)).toHaveLength(2)
  })

  it('reads JSON, tabs and all, and takes no YAML for it', () => {
    const json =
      '{\n\t"version": 1,\n\t"rules": [\n\t\t{ "id": "a", "effect": "allow", "match": { "tabels": "x" } }\n\t]\n}'
    expect(told(json, 'p.json')[0]).toMatch(/^p\.json:4:46: unknown key `tabels`/)
    expect(told(json.replace('tabels', 'tables'), 'p.json')).toEqual([])
    expect(told('version: 1\nrules: [{id: a, effect: allow}]', 'p.json')).toHaveLength(1)
    expect(told('{"version": 1, "version": 1, "rules": [{"id": "a", "effect": "allow"}]}', 'p.json')[0]).toMatch(
      /unique/,
    )
  })

  it('gives a rule the same meaning and digest as TypeScript does', () => {
    const rules = [{ id: 'a', effect: 'allow', match: { tables: ['orders'] } }] as const
    const loaded = loadPolicy(JSON.stringify({ version: 1, rules }), { format: 'json' })
    expect(loaded.digest).toBe(createPolicy({ rules }).digest)
    expect(loadPolicy(JSON.stringify({ version: 1, mode: 'observe', rules })).digest).not.toBe(loaded.digest)
  })
})

describe('the published schema', () => {
  it('is the one the loader goes by', () => {
    const published: unknown = JSON.parse(
      readFileSync(new URL('../../schema/policy.schema.json', import.meta.url), 'utf8'),
    )
    expect(published).toEqual(JSON.parse(JSON.stringify(policyJsonSchema())))
  })
})

describe('the guide', () => {
  const guide = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8')
  const examples = [...guide.matchAll(/```(yaml|json)\n([\s\S]*?)```/g)].map(([, format, text]) => ({ format, text }))

  it('has examples that load', () => {
    expect(examples.length).toBeGreaterThan(3)
    for (const { text = '' } of examples) expect(checkPolicy(text).map(formatProblem)).toEqual([])
  })

  it('shows the packs as they are', () => {
    for (const [mark, rules] of [
      ['baseline/server-files', packs.postgresBaseline],
      ['shell/destructive-deletion', packs.shellBaseline],
      ['ssh/port-forwarding', packs.sshBaseline],
    ] as const) {
      const shown = examples.find(({ text }) => text?.includes(`id: ${mark}`))?.text ?? ''
      expect(loadPolicy(shown).digest).toBe(createPolicy({ rules }).digest)
    }
  })

  it('names every key of a rule and of a match', () => {
    const schema = JSON.stringify(policyJsonSchema())
    const { $defs } = JSON.parse(schema) as { $defs: Record<string, { properties: Record<string, unknown> }> }
    const keys = ['rule', 'match', 'time-window', 'hold-terms', 'program-matcher', 'file-matcher'].flatMap((name) =>
      Object.keys($defs[name]?.properties ?? {}),
    )
    expect(keys.filter((key) => !guide.includes(`\`${key}\``))).toEqual([])
  })
})
