import { describe, expect, it, vi } from 'vitest'
import {
  allow,
  agent,
  deny,
  hold,
  outcome,
  policyOf,
  settle,
  silent,
  sqlCommand,
  sync,
  verdict,
  world,
} from './enforcement.test-support.js'

const resource = { name: 'orders', protocol: 'postgres' }

describe('an enforcer', () => {
  it('judges later commands by the policy it was given last', async () => {
    const { session, enforcer, recorder } = world()
    expect(sync(session.judge(sqlCommand(), silent)).permitted).toBe(true)
    enforcer.setPolicy(policyOf(deny, { digest: 'policy-2' }))
    expect(sync(session.judge(sqlCommand({ id: 2 }), silent)).permitted).toBe(false)
    expect(session.policy.digest).toBe('policy-2')
    expect(recorder.events).toMatchObject([{}, { type: 'note', details: { policyDigest: 'policy-2' } }, {}])
  })

  it('keeps the policy it has when a new one cannot be used', () => {
    const { enforcer } = world()
    const masks = { columns: [], detectors: [{ detector: 'email', strategy: { kind: 'redact' as const } }] }
    expect(() => enforcer.setPolicy(policyOf(allow, { digest: 'x', sessionMasks: masks }))).toThrow(/masks/)
    expect(enforcer.policy.digest).toBe('policy-1')
    expect(() => world({ onlineReload: false }).enforcer.setPolicy(policyOf(allow))).toThrow(/onlineReload/)
  })

  it('tells what happens as it happens', async () => {
    const { session, enforcer, broker } = world({ policy: policyOf(hold) })
    const told: string[] = []
    enforcer.on('session', () => told.push('session'))
    enforcer.on('hold', (event) => told.push(`hold ${event.holdId}`))
    enforcer.on('released', (event) => told.push(`released by ${event.by.map(({ approver }) => approver.id).join()}`))
    enforcer.on('decision', (event) => told.push(`decision ${event.judgement.permitted}`))
    enforcer.on('end', (_session, reason) => told.push(`end ${reason}`))
    enforcer.openSession({ subject: agent, resource })
    const judgement = session.judge(sqlCommand(), silent)
    await settle()
    const [waiting] = broker.list()
    broker.approve(waiting?.id ?? '', { id: 'alice', groups: ['dba'] })
    expect(await verdict(judgement)).toBe('permitted')
    await session.end('bye')
    expect(told).toEqual(['session', `hold ${waiting?.holdId}`, 'decision true', 'released by alice', 'end bye'])
  })

  it('lets no listener change a decision or silence another', async () => {
    const { session, enforcer } = world()
    const other = vi.fn()
    enforcer.on('decision', () => {
      throw new Error('listener')
    })
    enforcer.on('decision', (() => Promise.reject(new Error('async listener'))) as () => void)
    enforcer.once('decision', other)
    expect(sync(session.judge(sqlCommand(), silent)).permitted).toBe(true)
    void session.judge(sqlCommand({ id: 2 }), silent)
    await settle()
    expect(other).toHaveBeenCalledTimes(1)
  })

  it('observes without acting, and records what it would have done', () => {
    const effects = { 1: deny, 2: hold, 3: outcome({ maxRows: 1 }) } as Record<number, typeof allow>
    const { session, recorder } = world({
      mode: 'observe',
      policy: policyOf(({ command }) => effects[command.id] ?? allow),
    })
    for (const id of [1, 2, 3]) {
      expect(sync(session.judge(sqlCommand({ id }), silent))).toMatchObject({ permitted: true, obligations: {} })
    }
    expect(recorder.commands.map(({ verdict: { effect, wouldBe } }) => ({ effect, wouldBe }))).toEqual([
      { effect: 'allow', wouldBe: 'deny' },
      { effect: 'allow', wouldBe: 'hold' },
      { effect: 'allow', wouldBe: undefined },
    ])
    expect(session.textMasker).toBeUndefined()
  })

  it('observes an engine that fails as a refusal that would have been', () => {
    const fail = (): never => {
      throw new Error('engine')
    }
    const { session, recorder } = world({ mode: 'observe', policy: policyOf(fail) })
    expect(sync(session.judge(sqlCommand(), silent)).permitted).toBe(true)
    expect(recorder.commands[0]?.verdict).toMatchObject({ wouldBe: 'deny', reason: 'engine-error' })
  })

  it('explains a command without running, recording or telling anything', async () => {
    const { enforcer, recorder } = world({ policy: policyOf(deny) })
    const decisions = vi.fn()
    enforcer.on('decision', decisions)
    await expect(enforcer.explain(sqlCommand(), agent, resource)).resolves.toMatchObject({
      outcome: { effect: 'deny' },
      denial: { reason: 'rule', ruleId: 'r' },
      policyDigest: 'policy-1',
    })
    expect(recorder.events).toEqual([])
    expect(decisions).not.toHaveBeenCalled()
  })

  it('opens no more sessions than its limit', async () => {
    const { enforcer, session } = world({ limits: { maxSessions: 1 } })
    expect(() => enforcer.openSession({ subject: agent, resource })).toThrow(/at most 1 sessions/)
    await session.end('bye')
    expect(() => enforcer.openSession({ subject: agent, resource })).not.toThrow()
  })

  it('refuses limits that make no sense', () => {
    for (const engineTimeoutMs of [0, -1, Number.NaN])
      expect(() => world({ limits: { engineTimeoutMs } })).toThrow(/positive/)
  })
})
