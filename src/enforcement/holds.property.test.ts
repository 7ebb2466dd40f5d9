import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PolicyOutcome, Subject } from '../core/index.js'
import { allow, deny, hold, outcome, policyOf, settle, silent, sqlCommand, world } from './enforcement.test-support.js'

const two: PolicyOutcome = outcome({
  ...hold,
  hold: { approverGroups: ['sre'], approvalsNeeded: 2, timeoutMs: 60_000 },
})
const policies = [hold, two, allow, deny].map((answer, index) => policyOf(answer, { digest: `policy-${index}` }))

const subject: fc.Arbitrary<Subject> = fc.record(
  {
    id: fc.constantFrom('agent-7', 'olga', 'alice', 'Alice', 'bob', 'carol'),
    groups: fc.subarray(['dba', 'sre']),
    onBehalfOf: fc.constantFrom('olga', 'bob'),
  },
  { requiredKeys: ['id', 'groups'] },
)
const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('approve' as const), by: subject }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reject' as const), by: subject }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('policy' as const), index: fc.nat({ max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 30_000, 60_000) }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ kind: 'withdraw' as const }, { kind: 'revoke' as const }, { kind: 'end' as const }),
  },
)

describe('a held command', () => {
  it('APP-2 APP-3 APP-4 APP-5 is let through at most once, only by a policy that allows it or by enough people in time', async () => {
    const seen = { permitted: 0, refused: 0 }
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.array(action, { maxLength: 10 }), async (isStrict, actions) => {
        const here = world({ policy: policies[isStrict ? 1 : 0] as (typeof policies)[number] })
        let isOver = false
        const judgement = Promise.resolve(here.session.judge(sqlCommand(), silent)).finally(() => (isOver = true))
        await settle()
        /** Accepted approvals of the hold that waits now. */
        let given: { id: string; by: Set<string> } = { id: '', by: new Set() }
        let needed = 0
        for (const step of actions) {
          if (isOver) break
          const waiting = here.broker.list()[0]
          if (waiting === undefined) break
          if (waiting.id !== given.id) given = { id: waiting.id, by: new Set() }
          needed = here.session.policy.digest === 'policy-1' ? 2 : 1
          if (step.kind === 'approve' && here.broker.approve(waiting.id, step.by).ok)
            given.by.add(step.by.id.toLowerCase())
          else if (step.kind === 'reject') here.broker.reject(waiting.id, step.by, 'no')
          else if (step.kind === 'policy') here.enforcer.setPolicy(policies[step.index] as (typeof policies)[number])
          else if (step.kind === 'pass') await here.pass(step.ms)
          else if (step.kind === 'withdraw') here.session.withdraw(1)
          else if (step.kind === 'revoke') here.enforcer.revoke(here.session.id)
          else if (step.kind === 'end') void here.session.end('over')
          await settle()
        }
        if (!isOver) await here.pass(300_000)
        const { permitted } = await judgement
        seen[permitted ? 'permitted' : 'refused']++
        const effect = here.session.policy.digest
        if (permitted) {
          expect(effect).not.toBe('policy-3')
          if (effect !== 'policy-2') expect(given.by.size).toBeGreaterThanOrEqual(needed)
          for (const id of given.by) expect(['agent-7', 'olga']).not.toContain(id)
        }
        expect(here.recorder.commands).toHaveLength(1)
        expect(here.recorder.commands[0]?.permitted).toBe(permitted)
        expect(here.broker.list()).toEqual([])
        expect(here.timers.size).toBe(0)
      }),
      { numRuns: 1500 },
    )
    expect(seen.permitted).toBeGreaterThan(50)
    expect(seen.refused).toBeGreaterThan(50)
  })
})
