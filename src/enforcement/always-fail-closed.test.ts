import { describe, expect, it, vi } from 'vitest'
import type { ApprovalResolution } from '../approval/index.js'
import type { PolicyOutcome, ResultMasker } from '../core/index.js'
import {
  agent,
  allow,
  FakeRecorder,
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

const fail = (): never => {
  throw new Error('broken')
}
const detectors = [{ detector: 'email', strategy: { kind: 'redact' } }] as const
const masks = { columns: [], detectors }

describe('whatever breaks, the command is refused', () => {
  it('a policy that throws is engine-error, and the session goes on', () => {
    let isBroken = true
    const { session } = world({ policy: policyOf(() => (isBroken ? fail() : allow)) })
    expect(sync(session.judge(sqlCommand(), silent))).toMatchObject({ denial: { reason: 'engine-error' } })
    isBroken = false
    expect(sync(session.judge(sqlCommand({ id: 2 }), silent)).permitted).toBe(true)
  })

  it('a policy that answers nonsense is refused', async () => {
    const answers = [undefined, null, 1, {}, { effect: 'maybe' }, { effect: 'allow', ruleId: 'r' }]
    for (const answer of answers) {
      const { session } = world({ policy: policyOf(() => answer as unknown as PolicyOutcome) })
      const judgement = session.judge(sqlCommand(), silent)
      expect(await verdict(judgement)).not.toBe('permitted')
    }
  })

  it('an engine that rejects, or never answers, is engine-error', async () => {
    const rejecting = world({ policy: policyOf(() => Promise.reject(new Error('down'))) })
    expect(await verdict(rejecting.session.judge(sqlCommand(), silent))).toBe('engine-error')
    expect(rejecting.timers.size).toBe(0)
    const silentEngine = world({
      policy: policyOf(() => new Promise(() => undefined)),
      limits: { engineTimeoutMs: 50 },
    })
    const judgement = silentEngine.session.judge(sqlCommand(), silent)
    await silentEngine.pass(50)
    expect(await verdict(judgement)).toBe('engine-error')
  })

  it('an analyzer that throws has understood nothing', () => {
    const { session } = world({
      policy: policyOf(outcome({ reason: 'default' })),
      analyzers: { postgres: { dialect: 'postgres', analyze: fail } },
    })
    const { state } = sqlCommand()
    expect(session.analyzer('postgres').analyze('select 1', state).certainty).toBe('unparsed')
    expect(() => session.analyzer('mysql')).toThrow(/analyzer/)
  })

  it('facts that throw when looked at are engine-error', () => {
    const { ruleId: _, ...anonymous } = allow
    const { session } = world({ policy: policyOf(anonymous) })
    const command = Object.defineProperty({ ...sqlCommand() }, 'facts', { get: fail })
    expect(sync(session.judge(command, silent)).permitted).toBe(false)
  })

  it('masks that cannot be compiled are masking, and the session goes on', async () => {
    const masking = { compile: fail as () => ResultMasker, textMasker: () => undefined }
    const { session } = world({
      policy: policyOf(({ command }) => (command.id === 1 ? outcome({ masks }) : allow)),
      masking,
    })
    expect(sync(session.judge(sqlCommand(), silent))).toMatchObject({ denial: { reason: 'masking' } })
    expect(sync(session.judge(sqlCommand({ id: 2 }), silent)).permitted).toBe(true)
  })

  it('masks without a masking layer are refused before anything runs', () => {
    expect(() => world({ policy: policyOf(allow, { sessionMasks: masks }) })).toThrow(/masks/)
    const { session } = world({ policy: policyOf(outcome({ masks })) })
    expect(sync(session.judge(sqlCommand(), silent))).toMatchObject({ denial: { reason: 'masking' } })
  })

  it('REC-1 a recorder that cannot open, write, flush or append ends the session as recorder-unavailable', async () => {
    const breaks: ((recorder: FakeRecorder) => void)[] = [
      (recorder) => (recorder.onOpen = fail),
      (recorder) => (recorder.onCommand = fail),
      (recorder) => (recorder.flush = () => Promise.reject(new Error('disk full'))),
      (recorder) => (recorder.onAppend = fail),
    ]
    for (const breakIt of breaks) {
      const recorder = new FakeRecorder('durable')
      breakIt(recorder)
      const { session } = world({ recorder, policy: policyOf(outcome({ alerts: ['x'] })) })
      const failed = vi.fn()
      session.onFailure(failed)
      expect(await verdict(session.judge(sqlCommand(), silent))).toBe('recorder-unavailable')
      await settle()
      expect(failed).toHaveBeenCalledTimes(1)
      expect(session.failure).toMatchObject({ reason: 'recorder-unavailable' })
      expect(await verdict(session.judge(sqlCommand({ id: 2 }), silent))).toBe('recorder-unavailable')
      await expect(session.end('over')).resolves.toBeUndefined()
    }
  })

  it('REC-1 a recorder that fails on an answer, or at the end, is a failure of the session', async () => {
    const { session, recorder } = world()
    recorder.onClose = () => Promise.reject(new Error('disk full'))
    await session.end('bye')
    expect(session.failure).toMatchObject({ reason: 'recorder-unavailable' })
  })

  it('REC-1 a recorder that never says that it has written is one that cannot', async () => {
    const recorder = new FakeRecorder('durable')
    recorder.flush = () => new Promise(() => undefined)
    const here = world({ recorder })
    const judgement = here.session.judge(sqlCommand(), silent)
    await here.pass(30_000)
    expect(await verdict(judgement)).toBe('recorder-unavailable')
    expect(here.timers.size).toBe(0)
    const closing = world()
    closing.recorder.onClose = () => new Promise(() => undefined)
    const ended = closing.session.end('bye')
    await settle()
    await closing.pass(30_000)
    await ended
    expect(closing.session.failure).toMatchObject({ reason: 'recorder-unavailable' })
  })

  it('REC-1 an observing enforcer stops with its record, too', async () => {
    const recorder = new FakeRecorder()
    recorder.onCommand = fail
    const { session } = world({ recorder, mode: 'observe' })
    expect(await verdict(session.judge(sqlCommand(), silent))).toBe('recorder-unavailable')
  })

  it('APP-5 a broker that throws, rejects or answers nonsense is approval-unavailable, and the session goes on', async () => {
    const answers: (() => Promise<ApprovalResolution>)[] = [
      fail,
      () => Promise.reject(new Error('down')),
      () => undefined as unknown as Promise<ApprovalResolution>,
      () => Promise.resolve(undefined as unknown as ApprovalResolution),
      () => Promise.resolve({ outcome: 'approved' } as unknown as ApprovalResolution),
      () => Promise.resolve({ outcome: 'approved', by: [undefined] } as unknown as ApprovalResolution),
      () => Promise.resolve({ outcome: 'approved', by: [] }),
      () => Promise.resolve({ outcome: 'rejected' } as unknown as ApprovalResolution),
      () => Promise.resolve({ outcome: 'yes' } as unknown as ApprovalResolution),
    ]
    for (const request of answers) {
      const { session, timers } = world({
        policy: policyOf(({ command }) => (command.id === 1 ? hold : allow)),
        broker: { request },
      })
      expect(await verdict(session.judge(sqlCommand(), silent))).toBe('approval-unavailable')
      expect(sync(session.judge(sqlCommand({ id: 2 }), silent)).permitted).toBe(true)
      expect(timers.size).toBe(0)
    }
  })

  it('APP-5 no broker at all is approval-unavailable', async () => {
    const here = world({ policy: policyOf(hold), broker: undefined as never })
    expect(await verdict(here.session.judge(sqlCommand(), silent))).toBe('approval-unavailable')
  })

  it('terms that make no sense, and a command without a digest, are engine-error', async () => {
    for (const terms of [{ approvalsNeeded: 0 }, { timeoutMs: Number.NaN }]) {
      const held = outcome({ effect: 'hold', hold: { approverGroups: [], approvalsNeeded: 1, timeoutMs: 1, ...terms } })
      const { session } = world({ policy: policyOf(held) })
      expect(await verdict(session.judge(sqlCommand(), silent))).toBe('engine-error')
    }
    const { session } = world({ policy: policyOf(hold) })
    const foreign = { id: 1, protocol: 'x', kind: 'x', run: silent } as never
    expect(await verdict(session.judge(foreign, silent))).toBe('engine-error')
  })

  it('a client that cannot be informed changes nothing', async () => {
    const { session, broker } = world({ policy: policyOf(hold) })
    const judgement = session.judge(sqlCommand(), fail)
    await settle()
    broker.approve(broker.list()[0]?.id ?? '', { id: 'alice', groups: ['dba'] })
    expect(await verdict(judgement)).toBe('permitted')
  })

  it('a listener that throws changes nothing, wherever it listens', async () => {
    const { session, enforcer, broker } = world({ policy: policyOf({ ...hold, alerts: ['x'] }) })
    for (const name of ['session', 'decision', 'hold', 'released', 'answer', 'alert', 'end'] as const)
      enforcer.on(name, fail)
    session.onFailure(fail)
    enforcer.openSession({ subject: agent, resource: session.resource })
    const judgement = session.judge(sqlCommand(), silent)
    await settle()
    broker.approve(broker.list()[0]?.id ?? '', { id: 'alice', groups: ['dba'] })
    expect(await verdict(judgement)).toBe('permitted')
    session.answered(1, { outcome: 'completed', tags: [], rows: 0, bytes: 0 })
    await session.end('bye')
  })
})
