import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { HoldTerms, Subject } from '../core/index.js'
import { eligibilityProblem, sharesIdentity } from './eligibility.js'
import { agent, alice, bob } from './approval.test-support.js'
import {
  approveHold,
  createHold,
  expireHold,
  rejectHold,
  releaseHold,
  withdrawHold,
  type Hold,
  type HoldStep,
} from './hold.js'

const terms = (changes: Partial<HoldTerms> = {}): HoldTerms => ({
  approverGroups: ['dba'],
  approvalsNeeded: 1,
  timeoutMs: 1000,
  ...changes,
})
const hold = (changes: Partial<HoldTerms> = {}): Hold =>
  createHold({ id: 'h', digest: 'd', requester: agent, terms: terms(changes) }, 0)
const ok = (step: HoldStep): Hold => {
  if (!step.ok) throw new Error(step.refusal.code)
  return step.hold
}
const code = (step: HoldStep): string => (step.ok ? 'ok' : step.refusal.code)

describe('a hold', () => {
  it('is released once with one approval', () => {
    const approved = ok(approveHold(hold(), alice, 10, 'looks fine'))
    expect(approved.phase).toBe('approved')
    const released = ok(releaseHold(approved, 'd', 20))
    expect(released.phase).toBe('released')
    expect(code(releaseHold(released, 'd', 20))).toBe('not-waiting')
  })

  it('APP-3 is not approved by the requester, who is behind them, nor an agent of either', () => {
    const refused: Subject[] = [
      { ...agent, groups: ['dba'] },
      { id: 'olga', type: 'human', groups: ['dba'] },
      { id: 'OLGA ', type: 'human', groups: ['dba'] },
      { id: 'agent-8', type: 'agent', groups: ['dba'], onBehalfOf: 'olga' },
      { id: 'agent-9', type: 'agent', groups: ['dba'], onBehalfOf: 'agent-7' },
    ]
    for (const subject of refused) {
      expect(code(approveHold(hold(), subject, 1))).toBe('self-approval')
      expect(code(rejectHold(hold(), subject, 'no', 1))).toBe('self-approval')
    }
  })

  it('APP-3 counts nobody twice, under whichever identity they come', () => {
    const one = ok(approveHold(hold({ approvalsNeeded: 2 }), alice, 1))
    expect(one.phase).toBe('waiting')
    expect(code(approveHold(one, alice, 2))).toBe('already-approved')
    expect(code(approveHold(one, { ...alice, id: 'Alice', groups: ['dba', 'sre'] }, 2))).toBe('already-approved')
    const bot: Subject = { id: 'bot', type: 'service', groups: ['dba'], onBehalfOf: 'alice' }
    expect(code(approveHold(one, bot, 2))).toBe('already-approved')
    expect(ok(approveHold(one, bob, 3)).phase).toBe('approved')
  })

  it('APP-1 is not approved by who is in no approver group, by nobody, nor by an unnamed agent', () => {
    expect(code(approveHold(hold(), { id: 'eve', groups: ['dev'] }, 1))).toBe('not-in-group')
    expect(code(approveHold(hold(), { id: 'eve' }, 1))).toBe('not-in-group')
    expect(code(approveHold(hold(), { id: ' ', groups: ['dba'] }, 1))).toBe('no-identity')
    expect(code(approveHold(hold({ approverGroups: [] }), { id: 'bot', type: 'agent' }, 1))).toBe('agent')
    expect(code(approveHold(hold({ approverGroups: [] }), { id: 'eve', type: 'human' }, 1))).toBe('ok')
  })

  it('APP-5 cannot be approved or released once its time is up', () => {
    expect(code(approveHold(hold(), alice, 1000))).toBe('expired')
    const approved = ok(approveHold(hold(), alice, 999))
    expect(code(releaseHold(approved, 'd', 1000))).toBe('expired')
    expect(code(approveHold(ok(expireHold(hold(), 1000)), alice, 1))).toBe('not-waiting')
    expect(code(expireHold(hold(), 999))).toBe('not-waiting')
  })

  it('APP-2 is not released for anything but what was approved', () => {
    expect(code(releaseHold(ok(approveHold(hold(), alice, 1)), 'e', 2))).toBe('digest-mismatch')
  })

  it('can be rejected or withdrawn until it is released', () => {
    const approved = ok(approveHold(hold(), alice, 1))
    expect(ok(rejectHold(approved, bob, 'wait', 2)).phase).toBe('rejected')
    expect(ok(withdrawHold(approved)).phase).toBe('withdrawn')
    expect(code(withdrawHold(ok(releaseHold(approved, 'd', 2))))).toBe('not-waiting')
  })

  it('refuses terms that would always or never be met', () => {
    for (const approvalsNeeded of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => hold({ approvalsNeeded })).toThrow(/number of approvals/)
    }
    for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => hold({ timeoutMs })).toThrow(/hold time/)
    }
  })

  it('APP-4 never reaches release without enough distinct eligible approvals in time, and never twice', () => {
    const subject = fc.record(
      {
        id: fc.constantFrom('agent-7', 'olga', 'Olga', 'alice', 'ALICE', 'bob', 'carol', ''),
        type: fc.constantFrom('agent' as const, 'human' as const),
        groups: fc.subarray(['dba', 'sre', 'dev']),
        onBehalfOf: fc.constantFrom('olga', 'alice', 'agent-7'),
      },
      { requiredKeys: ['id', 'type'] },
    )
    const action = fc.record({
      verb: fc.constantFrom('approve', 'approve', 'approve', 'reject', 'expire', 'withdraw', 'release', 'release'),
      by: subject,
      afterMs: fc.constantFrom(0, 1, 100, 600),
      digest: fc.constantFrom('d', 'd', 'd', 'x'),
    })
    const groups = fc.subarray(['dba', 'sre'])
    let reached = 0
    fc.assert(
      fc.property(fc.array(action, { maxLength: 12 }), groups, fc.integer({ min: 1, max: 3 }), (actions, g, needed) => {
        let now = 0
        let releases = 0
        let state = hold({ approverGroups: g, approvalsNeeded: needed })
        for (const { verb, by, afterMs, digest } of actions) {
          now += afterMs
          const before = state
          const next =
            verb === 'approve'
              ? approveHold(state, by, now)
              : verb === 'reject'
                ? rejectHold(state, by, 'no', now)
                : verb === 'expire'
                  ? expireHold(state, now)
                  : verb === 'withdraw'
                    ? withdrawHold(state)
                    : releaseHold(state, digest, now)
          if (next.ok) state = next.hold
          if (next.ok && verb === 'release') {
            releases++
            reached++
            expect(digest).toBe('d')
            expect(now).toBeLessThan(1000)
            expect(before.phase).toBe('approved')
            expect(state.approvals.length).toBeGreaterThanOrEqual(needed)
            state.approvals.forEach((approval, index) => {
              expect(approval.atUnixMs).toBeLessThan(1000)
              expect(eligibilityProblem(approval.approver, agent, state.terms)).toBeUndefined()
              for (const other of state.approvals.slice(index + 1)) {
                expect(sharesIdentity(approval.approver, other.approver)).toBe(false)
              }
            })
          }
        }
        expect(releases).toBeLessThanOrEqual(1)
      }),
      { numRuns: 5000 },
    )
    expect(reached).toBeGreaterThan(10)
  })
})
