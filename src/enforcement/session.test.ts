import { describe, expect, it, vi } from 'vitest'
import { textValue } from '../approval/approval.test-support.js'
import { SallyportError, type DecisionContext, type ResultMasker, type TextMasker } from '../core/index.js'
import {
  agent,
  allow,
  deny,
  FakeRecorder,
  outcome,
  policyOf,
  settle,
  silent,
  sqlCommand,
  sync,
  verdict,
  world,
} from './enforcement.test-support.js'

const EMAIL = Buffer.from('a@b.example')
const emailMasker: TextMasker = {
  maskText: (text) => {
    const all = Buffer.from(text)
    const masked = all.toString('latin1').replaceAll('a@b.example', '[email]')
    return masked === all.toString('latin1') ? text : Buffer.from(masked, 'latin1')
  },
}
const resultMasker: ResultMasker = { ...emailMasker, planRows: () => undefined }
const detectors = [{ detector: 'email', strategy: { kind: 'redact' } }] as const
const sessionMasks = { columns: [], detectors }

describe('judging', () => {
  it('permits synchronously with the obligations of the outcome, after recording', () => {
    const { session, recorder } = world({ policy: policyOf(outcome({ maxRows: 5, maxBytes: 9, recordLevel: 'full' })) })
    const judgement = sync(session.judge(sqlCommand(), silent))
    expect(judgement).toMatchObject({ permitted: true, obligations: { maxRows: 5, maxBytes: 9, recordLevel: 'full' } })
    expect(recorder.commands).toMatchObject([
      { id: 1, text: 'delete from users', permitted: true, verdict: { effect: 'allow' } },
    ])
  })

  it('answers with the same object for the same outcome', () => {
    const { session } = world()
    expect(session.judge(sqlCommand(), silent)).toBe(session.judge(sqlCommand({ id: 2 }), silent))
  })

  it('refuses with the words of the rule, and records it', () => {
    const { session, recorder } = world({ policy: policyOf(deny) })
    expect(sync(session.judge(sqlCommand(), silent))).toMatchObject({
      permitted: false,
      denial: { reason: 'rule', message: 'not here', ruleId: 'r' },
    })
    expect(recorder.commands).toMatchObject([{ permitted: false }])
    expect(recorder.commands[0]?.refusal).toBeUndefined()
  })

  it('refuses what nobody could parse unless a rule decided', () => {
    const facts = { ...sqlCommand().facts, certainty: 'unparsed' as const, problem: 'syntax error' }
    const byDefault = outcome({ reason: 'default' })
    const { ruleId: _, ...anonymous } = byDefault
    const strict = world({ policy: policyOf(anonymous) })
    expect(sync(strict.session.judge(sqlCommand({ facts }), silent))).toMatchObject({
      denial: { reason: 'unparsed', message: 'the statement could not be understood: syntax error' },
    })
    const named = world({ policy: policyOf(allow) })
    expect(sync(named.session.judge(sqlCommand({ facts }), silent)).permitted).toBe(true)
  })

  it('hands the rule who, where and when', () => {
    const decide = vi.fn((_context: DecisionContext) => allow)
    const { enforcer } = world({ policy: policyOf(decide) })
    const resource = { name: 'x', protocol: 'postgres' }
    const session = enforcer.openSession({ subject: agent, resource, clientAddress: '::1', clientName: 'psql' })
    const command = sqlCommand()
    void session.judge(command, silent)
    expect(decide.mock.calls[0]?.[0]).toEqual({
      command,
      subject: agent,
      resource,
      session: { id: session.id, startedAtUnixMs: 1_000_000, clientAddress: '::1', clientName: 'psql' },
      nowUnixMs: 1_000_000,
    })
  })

  it('permits a statement that is planned without holding it', () => {
    const held = outcome({ effect: 'hold' })
    const { session, broker } = world({ policy: policyOf(held) })
    expect(sync(session.judge(sqlCommand({ phase: 'prepare', via: 'Parse' }), silent)).permitted).toBe(true)
    expect(broker.list()).toEqual([])
  })

  it('compiles the masks of an outcome once', () => {
    const masking = { compile: vi.fn(() => resultMasker), textMasker: () => emailMasker }
    const masked = outcome({ masks: { columns: [], detectors } })
    const { session } = world({ policy: policyOf(masked, { sessionMasks }), masking })
    const judgement = sync(session.judge(sqlCommand(), silent))
    void session.judge(sqlCommand({ id: 2 }), silent)
    expect(judgement.permitted && judgement.obligations.masker).toBe(resultMasker)
    expect(masking.compile).toHaveBeenCalledTimes(1)
    expect(masking.compile).toHaveBeenCalledWith(masked.masks, 'postgres')
  })

  it('refuses a command whose masks nobody can apply to its dialect', () => {
    const masking = { compile: () => resultMasker, textMasker: () => emailMasker }
    const masked = outcome({ masks: { columns: [], detectors } })
    const { session } = world({ policy: policyOf(masked, { sessionMasks }), masking })
    expect(sync(session.judge(sqlCommand({ dialect: 'mysql' }), silent))).toMatchObject({
      denial: { reason: 'masking' },
    })
  })

  it('records nothing of a permitted command whose level is none, and everything refused', () => {
    const { session, recorder } = world({
      policy: policyOf(({ command }) => outcome({ recordLevel: 'none', effect: command.id === 1 ? 'allow' : 'deny' })),
    })
    void session.judge(sqlCommand({ id: 1 }), silent)
    session.answered(1, { outcome: 'completed', tags: [], rows: 0, bytes: 0 })
    void session.judge(sqlCommand({ id: 2 }), silent)
    expect(recorder.events).toMatchObject([{ type: 'command', id: 2 }])
  })

  it('waits until the record is on disk before it permits when recording is durable', async () => {
    const recorder = new FakeRecorder('durable')
    let flush = silent
    recorder.flush = () => new Promise((resolve) => (flush = resolve))
    const { session } = world({ recorder })
    let settled = false
    const judgement = Promise.resolve(session.judge(sqlCommand(), silent)).finally(() => (settled = true))
    await settle()
    expect(recorder.log).toEqual(['command 1 permitted'])
    expect(settled).toBe(false)
    flush()
    expect(await verdict(judgement)).toBe('permitted')
  })

  it('REC-4 waits for the record of a refusal too, so that nobody can probe unseen', async () => {
    const recorder = new FakeRecorder('durable')
    let flush = silent
    recorder.flush = () => new Promise((resolve) => (flush = resolve))
    const { session } = world({ policy: policyOf(deny), recorder })
    let settled = false
    const judgement = Promise.resolve(session.judge(sqlCommand(), silent)).finally(() => (settled = true))
    await settle()
    expect(settled).toBe(false)
    flush()
    expect(await verdict(judgement)).toBe('rule')
  })

  it('raises and records the alerts of a rule once per command that runs', () => {
    const { session, enforcer, recorder } = world({ policy: policyOf(outcome({ alerts: ['look'] })) })
    const alerts = vi.fn()
    enforcer.on('alert', alerts)
    void session.judge(sqlCommand({ phase: 'prepare' }), silent)
    void session.judge(sqlCommand({ id: 2 }), silent)
    expect(alerts).toHaveBeenCalledTimes(1)
    expect(recorder.events.filter(({ type }) => type === 'alert')).toMatchObject([{ commandId: 2, text: 'look' }])
  })

  it('waits for an asynchronous engine', async () => {
    const { session } = world({ policy: policyOf(async () => allow) })
    expect(await verdict(session.judge(sqlCommand(), silent))).toBe('permitted')
  })

  it('refuses further commands once a session cap is reached', () => {
    const { session } = world({ limits: { maxSessionRows: 10 } })
    expect(sync(session.judge(sqlCommand(), silent)).permitted).toBe(true)
    session.answered(1, { outcome: 'completed', tags: [], rows: 10, bytes: 1 })
    expect(sync(session.judge(sqlCommand({ id: 2 }), silent))).toMatchObject({ denial: { reason: 'limit' } })
    const counted = world({ limits: { maxSessionCommands: 1 } })
    void counted.session.judge(sqlCommand(), silent)
    expect(sync(counted.session.judge(sqlCommand({ id: 2 }), silent)).permitted).toBe(false)
  })
})

describe('what is recorded', () => {
  it('REC-5 masks statement texts and bound values, in every form that text can have', () => {
    const masking = { compile: () => resultMasker, textMasker: () => emailMasker }
    const key = Buffer.alloc(32, 7)
    const { session, recorder } = world({ policy: policyOf(allow, { sessionMasks }), masking, commitmentKey: key })
    const parameters = [
      textValue('a@b.example'),
      textValue(null),
      textValue('plain'),
      { type: 25, format: 'binary' as const, bytes: EMAIL },
      { type: 17, format: 'binary' as const, bytes: Buffer.concat([Uint8Array.of(0xff), EMAIL]) },
      { type: 23, format: 'binary' as const, bytes: Uint8Array.of(0, 0, 0, 42) },
      { type: 17, format: 'binary' as const, bytes: new Uint8Array(100) },
    ]
    void session.judge(sqlCommand({ text: "select 'a@b.example'", parameters }), silent)
    const event = recorder.commands[0]
    expect(event?.text).toBe("select '[email]'")
    expect(event?.parameters?.slice(0, 6)).toEqual([
      '[email]',
      null,
      'plain',
      '[email]',
      '[masked, 12 bytes]',
      '\\x0000002a',
    ])
    expect(event?.parameters?.[6]).toMatch(/^\\x(00){64}\.\.\. \(100 bytes, sha256 [0-9a-f]{64}\)$/)
    const note = recorder.events.find(({ type }) => type === 'note')
    expect(note).toMatchObject({
      details: { commandId: 1, textCommitment: expect.any(String), valuesCommitment: expect.any(String) },
    })
  })

  it('records texts as they are when told so', () => {
    const masking = { compile: () => resultMasker, textMasker: () => emailMasker }
    const { session, recorder } = world({ policy: policyOf(allow, { sessionMasks }), masking, recordTextMasked: false })
    void session.judge(sqlCommand({ text: "select 'a@b.example'" }), silent)
    expect(recorder.commands[0]?.text).toBe("select 'a@b.example'")
  })

  it('records answers and output', () => {
    const { session, recorder, enforcer } = world()
    const answers = vi.fn()
    enforcer.on('answer', answers)
    const answer = { outcome: 'completed', tags: ['SELECT 1'], rows: 1, bytes: 2 } as const
    session.answered(1, answer)
    session.output(1, 'rows', Uint8Array.of(1))
    expect(recorder.events).toMatchObject([
      { type: 'answer', answer },
      { type: 'output', channel: 'rows' },
    ])
    expect(answers).toHaveBeenCalledWith(session, 1, answer)
  })

  it('begins a recording with who, where and which policy', () => {
    const { recorder, session } = world()
    expect(recorder.headers).toMatchObject([{ sessionId: session.id, subject: agent, policyDigest: 'policy-1' }])
  })
})

describe('a session', () => {
  it('refuses everything once it is revoked, and tells its driver', async () => {
    const { session, enforcer, recorder } = world()
    const failed = vi.fn()
    session.onFailure(failed)
    expect(enforcer.revoke(session.id)).toBe(1)
    await settle()
    expect(failed).toHaveBeenCalledWith({ reason: 'revoked', message: 'the session was revoked' })
    expect(await verdict(session.judge(sqlCommand(), silent))).toBe('revoked')
    expect(recorder.commands).toMatchObject([{ permitted: false, verdict: { reason: 'revoked' } }])
    expect(enforcer.revoke((one) => one.subject.id === 'nobody')).toBe(0)
    const late = vi.fn()
    session.onFailure(late)
    await settle()
    expect(late).toHaveBeenCalledTimes(1)
  })

  it('is told of a record that fails by itself', async () => {
    const { session, recorder } = world()
    const failed = vi.fn()
    session.onFailure(failed)
    for (const listener of recorder.failureListeners) listener(new SallyportError('recorder_unavailable', 'x'))
    await settle()
    expect(session.failure).toMatchObject({ reason: 'recorder-unavailable' })
    expect(failed).toHaveBeenCalledTimes(1)
    expect(await verdict(session.judge(sqlCommand(), silent))).toBe('recorder-unavailable')
  })

  it('ends once, after everything is recorded, and takes no more', async () => {
    const { session, recorder, enforcer } = world()
    const ended = vi.fn()
    enforcer.on('end', ended)
    expect(session.end('bye')).toBe(session.end('again'))
    await session.end('bye')
    expect(recorder.log).toEqual(['close bye'])
    expect(ended).toHaveBeenCalledTimes(1)
    expect([...enforcer.sessions]).toEqual([])
    expect(await verdict(session.judge(sqlCommand(), silent))).toBe('withdrawn')
    expect(session.failure).toBeUndefined()
  })

  it('refuses a command whose session is revoked while its record is being written', async () => {
    const recorder = new FakeRecorder('durable')
    let flush = silent
    recorder.flush = () => new Promise((resolve) => (flush = resolve))
    const { session, enforcer } = world({ recorder })
    const judgement = session.judge(sqlCommand(), silent)
    enforcer.revoke(session.id)
    flush()
    expect(await verdict(judgement)).toBe('revoked')
    expect(recorder.events.map((event) => (event.type === 'note' ? event.text : event.type))).toEqual([
      'command',
      'revoked: the session was revoked',
      'command 1 was refused after all: revoked',
    ])
  })

  it('masks text by the policy of now', () => {
    const masking = { compile: () => resultMasker, textMasker: () => emailMasker }
    const { session, enforcer } = world({ masking })
    expect(session.textMasker?.maskText(EMAIL)).toBe(EMAIL)
    enforcer.setPolicy(policyOf(allow, { sessionMasks }))
    expect(Buffer.from(session.textMasker?.maskText(EMAIL) ?? []).toString()).toBe('[email]')
    expect(world({ masking, onlineReload: false }).session.textMasker).toBeUndefined()
  })
})
