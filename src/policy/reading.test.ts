import { describe, expect, it } from 'vitest'
import type { DecisionContext, PolicyOutcome, Subject } from '../core/index.js'
import { createPolicy, type Match, type Rule } from './index.js'
import { AGENT, call, column, contextOf, factsOf, statement, table, UNPARSED } from './facts.test-support.js'

const ALLOW_ALL: Rule = { id: 'z-all', effect: 'allow' }

function decide(rules: readonly Rule[], context: DecisionContext): PolicyOutcome {
  const outcome = createPolicy({ rules }).decide(context)
  if (outcome instanceof Promise) throw new Error('expected a synchronous outcome')
  return outcome
}

function allows(match: Match, context: DecisionContext): boolean {
  return decide([{ id: 'a', effect: 'allow', match }], context).effect === 'allow'
}

function denies(match: Match, context: DecisionContext): boolean {
  return decide([{ id: 'd', effect: 'deny', match }, ALLOW_ALL], context).effect === 'deny'
}

const orders = statement('select', { tables: [table('orders')], columns: [column('orders.id')] })
const both = statement('select', {
  tables: [table('orders'), table('secrets')],
  columns: [column('orders.id'), column('secrets.ssn')],
})
const one = statement('select')

describe('permissions mean nothing else, prohibitions mean any of it', () => {
  it('an allow of one table does not allow a statement that also reads another', () => {
    expect(allows({ tables: 'orders' }, contextOf(orders))).toBe(true)
    expect(allows({ tables: 'orders' }, contextOf(both))).toBe(false)
    expect(allows({ tables: ['orders', 'secrets'] }, contextOf(both))).toBe(true)
  })

  it('a deny of one table denies a statement that also reads another', () => {
    expect(denies({ tables: 'secrets' }, contextOf(both))).toBe(true)
    expect(denies({ tables: 'secrets' }, contextOf(orders))).toBe(false)
  })

  it('an allow of tables permits nothing that names no table', () => {
    expect(allows({ tables: 'orders' }, contextOf(one))).toBe(false)
    expect(allows({ tables: '*' }, contextOf(statement('alter system', { class: 'admin' })))).toBe(false)
  })

  it('under not, a deny fires on anything outside the list', () => {
    const match: Match = { not: { tables: 'orders' } }
    expect(denies(match, contextOf(orders))).toBe(false)
    expect(denies(match, contextOf(both))).toBe(true)
    expect(denies(match, contextOf(one))).toBe(false)
  })

  it('under not, an allow permits only what touches nothing in the list', () => {
    const match: Match = { classes: 'read', not: { tables: 'secrets' } }
    expect(allows(match, contextOf(orders))).toBe(true)
    expect(allows(match, contextOf(both))).toBe(false)
    expect(allows(match, contextOf(one))).toBe(true)
  })

  it('not of not reads like no not at all', () => {
    const twice: Match = { not: { not: { tables: 'orders' } } }
    for (const each of [orders, both, one]) {
      expect(allows(twice, contextOf(each))).toBe(allows({ tables: 'orders' }, contextOf(each)))
    }
    expect(denies({ not: { not: { tables: 'secrets' } } }, contextOf(both))).toBe(true)
  })

  it('columns of an allow cover every column, and every table used without naming one', () => {
    expect(allows({ columns: 'orders.*' }, contextOf(orders))).toBe(true)
    expect(allows({ columns: 'orders.*' }, contextOf(both))).toBe(false)
    const counted = statement('select', { tables: [table('orders'), table('secrets')], columns: [column('orders.id')] })
    expect(allows({ columns: 'orders.*' }, contextOf(counted))).toBe(false)
    expect(
      allows({ columns: 'orders.id', tables: 'orders' }, contextOf(statement('select', { tables: [table('orders')] }))),
    ).toBe(true)
  })

  it('MASK-10 a whole-row value counts as every column for a deny and as one it cannot grant for an allow', () => {
    const whole = statement('select', { tables: [table('people')], columns: [column('people.*')] })
    expect(denies({ columns: 'people.ssn' }, contextOf(whole))).toBe(true)
    expect(allows({ columns: 'people.name' }, contextOf(whole))).toBe(false)
    expect(allows({ columns: 'people.*' }, contextOf(whole))).toBe(true)
  })

  it('a column of unknown table matches a deny and no allow that names one', () => {
    const unknown = statement('select', { tables: [table('people')], columns: [column('ssn')] })
    expect(denies({ columns: 'hr.people.ssn' }, contextOf(unknown))).toBe(true)
    expect(allows({ columns: 'people.*' }, contextOf(unknown))).toBe(false)
  })

  it('MASK-11 a deny can be about columns used in predicates only', () => {
    const match: Match = { columns: { columns: 'people.ssn', access: 'predicate' } }
    const blind = statement('select', { tables: [table('people')], columns: [column('people.ssn', 'predicate')] })
    expect(denies(match, contextOf(blind))).toBe(true)
    expect(denies(match, contextOf(statement('select', { columns: [column('people.ssn')] })))).toBe(false)
  })

  it('MASK-12 a deny can be about values copied elsewhere', () => {
    const copied = statement('insert', { launders: [{ table: 'people', column: 'ssn' }] })
    expect(denies({ launders: 'people.ssn' }, contextOf(copied))).toBe(true)
    expect(denies({ launders: 'people.name' }, contextOf(copied))).toBe(false)
    const wholeRow = statement('insert', { launders: [{ table: 'people', column: '*' }] })
    expect(denies({ launders: 'people.ssn' }, contextOf(wholeRow))).toBe(true)
  })

  it('access modes of an allow must cover every use, those of a deny any', () => {
    const write = statement('update', { tables: [table('orders', 'read', 'update')] })
    expect(allows({ tables: { tables: 'orders', access: 'read' } }, contextOf(write))).toBe(false)
    expect(allows({ tables: { tables: 'orders', access: ['read', 'write'] } }, contextOf(write))).toBe(true)
    expect(denies({ tables: { tables: 'orders', access: 'write' } }, contextOf(write))).toBe(true)
    expect(denies({ tables: { tables: 'orders', access: 'write' } }, contextOf(orders))).toBe(false)
    const copy = statement('insert', { tables: [table('audit', 'insert'), table('orders', 'read')] })
    const each: Match = {
      tables: [
        { tables: 'orders', access: 'read' },
        { tables: 'audit', access: 'insert' },
      ],
    }
    expect(allows(each, contextOf(copy))).toBe(true)
    const back = statement('insert', { tables: [table('orders', 'insert'), table('audit', 'read')] })
    expect(allows(each, contextOf(back))).toBe(false)
  })

  it('functions of an allow cover every call', () => {
    const calls = statement('select', { functions: [call('lower'), call('pg_sleep', { hazards: ['sleep'] })] })
    expect(allows({ classes: 'read', functions: ['lower', 'upper'] }, contextOf(calls))).toBe(false)
    expect(allows({ classes: 'read', functions: ['lower', 'upper'] }, contextOf(one))).toBe(true)
    expect(allows({ functions: ['lower', 'upper'] }, contextOf(statement('drop database')))).toBe(false)
    expect(denies({ functions: 'pg_*' }, contextOf(calls))).toBe(true)
    expect(denies({ functionHazards: 'sleep' }, contextOf(calls))).toBe(true)
    expect(denies({ not: { functions: ['lower', 'upper'] } }, contextOf(calls))).toBe(true)
    expect(denies({ not: { functions: ['lower', 'upper'] } }, contextOf(one))).toBe(false)
    expect(
      allows(
        { classes: 'read', functions: 'pg_catalog.lower' },
        contextOf(statement('select', { functions: [call('lower')] })),
      ),
    ).toBe(false)
  })
})

describe('writes inside other statements', () => {
  const hidden = statement('select', { class: 'write', tables: [table('orders', 'delete')] })

  it('SQL-27 a DELETE in a CTE or under EXPLAIN ANALYZE counts as delete', () => {
    expect(denies({ verbs: 'delete' }, contextOf(hidden))).toBe(true)
    expect(allows({ verbs: 'select' }, contextOf(hidden))).toBe(false)
    expect(allows({ classes: ['read', 'ddl'] }, contextOf({ ...hidden, class: 'ddl' }))).toBe(false)
    expect(denies({ classes: 'write' }, contextOf({ ...hidden, class: 'ddl' }))).toBe(true)
  })

  it('a verb covers its longer forms and not the other way round', () => {
    const drop = contextOf(statement('drop table', { tables: [table('orders', 'ddl')] }))
    expect(denies({ verbs: 'drop' }, drop)).toBe(true)
    expect(denies({ verbs: 'DROP TABLE' }, drop)).toBe(true)
    expect(denies({ verbs: 'drop index' }, drop)).toBe(false)
    expect(denies({ verbs: 'dro' }, drop)).toBe(false)
  })

  it('a class that is unknown may be any', () => {
    const unknown = contextOf(statement('select', { class: 'unknown' }))
    expect(denies({ classes: 'ddl' }, unknown)).toBe(true)
    expect(allows({ classes: ['read', 'write'] }, unknown)).toBe(false)
    expect(allows({ classes: 'unknown' }, unknown)).toBe(true)
  })
})

describe('commands of several statements', () => {
  const begin = statement('begin')
  const secret = statement('select', { tables: [table('secrets')] })
  const allowBoth: readonly Rule[] = [
    { id: 'a-tx', effect: 'allow', match: { classes: 'transaction' } },
    { id: 'b-orders', effect: 'allow', match: { tables: 'orders' } },
  ]

  it('PG-18 each statement needs a permission of its own', () => {
    expect(decide(allowBoth, contextOf([begin, orders])).effect).toBe('allow')
    expect(decide(allowBoth, contextOf([begin, secret])).effect).toBe('deny')
    expect(decide(allowBoth, contextOf([orders, secret])).effect).toBe('deny')
  })

  it('SQL-2 one denied statement denies the command', () => {
    const rules: readonly Rule[] = [ALLOW_ALL, { id: 'd', effect: 'deny', match: { verbs: 'drop' } }]
    expect(decide(rules, contextOf([orders, statement('drop table')])).effect).toBe('deny')
  })

  it('a hold of one statement does not stand in for the permission of another', () => {
    const rules: readonly Rule[] = [{ id: 'h', effect: 'hold', match: { tables: 'orders' } }]
    expect(decide(rules, contextOf(orders)).effect).toBe('hold')
    expect(decide(rules, contextOf([orders, secret]))).toMatchObject({ effect: 'deny', reason: 'default' })
  })

  it('keys of a deny must hold together in one statement', () => {
    const match: Match = { verbs: 'delete', tables: 'orders' }
    const clean = statement('delete', { tables: [table('scratch', 'delete')] })
    expect(denies(match, contextOf([clean, orders]))).toBe(false)
    expect(denies(match, contextOf([clean, statement('delete', { tables: [table('orders', 'delete')] })]))).toBe(true)
  })

  it('a command without any statement is judged as one that does nothing', () => {
    expect(allows({ classes: 'read' }, contextOf(factsOf([])))).toBe(true)
    expect(allows({ tables: '*' }, contextOf(factsOf([])))).toBe(false)
  })
})

describe('schemas that the text does not say', () => {
  it('match every schema of a deny', () => {
    expect(denies({ tables: 'hr.people' }, contextOf(statement('select', { tables: [table('people')] })))).toBe(true)
    expect(denies({ tables: 'hr.people' }, contextOf(statement('select', { tables: [table('app.people')] })))).toBe(
      false,
    )
  })

  it('match an allow only where the whole search path leaves no doubt', () => {
    const bare = statement('select', { tables: [table('people')] })
    const under = (searchPath: string | undefined): boolean =>
      allows({ tables: 'app.*' }, contextOf(bare, { state: searchPath === undefined ? {} : { searchPath } }))
    expect(under(undefined)).toBe(false)
    expect(under('app')).toBe(true)
    expect(under('"app" , APP')).toBe(true)
    expect(under('app, hr')).toBe(false)
    expect(under('"$user", app')).toBe(false)
    expect(under('')).toBe(false)
    expect(under('"App"')).toBe(false)
    expect(under("app'; x")).toBe(false)
  })

  it('PG-15 never let a catalogue pass for a table of the path', () => {
    const catalog = statement('select', { tables: [table('pg_authid')] })
    expect(allows({ tables: 'app.*' }, contextOf(catalog, { state: { searchPath: 'app' } }))).toBe(false)
  })

  it('are in doubt after a statement that may change the path', () => {
    const bare = statement('select', { tables: [table('people')] })
    const rules: readonly Rule[] = [
      { id: 'a', effect: 'allow', match: { classes: 'session' } },
      { id: 'b', effect: 'allow', match: { tables: 'app.people' } },
    ]
    const state = { searchPath: 'app' }
    expect(decide(rules, contextOf([statement('set'), bare], { state })).effect).toBe('deny')
    expect(decide(rules, contextOf(bare, { state })).effect).toBe('allow')
  })

  it('SQL-12 capitals in a deny are no way round it', () => {
    expect(denies({ tables: 'Orders' }, contextOf(orders))).toBe(true)
    expect(allows({ tables: 'Orders' }, contextOf(orders))).toBe(false)
    const quoted = statement('select', { tables: [{ table: 'My.Orders', modes: ['read'] }] })
    expect(allows({ tables: '"My.Orders"' }, contextOf(quoted))).toBe(true)
    expect(denies({ tables: 'app."my.orders"' }, contextOf(quoted))).toBe(true)
  })
})

describe('certainty', () => {
  const sure = statement('delete', { hasWhere: false, tables: [table('orders', 'delete')] })
  const unsure = { ...sure, certainty: 'conservative' } as const

  it('a deny holds under conservative facts', () => {
    expect(denies({ missingWhere: true }, contextOf(unsure))).toBe(true)
    expect(denies({ tables: 'orders' }, contextOf(unsure))).toBe(true)
  })

  it('an allow that needs a harm to be there needs exact facts', () => {
    expect(allows({ missingWhere: true }, contextOf(sure))).toBe(true)
    expect(allows({ missingWhere: true }, contextOf(unsure))).toBe(false)
  })

  it('an allow whose lists cover the over-approximation holds under conservative facts', () => {
    expect(allows({ verbs: 'delete', tables: 'orders' }, contextOf(unsure))).toBe(true)
    expect(allows({ verbs: 'delete', missingWhere: false }, contextOf({ ...unsure, hasWhere: true }))).toBe(true)
    expect(allows({ verbs: 'delete', missingWhere: false }, contextOf(unsure))).toBe(false)
  })

  it('a deny of the absence of a harm fires while the harm is in doubt', () => {
    const maybe = statement('select', { isDynamic: true, certainty: 'conservative' })
    expect(denies({ isDynamic: false }, contextOf(maybe))).toBe(true)
    expect(denies({ isDynamic: false }, contextOf({ ...maybe, certainty: 'exact' }))).toBe(false)
  })

  it('a subject of no type counts as an agent for a deny and not for an allow', () => {
    const nobody: Subject = { id: 'x' }
    expect(denies({ subjectTypes: 'agent' }, contextOf(one, { subject: nobody }))).toBe(true)
    expect(allows({ subjectTypes: 'agent' }, contextOf(one, { subject: nobody }))).toBe(false)
    expect(allows({ subjectTypes: 'agent' }, contextOf(one))).toBe(true)
  })

  it('SQL-30 what could not be parsed is denied as unparsed, whatever is allowed', () => {
    expect(decide([ALLOW_ALL], contextOf(UNPARSED))).toMatchObject({ effect: 'deny', reason: 'unparsed' })
    const hold: Rule = { id: 'h', effect: 'hold' }
    expect(decide([ALLOW_ALL, hold], contextOf(UNPARSED))).toMatchObject({ effect: 'deny', reason: 'unparsed' })
    const mixed = factsOf([orders, { ...orders, certainty: 'unparsed' }])
    expect(decide([ALLOW_ALL], contextOf(mixed))).toMatchObject({ effect: 'deny', reason: 'unparsed' })
  })

  it('a rule can speak for what could not be parsed by name', () => {
    const rule: Rule = {
      id: 'u',
      effect: 'allow',
      evenIfUnparsed: true,
      match: { groups: 'agents', text: 'vacuum .*' },
    }
    expect(decide([rule], contextOf(UNPARSED, { text: 'VACUUM weird' })).effect).toBe('allow')
    expect(decide([rule], contextOf(UNPARSED, { text: 'drop; vacuum weird' }))).toMatchObject({ reason: 'unparsed' })
    const stop: Rule = { id: 'd', effect: 'deny', match: { subjects: AGENT.id } }
    expect(decide([rule, stop], contextOf(UNPARSED, { text: 'vacuum x' }))).toMatchObject({
      reason: 'rule',
      ruleId: 'd',
    })
  })

  it('a rule on certainty can word the refusal of what could not be parsed', () => {
    const rule: Rule = { id: 'd', effect: 'deny', match: { certainty: 'unparsed' }, message: 'too clever' }
    expect(decide([rule, ALLOW_ALL], contextOf(UNPARSED))).toMatchObject({ reason: 'rule', message: 'too clever' })
    expect(decide([rule, ALLOW_ALL], contextOf(one)).effect).toBe('allow')
  })

  it('masks and caps that may be meant hold for what could not be parsed', () => {
    const rules: readonly Rule[] = [
      { id: 'a', effect: 'allow', evenIfUnparsed: true },
      { id: 'm', match: { tables: 'people' }, mask: { columns: ['people.ssn'] }, maxRows: 5 },
      { id: 'n', match: { tables: 'people', groups: 'others' }, maxRows: 1 },
    ]
    const outcome = decide(rules, contextOf(UNPARSED))
    expect(outcome).toMatchObject({ effect: 'allow', maxRows: 5, matchedRuleIds: ['a'] })
    expect(outcome.masks.columns).toEqual([{ table: 'people', column: 'ssn', strategy: { kind: 'redact' } }])
  })
})

describe('text', () => {
  it('a deny finds its pattern anywhere, an allow needs the whole text', () => {
    const stacked = contextOf(one, { text: 'select 1; drop table users' })
    expect(denies({ text: 'drop\\s+table' }, stacked)).toBe(true)
    expect(allows({ text: 'select \\d' }, stacked)).toBe(false)
    expect(allows({ text: 'select \\d' }, contextOf(one, { text: 'SELECT 1' }))).toBe(true)
    expect(allows({ text: 'select \\d|x' }, contextOf(one, { text: 'xx' }))).toBe(false)
    expect(denies({ not: { text: 'select \\d' } }, stacked)).toBe(true)
    expect(allows({ not: { text: 'drop' } }, stacked)).toBe(false)
  })

  it('SQL-29 letters outside ASCII are not folded into letters of a pattern', () => {
    expect(denies({ text: 'select' }, contextOf(one, { text: '\u017felect' }))).toBe(false)
    expect(denies({ text: 'select' }, contextOf(one, { text: '\uff33\uff25\uff2c\uff25\uff23\uff34' }))).toBe(false)
    expect(denies({ text: 'sElEcT' }, contextOf(one, { text: 'SeLeCt' }))).toBe(true)
    expect(denies({ text: { patterns: 'select', caseSensitive: true } }, contextOf(one, { text: 'SELECT' }))).toBe(
      false,
    )
  })

  it('SQL-29 evil patterns and huge texts take linear time', () => {
    const start = performance.now()
    expect(denies({ text: '(a+)+$' }, contextOf(one, { text: `${'a'.repeat(100_000)}!` }))).toBe(false)
    expect(performance.now() - start).toBeLessThan(5_000)
  })
})

describe('limits on rows', () => {
  const limited = contextOf(statement('select', { rowLimit: 100 }))

  it('a missing limit counts as above every limit', () => {
    expect(denies({ noRowLimit: true }, contextOf(one))).toBe(true)
    expect(denies({ noRowLimit: true }, limited)).toBe(false)
    expect(denies({ rowLimitOver: 99 }, limited)).toBe(true)
    expect(denies({ rowLimitOver: 100 }, limited)).toBe(false)
    expect(denies({ rowLimitOver: 100 }, contextOf(one))).toBe(true)
    expect(denies({ rowLimitOver: 100 }, contextOf(statement('update')))).toBe(false)
    expect(allows({ classes: 'read', not: { rowLimitOver: 100 } }, limited)).toBe(true)
    expect(allows({ classes: 'read', not: { rowLimitOver: 100 } }, contextOf(one))).toBe(false)
  })
})

describe('other kinds of command', () => {
  const other = { ...contextOf(one), command: { id: 1, kind: 'fax', protocol: 'fax', text: 'rm -rf /' } }

  it('are matched by kind and text, never by rules about SQL', () => {
    // A plug-in's command: the types of this repository do not know it.
    const context = other as unknown as DecisionContext
    expect(denies({ kinds: 'fax', text: 'rm ' }, context)).toBe(true)
    expect(allows({ kinds: 'fax', text: 'ls' }, context)).toBe(false)
    expect(allows({ not: { tables: 'secrets' } }, context)).toBe(false)
    expect(allows({ not: { hazards: 'shutdown' } }, context)).toBe(false)
    expect(denies({ files: '**' }, context)).toBe(false)
    expect(denies({ not: { tables: 'orders' } }, context)).toBe(false)
    expect(allows({ not: { dialects: 'mysql' } }, context)).toBe(false)
  })
})
