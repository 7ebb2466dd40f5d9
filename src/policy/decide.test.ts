import { describe, expect, it } from 'vitest'
import type { DecisionContext, PolicyOutcome } from '../core/index.js'
import { createPolicy, type PolicyOptions, type Rule } from './index.js'
import { AGENT, call, contextOf, NOW, ORDERS_DB, statement, table, UNPARSED } from './facts.test-support.js'

const orders = statement('select', { tables: [table('orders')] })

function decide(
  rules: readonly Rule[],
  context = contextOf(orders),
  options: Partial<PolicyOptions> = {},
): PolicyOutcome {
  const outcome = createPolicy({ ...options, rules }).decide(context)
  if (outcome instanceof Promise) throw new Error('expected a synchronous outcome')
  return outcome
}

const allow: Rule = { id: 'm-allow', effect: 'allow' }
const hold: Rule = { id: 'm-hold', effect: 'hold', match: { tables: 'orders' } }
const deny: Rule = {
  id: 'm-deny',
  effect: 'deny',
  match: { groups: 'agents', tables: 'orders' },
  message: 'no',
  hint: 'ask',
}

describe('combining', () => {
  it('is deny over hold over allow over the default deny', () => {
    expect(decide([])).toMatchObject({ effect: 'deny', reason: 'default', matchedRuleIds: [] })
    expect(decide([allow])).toMatchObject({ effect: 'allow', reason: 'rule', ruleId: 'm-allow' })
    expect(decide([allow, hold])).toMatchObject({ effect: 'hold', ruleId: 'm-hold' })
    expect(decide([deny, { ...allow, match: { classes: 'read' } }, hold])).toMatchObject({
      effect: 'deny',
      reason: 'rule',
      ruleId: 'm-deny',
      message: 'no',
      hint: 'ask',
      matchedRuleIds: ['m-allow', 'm-deny', 'm-hold'],
    })
  })

  it('lets the smallest id decide among equals', () => {
    const rules = [
      { ...deny, id: 'b' },
      { ...deny, id: 'B', message: 'capital' },
      { ...deny, id: 'a10' },
    ]
    expect(decide(rules)).toMatchObject({ ruleId: 'B', message: 'capital', matchedRuleIds: ['B', 'a10', 'b'] })
  })

  it('keeps the strictest mask of a column, whatever the order', () => {
    const mask = (id: string, strategy: NonNullable<Rule['mask']>): Rule => ({ id, mask: strategy })
    const rules = [
      mask('1', {
        columns: [{ column: 'people.ssn', strategy: { kind: 'partial', keepLast: 4 } }],
        detectors: ['email'],
      }),
      mask('2', {
        columns: [
          { column: 'people.ssn', strategy: 'hash' },
          { column: 'a.b', strategy: { kind: 'partial', keepLast: 4, keepFirst: 1 } },
        ],
      }),
      mask('3', {
        columns: [
          { column: 'people.ssn', strategy: { kind: 'constant', value: 'x' } },
          { column: 'a.b', strategy: { kind: 'partial', keepLast: 2 } },
        ],
      }),
      mask('4', { columns: ['people.ssn'], detectors: [{ detector: 'email', strategy: 'null' }] }),
    ]
    const expected = {
      columns: [
        { table: 'a', column: 'b', strategy: { kind: 'partial', keepFirst: 0, keepLast: 2 } },
        { table: 'people', column: 'ssn', strategy: { kind: 'redact' } },
      ],
      detectors: [{ detector: 'email', strategy: { kind: 'null' } }],
    }
    expect(decide([allow, ...rules]).masks).toEqual(expected)
    expect(decide([...rules.toReversed(), allow]).masks).toEqual(expected)
    expect(createPolicy({ rules }).sessionMasks).toEqual(expected)
  })

  it('takes a partial mask that does not say how much it keeps for one that keeps nothing', () => {
    const rules: readonly Rule[] = [
      { id: '1', mask: { columns: [{ column: 'c', strategy: { kind: 'partial', keepLast: 4 } }] } },
      { id: '2', mask: { columns: [{ column: 'c', strategy: 'partial' }] } },
    ]
    expect(decide([allow, ...rules]).masks.columns).toMatchObject([{ strategy: { kind: 'partial', keepLast: 0 } }])
  })

  it('masks the folded name of a column written in capitals too', () => {
    const { masks } = decide([allow, { id: 'x', mask: { columns: ['HR.People.SSN', '*.*.iban'] } }])
    expect(masks.columns).toEqual([
      { schema: 'HR', table: 'People', column: 'SSN', strategy: { kind: 'redact' } },
      { schema: 'hr', table: 'people', column: 'ssn', strategy: { kind: 'redact' } },
      { column: 'iban', strategy: { kind: 'redact' } },
    ])
  })

  it('keeps the smallest cap, the highest record level and every alert', () => {
    const rules: readonly Rule[] = [
      { id: 'a', maxRows: 10, recordLevel: 'none', alert: 'one' },
      { id: 'b', maxRows: 5, maxBytes: 7, recordLevel: 'full', alert: 'two' },
      { id: 'c', alert: 'one' },
    ]
    expect(decide([allow, ...rules])).toMatchObject({
      maxRows: 5,
      maxBytes: 7,
      recordLevel: 'full',
      alerts: ['one', 'two'],
    })
    expect(decide([allow, { id: 'a', recordLevel: 'none' }]).recordLevel).toBe('none')
    expect(decide([allow]).recordLevel).toBe('statement')
    expect(decide([allow], undefined, { defaults: { maxRows: 3, recordLevel: 'full' } })).toMatchObject({
      maxRows: 3,
      recordLevel: 'full',
    })
  })

  it('joins hold terms to the strictest, with approvers that every rule accepts', () => {
    const terms = (id: string, value: NonNullable<Rule['hold']>): Rule => ({ id, effect: 'hold', hold: value })
    const one = terms('a', { approverGroups: ['dba', 'security'], timeoutMs: 1000 })
    const two = terms('b', { approverGroups: ['security', 'leads'], approvalsNeeded: 2 })
    expect(decide([one, two, terms('c', {})]).hold).toEqual({
      approverGroups: ['security'],
      approvalsNeeded: 2,
      timeoutMs: 1000,
    })
    expect(decide([terms('c', {})], undefined, { defaults: { hold: { approverGroups: ['ops'] } } }).hold).toEqual({
      approverGroups: ['ops'],
      approvalsNeeded: 1,
      timeoutMs: 300_000,
    })
  })

  it('APP-3 hold rules without a common approver are a denial, not a hold that anybody may approve', () => {
    const rules: readonly Rule[] = [
      { id: 'a', effect: 'hold', hold: { approverGroups: ['dba'] } },
      { id: 'b', effect: 'hold', hold: { approverGroups: ['security'] } },
    ]
    expect(decide(rules)).toMatchObject({ effect: 'deny', reason: 'approval-unavailable', ruleId: 'a' })
  })

  it('returns holds of a text that is only prepared as they are', () => {
    expect(decide([hold], contextOf(orders, { phase: 'prepare' })).effect).toBe('hold')
  })
})

describe('observing', () => {
  it('a rule that observes is reported and does not act', () => {
    const rules: readonly Rule[] = [
      allow,
      { ...deny, mode: 'observe', alert: 'seen' },
      { id: 'mask', mode: 'observe', mask: { columns: ['c'] }, maxRows: 1, recordLevel: 'full' },
    ]
    const outcome = decide(rules)
    expect(outcome).toMatchObject({
      effect: 'allow',
      ruleId: 'm-allow',
      wouldBe: 'deny',
      alerts: ['seen'],
      recordLevel: 'statement',
    })
    expect(outcome.masks.columns).toEqual([])
    expect(outcome.maxRows).toBeUndefined()
    expect(outcome.message).toBeUndefined()
    expect(createPolicy({ rules }).sessionMasks.columns).toEqual([])
    expect(decide([{ ...allow, mode: 'observe' }])).toMatchObject({ effect: 'deny', reason: 'default' })
    expect(decide([hold, { ...deny, mode: 'observe' }])).toMatchObject({ effect: 'hold', wouldBe: 'deny' })
  })

  it('a policy that observes allows everything and says what it would have done', () => {
    const mode = { mode: 'observe' } as const
    expect(decide([deny], undefined, mode)).toMatchObject({ effect: 'allow', wouldBe: 'deny', ruleId: 'm-deny' })
    expect(decide([hold], undefined, mode)).toMatchObject({ effect: 'allow', wouldBe: 'hold' })
    expect(decide([], undefined, mode)).toMatchObject({ effect: 'allow', wouldBe: 'deny', reason: 'default' })
    expect(decide([allow], contextOf(UNPARSED), mode)).toMatchObject({ effect: 'allow', wouldBe: 'deny' })
    expect(decide([allow], undefined, mode).wouldBe).toBeUndefined()
  })
})

describe('functions', () => {
  it('are asked after the match, with the whole context', () => {
    const seen: DecisionContext[] = []
    const rule: Rule = {
      id: 'w',
      effect: 'allow',
      match: { tables: 'orders' },
      when: (context) => seen.push(context) > 0,
    }
    const context = contextOf(orders)
    const policy = createPolicy({ rules: [rule] })
    expect(policy.decide(context)).toMatchObject({ effect: 'allow' })
    expect(policy.decide(context)).toMatchObject({ effect: 'allow' })
    void policy.decide(contextOf(statement('select', { tables: [table('secrets')] })))
    expect(seen).toEqual([context, context])
  })

  it('that throw, reject or answer neither true nor false are a denial of their own', async () => {
    const failing: readonly Rule['when'][] = [
      () => {
        throw new Error('secret detail')
      },
      () => Promise.reject(new Error('secret detail')),
      () => 'yes' as unknown as boolean,
      () => undefined as unknown as boolean,
      () => Promise.resolve(1 as unknown as boolean),
    ]
    for (const when of failing) {
      for (const effect of ['allow', 'hold', 'deny', undefined] as const) {
        const rule: Rule = { id: 'w', ...(effect === undefined ? { maxRows: 1 } : { effect }), ...(when && { when }) }
        const outcome = await createPolicy({ rules: [allow, rule] }).decide(contextOf(orders))
        expect(outcome).toMatchObject({ effect: 'deny', reason: 'engine-error', ruleId: 'w' })
        expect(JSON.stringify(outcome)).not.toContain('secret detail')
        const observing = await createPolicy({ rules: [allow, { ...rule, mode: 'observe' }] }).decide(contextOf(orders))
        expect(observing).toMatchObject({ effect: 'allow', wouldBe: 'deny' })
      }
    }
  })

  it('make a promise only when one of them does', async () => {
    const policy = createPolicy({
      rules: [allow, { id: 'w', effect: 'deny', match: { tables: 'orders' }, when: async () => true }],
    })
    expect(policy.decide(contextOf(statement('select')))).toMatchObject({ effect: 'allow' })
    const pending = policy.decide(contextOf(orders))
    expect(pending).toBeInstanceOf(Promise)
    expect(await pending).toMatchObject({ effect: 'deny', ruleId: 'w' })
  })

  it('a context unlike its type is a denial, not an exception', () => {
    const broken = { ...contextOf(orders), command: undefined } as unknown as DecisionContext
    expect(decide([allow], broken)).toMatchObject({ effect: 'deny', reason: 'engine-error' })
  })
})

describe('time', () => {
  const at = (iso: string): DecisionContext => contextOf(orders, { nowUnixMs: Date.parse(iso) })
  const isOpen = (rule: Rule['match'], iso: string): boolean =>
    decide([{ id: 't', effect: 'allow', ...(rule && { match: rule }) }], at(iso)).effect === 'allow'

  it('is the wall clock of the named zone, summer and winter', () => {
    const berlin = { time: { days: ['mon', 'fri'], from: '09:00', to: '17:00', timeZone: 'Europe/Berlin' } } as const
    expect(isOpen(berlin, '2026-11-20T08:00:00Z')).toBe(true)
    expect(isOpen(berlin, '2026-11-20T07:59:59Z')).toBe(false)
    expect(isOpen(berlin, '2026-11-20T16:00:00Z')).toBe(false)
    expect(isOpen(berlin, '2026-07-10T07:00:00Z')).toBe(true)
    expect(isOpen(berlin, '2026-11-19T10:00:00Z')).toBe(false)
  })

  it('a window over midnight belongs to the day it begins on', () => {
    const night = { time: { days: 'fri', from: '22:00', to: '02:00' } } as const
    expect(isOpen(night, '2026-11-20T23:00:00Z')).toBe(true)
    expect(isOpen(night, '2026-11-21T01:59:00Z')).toBe(true)
    expect(isOpen(night, '2026-11-20T01:00:00Z')).toBe(false)
    expect(isOpen(night, '2026-11-21T02:00:00Z')).toBe(false)
  })

  it('is asked again for a command seen before', () => {
    const policy = createPolicy({
      rules: [allow, { id: 't', effect: 'deny', match: { not: { time: { to: '12:00' } } } }],
    })
    const context = contextOf(orders)
    expect(policy.decide(context)).toMatchObject({ effect: 'allow' })
    expect(policy.decide({ ...context, nowUnixMs: NOW + 3 * 3_600_000 })).toMatchObject({ effect: 'deny' })
    expect(policy.decide(context)).toMatchObject({ effect: 'allow' })
  })
})

describe('what is remembered', () => {
  it('is told apart by subject, resource, phase, text and search path', () => {
    const context = contextOf(statement('select', { tables: [table('orders')] }), {
      text: 'a',
      state: { searchPath: 'app' },
    })
    const policy = createPolicy({
      rules: [
        {
          id: 'a',
          effect: 'allow',
          match: { groups: 'agents', tables: 'app.orders', text: 'a', phases: 'execute', resources: 'orders-db' },
        },
      ],
    })
    const { command } = context
    if (command.kind !== 'sql') throw new Error('expected SQL')
    const others: readonly DecisionContext[] = [
      { ...context, subject: { ...AGENT, groups: [] } },
      { ...context, resource: { ...ORDERS_DB, name: 'other' } },
      { ...context, command: { ...command, phase: 'prepare' } },
      { ...context, command: { ...command, text: 'b' } },
      { ...context, command: { ...command, state: { ...command.state, searchPath: 'hr' } } },
      { ...context, command: { ...command, dialect: 'mysql' } },
    ]
    for (const other of [...others, ...others]) {
      expect(policy.decide(context)).toMatchObject({ effect: 'allow' })
      expect(policy.decide(other)).toMatchObject({ effect: 'deny' })
    }
  })

  it('is one frozen outcome for equal contexts', () => {
    const policy = createPolicy({ rules: [allow] })
    const first = policy.decide(contextOf(orders))
    expect(policy.decide(contextOf(orders))).toBe(first)
    expect(Object.isFrozen(first)).toBe(true)
  })

  it('does not hold on to bound values', () => {
    const policy = createPolicy({
      rules: [allow, { id: 'x', effect: 'deny', match: { functions: 'f', time: { to: '01:00' } } }],
    })
    const context = contextOf(statement('select', { functions: [call('f')] }))
    expect(policy.decide(context)).toMatchObject({ effect: 'allow' })
  })
})
