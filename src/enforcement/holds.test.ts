import { describe, expect, it, vi } from 'vitest'
import type { ApprovalResolution } from '../approval/index.js'
import type { BoundValue, PolicyOutcome, Subject } from '../core/index.js'
import {
  agent,
  allow,
  deny,
  hold,
  outcome,
  policyOf,
  settle,
  silent,
  sqlCommand,
  verdict,
  world,
  type World,
} from './enforcement.test-support.js'

const alice: Subject = { id: 'alice', groups: ['dba'] }
const bob: Subject = { id: 'bob', groups: ['dba'] }
const waitingId = ({ broker }: World, index = 0): string => broker.list()[index]?.id ?? 'none'
const approvedBy = (...approvers: Subject[]): ApprovalResolution => ({
  outcome: 'approved',
  by: approvers.map((approver) => ({ approver, atUnixMs: 0 })),
})

describe('a hold', () => {
  it('lets a command through once it is approved, and records by whom', async () => {
    const here = world({ policy: policyOf(hold) })
    const judgement = here.session.judge(sqlCommand(), silent)
    await settle()
    const [summary] = here.broker.list()
    expect(here.broker.approve(waitingId(here), alice, 'fine')).toMatchObject({ ok: true })
    await expect(judgement).resolves.toMatchObject({ permitted: true })
    expect(here.recorder.events).toMatchObject([
      { type: 'hold', holdId: summary?.holdId, digest: summary?.digest, approvalsNeeded: 1, text: 'delete from users' },
      { type: 'approval', outcome: 'approved', approver: 'alice', comment: 'fine' },
      { type: 'command', permitted: true, holdId: summary?.holdId },
    ])
    expect(here.timers.size).toBe(0)
  })

  it('tells the client why it waits, for how long at most, and reminds it', async () => {
    const here = world({ policy: policyOf(outcome({ ...hold, message: 'no\nwhere' })) })
    const lines: string[] = []
    const judgement = here.session.judge(sqlCommand(), (text) => lines.push(text))
    expect(lines).toEqual([])
    await settle()
    const id = here.broker.list()[0]?.holdId
    expect(lines).toEqual([`waiting for approval (rule r): no where; at most 60 s; hold ${id}`])
    await here.pass(20_000)
    expect(lines.slice(1)).toEqual([
      `still waiting for approval, 10 s of 60 s; hold ${id}`,
      `still waiting for approval, 20 s of 60 s; hold ${id}`,
    ])
    here.broker.reject(waitingId(here), alice, 'no')
    await judgement
    await here.pass(60_000)
    expect(lines).toHaveLength(3)
    expect(here.timers.size).toBe(0)
  })

  it('tells who rejected it and why', async () => {
    const here = world({ policy: policyOf(hold) })
    const judgement = here.session.judge(sqlCommand(), silent)
    await settle()
    here.broker.reject(waitingId(here), alice, 'not on a Friday')
    await expect(judgement).resolves.toMatchObject({
      denial: { reason: 'approval-rejected', message: 'rejected by `alice`: not on a Friday', ruleId: 'r' },
    })
    expect(here.recorder.commands).toMatchObject([{ permitted: false, refusal: 'approval-rejected' }])
  })

  it('tells the words of an approver on one line, without what a protocol cannot carry', async () => {
    const here = world({ policy: policyOf(hold) })
    const judgement = here.session.judge(sqlCommand(), silent)
    await settle()
    here.broker.reject(waitingId(here), alice, `no\0\r\n${'x'.repeat(5000)}`)
    const settled = await judgement
    expect(settled.permitted ? '' : settled.denial.message).toBe(`rejected by \`alice\`: no ${'x'.repeat(497)}...`)
  })

  it('APP-1 counts no approval that the requester, or who is behind them, could have given', async () => {
    const forged: Subject[] = [
      { ...agent, groups: ['dba'] },
      { id: 'olga', groups: ['dba'] },
      { id: 'eve', groups: ['dev'] },
    ]
    for (const approver of forged) {
      const { session } = world({ policy: policyOf(hold), broker: { request: async () => approvedBy(approver) } })
      expect(await verdict(session.judge(sqlCommand(), silent))).toBe('approval-unavailable')
    }
  })

  it('APP-2 does not let another command through than the one that was approved', async () => {
    const bytes = Buffer.from('7')
    const parameters: BoundValue[] = [{ type: 25, format: 'text', bytes }]
    const here = world({ policy: policyOf(hold) })
    const judgement = here.session.judge(sqlCommand({ parameters }), silent)
    await settle()
    bytes.write('8')
    here.broker.approve(waitingId(here), alice)
    await expect(judgement).resolves.toMatchObject({
      denial: { reason: 'approval-unavailable', message: 'what would run is not what was approved' },
    })
  })

  it('APP-2 is judged again at release: a denial of now wins', async () => {
    let answer: PolicyOutcome = hold
    const here = world({ policy: policyOf(() => answer) })
    const judgement = here.session.judge(sqlCommand(), silent)
    await settle()
    answer = deny
    here.broker.approve(waitingId(here), alice)
    expect(await verdict(judgement)).toBe('rule')
  })

  it('APP-2 is judged by the new policy at release, and its obligations hold', async () => {
    const here = world({ policy: policyOf(hold) })
    const judgement = here.session.judge(sqlCommand(), silent)
    await settle()
    here.enforcer.setPolicy(policyOf(outcome({ maxRows: 3 }), { digest: 'policy-2' }))
    here.broker.approve(waitingId(here), alice)
    await expect(judgement).resolves.toMatchObject({ permitted: true, obligations: { maxRows: 3 } })
  })

  it('APP-2 asks anew when another policy also wants approval, a bounded number of times', async () => {
    const here = world({ policy: policyOf(hold), limits: { maxHoldRounds: 2 } })
    const judgement = here.session.judge(sqlCommand(), silent)
    for (const digest of ['policy-2', 'policy-3']) {
      await settle()
      expect(here.broker.list()).toHaveLength(1)
      here.enforcer.setPolicy(policyOf(hold, { digest }))
      here.broker.approve(waitingId(here), alice)
    }
    expect(await verdict(judgement)).toBe('approval-expired')

    const other = here.session.judge(sqlCommand({ id: 2 }), silent)
    await settle()
    here.enforcer.setPolicy(policyOf(hold, { digest: 'policy-4' }))
    here.broker.approve(waitingId(here), alice)
    await settle()
    here.broker.approve(waitingId(here), alice)
    expect(await verdict(other)).toBe('permitted')
  })

  it('APP-3 counts one person once, whatever the broker says', async () => {
    const two = outcome({ ...hold, hold: { approverGroups: ['dba'], approvalsNeeded: 2, timeoutMs: 1000 } })
    const ask = async (...approvers: Subject[]): Promise<string> => {
      const { session } = world({ policy: policyOf(two), broker: { request: async () => approvedBy(...approvers) } })
      return await verdict(session.judge(sqlCommand(), silent))
    }
    expect(await ask(alice)).toBe('approval-unavailable')
    expect(await ask(alice, alice)).toBe('approval-unavailable')
    expect(await ask(alice, { ...alice, id: 'ALICE' })).toBe('approval-unavailable')
    expect(await ask(alice, bob)).toBe('permitted')
  })

  it('APP-4 runs once, however often it is approved', async () => {
    const here = world({ policy: policyOf(hold) })
    const released = vi.fn()
    here.enforcer.on('released', released)
    const judgement = here.session.judge(sqlCommand(), silent)
    await settle()
    const id = waitingId(here)
    expect([here.broker.approve(id, alice).ok, here.broker.approve(id, bob).ok]).toEqual([true, false])
    await judgement
    expect(released).toHaveBeenCalledTimes(1)
    expect(here.recorder.commands).toHaveLength(1)
  })

  it('APP-5 is refused when nobody answers in time, also by a broker that never does', async () => {
    for (const broker of [undefined, { request: () => new Promise<never>(() => undefined) }]) {
      const here = world({ policy: policyOf(hold), ...(broker === undefined ? {} : { broker }) })
      const judgement = here.session.judge(sqlCommand(), silent)
      await settle()
      await here.pass(60_000)
      expect(await verdict(judgement)).toBe('approval-expired')
      expect(here.timers.size).toBe(0)
    }
  })

  it('APP-5 ignores an approval that comes too late', async () => {
    let answer: (resolution: ApprovalResolution) => void = silent
    const aborted = vi.fn()
    const here = world({
      policy: policyOf(hold),
      broker: {
        request: (_hold, signal) => {
          signal.addEventListener('abort', aborted)
          return new Promise((resolve) => (answer = resolve))
        },
      },
    })
    const judgement = here.session.judge(sqlCommand(), silent)
    await here.pass(60_000)
    answer(approvedBy(alice))
    expect(await verdict(judgement)).toBe('approval-expired')
    expect(aborted).toHaveBeenCalledTimes(1)
    expect(here.recorder.commands).toHaveLength(1)
  })

  it('APP-5 an approval given in time but used too late is none', async () => {
    const late = world({
      policy: policyOf(hold),
      broker: {
        request: async () => {
          late.nowUnixMs += 60_000
          return approvedBy(alice)
        },
      },
    })
    expect(await verdict(late.session.judge(sqlCommand(), silent))).toBe('approval-expired')
  })

  it('APP-6 ends when the client cancels, leaves, or loses its session', async () => {
    const ways: [string, (here: World) => unknown][] = [
      ['withdrawn', (here) => here.session.withdraw(1)],
      ['withdrawn', (here) => here.session.end('left')],
      ['revoked', (here) => here.enforcer.revoke(here.session.id)],
    ]
    for (const [reason, leave] of ways) {
      for (const isEarly of [true, false]) {
        const here = world({ policy: policyOf(hold) })
        const judgement = here.session.judge(sqlCommand(), silent)
        if (!isEarly) await settle()
        const left = leave(here)
        expect(await verdict(judgement)).toBe(reason)
        await left
        expect(here.broker.list()).toEqual([])
        expect(here.timers.size).toBe(0)
        expect(here.recorder.commands).toMatchObject([{ permitted: false, refusal: reason }])
      }
    }
  })

  it('APP-6 records what waited before it writes the end marker, whoever ends the session', async () => {
    const here = world({ policy: policyOf(hold) })
    let ended: Promise<void> | undefined
    here.enforcer.on('hold', ({ session }) => {
      ended = session.end('a listener said so')
    })
    expect(await verdict(here.session.judge(sqlCommand(), silent))).toBe('withdrawn')
    await ended
    expect(here.recorder.log).toEqual(['command 1 refused', 'close a listener said so'])
    expect(here.session.failure).toBeUndefined()
  })

  it('APP-6 withdraws only the command that was cancelled', async () => {
    const here = world({ policy: policyOf(({ command }) => (command.id === 1 ? hold : allow)) })
    const judgement = here.session.judge(sqlCommand(), silent)
    await settle()
    here.session.withdraw(2)
    await settle()
    expect(here.broker.list()).toHaveLength(1)
    here.session.withdraw(1)
    expect(await verdict(judgement)).toBe('withdrawn')
    expect(await verdict(here.session.judge(sqlCommand({ id: 2 }), silent))).toBe('permitted')
  })

  it('APP-6 is withdrawn also between approval and release', async () => {
    let decide: (answer: PolicyOutcome) => void = silent
    let calls = 0
    const here = world({
      policy: policyOf(() => (++calls === 1 ? hold : new Promise<PolicyOutcome>((resolve) => (decide = resolve)))),
    })
    const judgement = here.session.judge(sqlCommand(), silent)
    await settle()
    here.broker.approve(waitingId(here), alice)
    await settle()
    here.session.withdraw(1)
    decide(hold)
    expect(await verdict(judgement)).toBe('withdrawn')
  })

  it('APP-6 is refused with limit when too many wait', async () => {
    const here = world({ policy: policyOf(hold) })
    const judgements = [1, 2, 3].map((id) => here.session.judge(sqlCommand({ id }), silent))
    expect(await verdict(judgements[2] as never)).toBe('limit')
    expect(here.broker.list()).toHaveLength(2)
  })

  it('APP-8 shows the approver the bound values', async () => {
    const here = world({ policy: policyOf(hold) })
    const parameters: BoundValue[] = [
      { type: 23, format: 'text', bytes: Buffer.from('7') },
      { type: 25, format: 'text' },
    ]
    void here.session.judge(sqlCommand({ parameters }), silent)
    await settle()
    expect(here.broker.get(waitingId(here))?.values).toEqual(["$1 = '7' (type 23, text, 1 bytes)", '$2 = NULL'])
  })

  it('APP-9 an approval is for one command: the same one again waits again', async () => {
    const here = world({ policy: policyOf(hold) })
    const first = here.session.judge(sqlCommand(), silent)
    await settle()
    here.broker.approve(waitingId(here), alice)
    expect(await verdict(first)).toBe('permitted')
    void here.session.judge(sqlCommand({ id: 2 }), silent)
    await settle()
    expect(here.broker.list()).toHaveLength(1)
  })

  it('asks nobody for longer than the enforcer allows', async () => {
    const here = world({ policy: policyOf(hold), limits: { maxHoldMs: 5_000 } })
    const judgement = here.session.judge(sqlCommand(), silent)
    await here.pass(5_000)
    expect(await verdict(judgement)).toBe('approval-expired')
  })
})
