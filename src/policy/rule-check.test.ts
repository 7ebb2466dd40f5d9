import { describe, expect, it } from 'vitest'
import { createPolicy, defineRule, type Match, type Rule } from './index.js'

const reject = (rule: Rule, pattern: RegExp): void =>
  expect(() => defineRule(rule), JSON.stringify(rule)).toThrow(pattern)

describe('a rule that can never fire is refused', () => {
  const impossible: readonly [Match, RegExp][] = [
    [{ tables: [] }, /match\.tables: an empty list never matches/],
    [{ tags: {} }, /empty map/],
    [{ classes: 'read', verbs: ['delete', 'update'] }, /can never fire: `delete`, `update` is never of class `read`/],
    [{ classes: ['read', 'session'], tables: { tables: '*', access: 'write' } }, /does not write/],
    [{ classes: 'read', columns: { columns: '*', access: 'write' } }, /does not write/],
    [{ classes: 'read', missingWhere: true }, /no UPDATE or DELETE/],
    [{ tables: 'a.' }, /empty part/],
    [{ tables: 'a.b.c' }, /can never match/],
    [{ tables: `x${'y'.repeat(63)}` }, /longer than 63 bytes/],
    [{ tables: 'drop table' }, /is no name/],
    [{ tables: '"open' }, /double quote/],
    [{ time: { from: '10:00', to: '10:00' } }, /window is empty/],
    [{ time: { days: [] } }, /empty list/],
    [{ time: { timeZone: 'Mars/Olympus' } }, /time zone/],
    [{ kinds: 'shell', tables: 'orders' }, /not SQL/],
    [{ protocols: 'postgres', dialects: 'mysql' }, /speaks/],
    [{ not: {} }, /empty match/],
    [{ groups: 'a', not: { groups: ['a', 'b'] } }, /`not` excludes everything/],
    [{ certainty: 'unparsed', tables: 'x' }, /nothing is known/],
    [{ text: '' }, /empty string/],
    [{ text: 'a\u017f' }, /long s/],
    [{ verbs: 'select *' }, /is no verb/],
  ]
  it.each(impossible)('%j', (match, pattern) => reject({ id: 'r', effect: 'deny', match }, pattern))

  it('also a permission that its own `not` takes back', () => {
    reject({ id: 'r', effect: 'allow', match: { tables: 'a', not: { tables: '*' } } }, /`not` excludes everything/)
    // A prohibition like this has a meaning: a, together with something else.
    defineRule({ id: 'r', effect: 'deny', match: { tables: 'a', not: { tables: 'a' } } })
  })

  it('also where its effect does not fit its match', () => {
    reject({ id: 'r', effect: 'allow', match: { certainty: 'unparsed' } }, /evenIfUnparsed/)
    reject({ id: 'r', effect: 'allow', match: { tables: 'a' }, evenIfUnparsed: true }, /could not be parsed/)
    reject({ id: 'r', effect: 'deny', evenIfUnparsed: true }, /belongs to effect/)
    reject({ id: 'r', effect: 'hold', match: { phases: 'prepare' } }, /only prepared/)
    reject({ id: 'r', match: { tables: 'a' } }, /does nothing/)
    reject({ id: 'r', mask: {} }, /does nothing/)
    reject({ id: 'r', effect: 'deny', hold: {} }, /belong to effect `hold`/)
    reject({ id: 'r', effect: 'hold', hold: { approvalsNeeded: 0 } }, /from 1 to 16/)
    reject({ id: 'r', maxRows: -1 }, /from 0/)
    reject({ id: 'r', effect: 'deny', message: 'a\nb' }, /one line/)
    reject(
      { id: 'r', mask: { columns: [{ column: 'a.b', strategy: { kind: 'hash', value: 'x' } as { kind: 'hash' } }] } },
      /belongs to strategy/,
    )
    reject({ id: 'r', mask: { columns: ['us*.ssn'] } }, /exact names/)
  })
})

describe('rules that a denial always outdoes', () => {
  const shadowed = (deny: Rule, other: Rule): boolean => {
    try {
      createPolicy({ rules: [other, deny] })
      return false
    } catch (error) {
      expect(String(error)).toMatch(/can never fire: whatever it matches is denied by `d`/)
      return true
    }
  }
  const deny = (match?: Match): Rule => ({ id: 'd', effect: 'deny', ...(match === undefined ? {} : { match }) })
  const allow = (match: Match): Rule => ({ id: 'a', effect: 'allow', match })
  const hold = (match: Match): Rule => ({ id: 'a', effect: 'hold', match })

  it('are refused', () => {
    expect(shadowed(deny(), allow({ tables: 'a' }))).toBe(true)
    expect(shadowed(deny({ tables: 'hr.*' }), allow({ tables: ['hr.people', 'hr.pay'] }))).toBe(true)
    expect(shadowed(deny({ tables: 'people' }), hold({ tables: 'hr.people', verbs: 'select' }))).toBe(true)
    expect(shadowed(deny({ verbs: 'drop' }), hold({ verbs: ['drop table', 'drop'] }))).toBe(true)
    expect(shadowed(deny({ groups: ['x', 'y*'] }), allow({ groups: 'yz', subjects: 's' }))).toBe(true)
    expect(shadowed(deny({ missingWhere: true }), hold({ missingWhere: true }))).toBe(true)
    expect(shadowed(deny({ tags: { env: 'prod' } }), allow({ tags: { env: 'prod', a: 'b' } }))).toBe(true)
  })

  it('are kept where something is left to them', () => {
    expect(shadowed(deny({ tables: 'hr.people' }), allow({ tables: ['hr.people', 'hr.pay'] }))).toBe(false)
    expect(shadowed(deny({ tables: 'hr.people' }), hold({ tables: 'people' }))).toBe(false)
    expect(shadowed(deny({ tables: { tables: 'a', access: 'write' } }), allow({ tables: 'a' }))).toBe(false)
    expect(shadowed({ ...deny(), when: () => false }, allow({ tables: 'a' }))).toBe(false)
    expect(shadowed({ ...deny(), mode: 'observe' }, allow({ tables: 'a' }))).toBe(false)
    expect(shadowed(deny({ functions: 'f' }), allow({ classes: 'read', functions: 'f' }))).toBe(false)
    expect(shadowed(deny({ time: { days: 'sun' } }), allow({ tables: 'a' }))).toBe(false)
  })
})

describe('createPolicy', () => {
  it('names every problem with its place', () => {
    const bad = { id: 'x', effect: 'allow', match: { tabels: 'a' } } as unknown as Rule
    expect(() => createPolicy({ rules: [{ id: 'ok', effect: 'allow' }, bad, { ...bad, id: '' }] })).toThrow(
      /rules\[1\]\.match\.tabels: unknown key.*\nrules\[2\]\.id: expected text.*\nrules\[2\]\.match\.tabels/,
    )
  })

  it('refuses an id used twice', () => {
    expect(() =>
      createPolicy({
        rules: [
          { id: 'a', effect: 'allow' },
          { id: 'a', maxRows: 1 },
        ],
      }),
    ).toThrow(/used twice/)
  })

  it('checks a long policy in linear time', () => {
    const start = performance.now()
    const rules = Array.from(
      { length: 6_000 },
      (_, index): Rule => ({
        id: `r${index}`,
        effect: index % 2 === 0 ? 'allow' : 'deny',
        match: { subjects: `agent-${index}` },
      }),
    )
    createPolicy({ rules })
    expect(performance.now() - start).toBeLessThan(5_000)
  })
})
