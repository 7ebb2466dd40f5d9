import { describe, expect, it, vi } from 'vitest'
import type { ApprovalResolution } from './broker.js'
import { agent, alice, bob, holdRequest, sqlCommand, textValue } from './approval.test-support.js'
import { createMemoryBroker, type MemoryBroker, type MemoryBrokerLimits } from './memory-broker.js'

interface World {
  broker: MemoryBroker
  nowUnixMs: number
  pass(ms: number): void
  timers: Set<{ atUnixMs: number; run: () => void }>
}

function world(limits: MemoryBrokerLimits = {}): World {
  let counter = 0
  const timers: World['timers'] = new Set()
  const self: World = {
    nowUnixMs: 1000,
    timers,
    broker: createMemoryBroker({
      clock: { nowUnixMs: () => self.nowUnixMs },
      schedule: (delayMs, run) => {
        const timer = { atUnixMs: self.nowUnixMs + delayMs, run }
        timers.add(timer)
        return () => timers.delete(timer)
      },
      randomBytes: (count) => Buffer.alloc(count, ++counter),
      limits,
    }),
    pass(ms) {
      self.nowUnixMs += ms
      for (const timer of [...timers]) {
        if (timer.atUnixMs <= self.nowUnixMs && timers.delete(timer)) timer.run()
      }
    },
  }
  return self
}

const never = (): AbortSignal => new AbortController().signal
const idOf = ({ broker }: World, index = 0): string => broker.list()[index]?.id ?? 'none'

describe('the memory broker', () => {
  it('resolves with who approved, once, and forgets the hold', async () => {
    const here = world()
    const resolved = vi.fn()
    here.broker.events.on('resolved', resolved)
    const answer = here.broker.request(holdRequest(), never())
    const id = idOf(here)
    expect(here.broker.approve(id, alice, 'fine')).toEqual({ ok: true, phase: 'approved', approvalsMissing: 0 })
    await expect(answer).resolves.toEqual({
      outcome: 'approved',
      by: [{ approver: alice, atUnixMs: 1000, comment: 'fine' }],
    })
    expect(here.broker.approve(id, bob)).toMatchObject({ ok: false, refusal: { code: 'not-waiting' } })
    expect(resolved).toHaveBeenCalledTimes(1)
    expect(here.broker.list()).toEqual([])
    expect(here.timers.size).toBe(0)
  })

  it('waits for as many people as the terms ask for', async () => {
    const here = world()
    const terms = { approverGroups: ['dba'], approvalsNeeded: 2, timeoutMs: 1000 }
    const answer = here.broker.request(holdRequest({ terms }), never())
    const id = idOf(here)
    expect(here.broker.approve(id, alice)).toEqual({ ok: true, phase: 'waiting', approvalsMissing: 1 })
    expect(here.broker.approve(id, alice)).toMatchObject({ refusal: { code: 'already-approved' } })
    expect(here.broker.get(id)?.approvalsMissing).toBe(1)
    expect(here.broker.approve(id, bob)).toMatchObject({ ok: true, phase: 'approved' })
    expect((await answer).outcome).toBe('approved')
  })

  it('APP-1 does not take an approval from the requester or who knows only the id the client was told', () => {
    const here = world()
    void here.broker.request(holdRequest(), never())
    expect(here.broker.approve('hold-1', alice)).toMatchObject({ refusal: { code: 'unknown-hold' } })
    expect(here.broker.approve(idOf(here), { ...agent, groups: ['dba'] })).toMatchObject({
      refusal: { code: 'self-approval' },
    })
    expect(here.broker.list()).toHaveLength(1)
  })

  it('tells the reason of a rejection', async () => {
    const here = world()
    const answer = here.broker.request(holdRequest(), never())
    here.broker.reject(idOf(here), alice, 'not on a Friday')
    await expect(answer).resolves.toEqual({ outcome: 'rejected', by: alice, reason: 'not on a Friday' })
  })

  it('APP-5 expires by its timer, and tells a late approver', async () => {
    const here = world()
    const answer = here.broker.request(holdRequest(), never())
    const id = idOf(here)
    here.pass(60_000)
    await expect(answer).resolves.toEqual({ outcome: 'expired' })
    expect(here.broker.approve(id, alice)).toMatchObject({ ok: false, refusal: { code: 'expired' } })
  })

  it('APP-5 expires by its timer also when the clock was set back', async () => {
    const here = world()
    const answer = here.broker.request(holdRequest(), never())
    const [timer] = here.timers
    here.nowUnixMs = 0
    timer?.run()
    await expect(answer).resolves.toEqual({ outcome: 'expired' })
  })

  it('APP-5 ends when the requester leaves', async () => {
    const here = world()
    const leaving = new AbortController()
    const answer = here.broker.request(holdRequest(), leaving.signal)
    const id = idOf(here)
    leaving.abort()
    await expect(answer).resolves.toEqual({ outcome: 'withdrawn' })
    expect(here.broker.approve(id, alice)).toMatchObject({ refusal: { code: 'not-waiting' } })
    expect(here.timers.size).toBe(0)
    await expect(here.broker.request(holdRequest(), leaving.signal)).resolves.toEqual({ outcome: 'withdrawn' })
  })

  it('APP-6 bounds what waits per session, per subject and in all', async () => {
    const here = world({ maxWaitingPerSession: 1, maxWaitingPerSubject: 2, maxWaiting: 3 })
    const ask = (sessionId: string, subject: string): Promise<ApprovalResolution> =>
      here.broker.request(holdRequest({ sessionId, requester: { id: subject } }), never())
    void ask('s1', 'a')
    expect(await ask('s1', 'a')).toMatchObject({ outcome: 'limit' })
    void ask('s2', 'a')
    expect(await ask('s3', 'a')).toMatchObject({ outcome: 'limit' })
    void ask('s4', 'b')
    expect(await ask('s5', 'c')).toMatchObject({ outcome: 'limit', message: 'too many commands wait for approval' })
    here.broker.reject(idOf(here), alice, 'no')
    void ask('s5', 'c')
    expect(here.broker.list()).toHaveLength(3)
  })

  it('APP-7 APP-8 shows the whole command with values, rendering and digest', () => {
    const here = world()
    const command = sqlCommand({ text: 'delete from us\u0435rs where id = $1', parameters: [textValue('7')] })
    const request = holdRequest({ command })
    void here.broker.request(request, never())
    expect(here.broker.get(idOf(here))).toMatchObject({
      holdId: 'hold-1',
      digest: request.digest,
      text: command.text,
      display: 'delete from us⟦U+0435 like e⟧rs where id = $1',
      values: ["$1 = '7' (type 25, text, 1 bytes)"],
      requester: agent,
      expiresAtUnixMs: 61_000,
    })
  })

  it('APP-9 an approval ends one hold: the same command asked again waits again', async () => {
    const here = world()
    void here.broker.request(holdRequest(), never())
    here.broker.approve(idOf(here), alice)
    void here.broker.request(holdRequest({ id: 'hold-2' }), never())
    expect(here.broker.list()).toHaveLength(1)
  })

  it('goes on when a listener throws', async () => {
    const here = world()
    const fail = (): void => {
      throw new Error('listener')
    }
    here.broker.events.on('requested', fail).on('resolved', fail)
    const answer = here.broker.request(holdRequest(), never())
    here.broker.approve(idOf(here), alice)
    expect((await answer).outcome).toBe('approved')
  })

  it('rejects a request whose terms make no sense', async () => {
    const terms = { approverGroups: [], approvalsNeeded: 0, timeoutMs: 1 }
    await expect(world().broker.request(holdRequest({ terms }), never())).rejects.toThrow(/number of approvals/)
  })

  it('remembers a bounded number of ended holds', () => {
    const here = world({ maxRemembered: 1 })
    const ids: string[] = []
    for (let i = 0; i < 2; i++) {
      void here.broker.request(holdRequest(), never())
      ids.push(idOf(here))
      here.broker.reject(idOf(here), alice, 'no')
    }
    expect(ids.map((id) => here.broker.approve(id, alice))).toMatchObject([
      { refusal: { code: 'unknown-hold' } },
      { refusal: { code: 'not-waiting' } },
    ])
  })
})
