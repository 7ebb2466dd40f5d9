import { describe, expect, it, vi } from 'vitest'
import type {
  Command,
  PolicyOutcome,
  ResultMasker,
  ShellCommand,
  ShellFacts,
  StreamMasker,
  TerminalCommand,
  TextMasker,
} from '../core/index.js'
import { commitmentKeyOf, textCommitment } from '../recording/index.js'
import { alice } from '../approval/approval.test-support.js'
import { hold, outcome, policyOf, settle, silent, sync, verdict, world } from './enforcement.test-support.js'

const FACTS: ShellFacts = {
  certainty: 'exact',
  commands: [],
  files: [{ path: '/home/a@b.example', modes: ['read'], isRecursive: false, isExact: true }],
  network: [{ host: 'a@b.example', direction: 'connect' }],
  isPrivileged: false,
  hazards: [],
}

const shell = (changes: Partial<ShellCommand> = {}): ShellCommand => ({
  id: 1,
  protocol: 'ssh',
  channelId: 2,
  kind: 'shell',
  via: 'exec',
  text: 'mail a@b.example',
  facts: FACTS,
  environment: [{ name: 'TOKEN', value: 'hunter2' }],
  hasTerminal: false,
  ...changes,
})

const terminal: TerminalCommand = {
  id: 1,
  protocol: 'ssh',
  kind: 'terminal',
  via: 'shell',
  text: 'interactive shell',
  environment: [],
  hasTerminal: true,
}

const detectors = [{ detector: 'email', strategy: { kind: 'redact' } }] as const
const columns = [{ column: 'email', strategy: { kind: 'null' } }] as const

const emailMasker: TextMasker = {
  maskText: (text) => {
    const all = Buffer.from(text).toString('latin1')
    return all.includes('a@b.example') ? Buffer.from(all.replaceAll('a@b.example', '[email]'), 'latin1') : text
  },
}
const streamMasker: StreamMasker = { push: (chunk) => chunk, flush: () => new Uint8Array(), heldBackBytes: 0 }
const textResultMasker: ResultMasker = {
  ...emailMasker,
  planRows: () => undefined,
  stream: () => streamMasker,
}
const masking = {
  compile: () => {
    throw new Error('there are no result sets here')
  },
  compileText: () => textResultMasker,
  textMasker: () => emailMasker,
}

const permitted = (changes: Partial<PolicyOutcome>, command: Command = shell(), options: object = {}) => {
  const { session } = world({ policy: policyOf(outcome(changes)), ...options })
  const judgement = sync(session.judge(command, silent))
  if (!judgement.permitted) throw new Error(judgement.denial.message)
  return judgement.obligations
}

describe('judging a command that is not SQL', () => {
  it('TTY-1 passes on how a terminal is to be let through, and nothing where no rule says', () => {
    expect(permitted({ terminal: 'record', allowsRawTerminal: true }, terminal)).toMatchObject({
      terminal: 'record',
      allowsRawTerminal: true,
    })
    expect(permitted({}, terminal)).toEqual({ recordLevel: 'statement' })
  })

  it('lets a terminal through without judging its lines when it only observes', () => {
    expect(permitted({ effect: 'deny' }, terminal, { mode: 'observe' })).toEqual({
      terminal: 'record',
      allowsRawTerminal: true,
    })
  })

  it('MASK-13 gives a masker for streams where a rule asks for detectors', () => {
    const masks = { columns: [], detectors }
    const compileText = vi.fn(() => textResultMasker)
    const { session } = world({ policy: policyOf(outcome({ masks })), masking: { ...masking, compileText } })
    const judgement = sync(session.judge(shell(), silent))
    void session.judge(terminal, silent)
    expect(judgement.permitted && judgement.obligations.masker).toBe(textResultMasker)
    expect(compileText).toHaveBeenCalledTimes(1)
    expect(compileText).toHaveBeenCalledWith(masks)
  })

  it('takes no notice of column masks: there are no columns', () => {
    expect(permitted({ masks: { columns, detectors: [] } }, shell(), { masking })).toEqual({ recordLevel: 'statement' })
    expect(permitted({ masks: { columns, detectors } }, shell(), { masking }).masker).toBe(textResultMasker)
  })

  it('refuses it where detectors are asked for and nothing can apply them', () => {
    const { compileText: _, ...bare } = masking
    const { session } = world({ policy: policyOf(outcome({ masks: { columns: [], detectors } })), masking: bare })
    expect(sync(session.judge(shell(), silent))).toMatchObject({ permitted: false, denial: { reason: 'masking' } })
  })

  it('refuses a plug-in kind whose masks nobody can apply', () => {
    const { session } = world({ policy: policyOf(outcome({ masks: { columns, detectors: [] } })), masking })
    const command = { id: 1, protocol: 'x', kind: 'x' } as unknown as Command
    expect(sync(session.judge(command, silent))).toMatchObject({ denial: { reason: 'masking' } })
  })

  it('refuses a line that nobody could read unless a rule decided', () => {
    const { ruleId: _, ...anonymous } = outcome({ reason: 'default' })
    const { session } = world({ policy: policyOf(anonymous) })
    const facts: ShellFacts = { ...FACTS, certainty: 'unparsed', problem: 'unclosed quote' }
    expect(sync(session.judge(shell({ facts }), silent))).toMatchObject({
      denial: { reason: 'unparsed', message: 'the command line could not be understood: unclosed quote' },
    })
  })

  it('calls a line unparsed when the analyzer throws, or when there is none', () => {
    const broken = world({
      shellAnalyzer: {
        analyze: () => {
          throw new Error('bug')
        },
      },
    })
    expect(broken.session.shellAnalyzer.analyze('ls')).toMatchObject({ certainty: 'unparsed' })
    expect(world().session.shellAnalyzer.analyze('ls')).toMatchObject({ certainty: 'unparsed' })
    const working = world({ shellAnalyzer: { analyze: () => FACTS } })
    expect(working.session.shellAnalyzer.analyze('ls')).toBe(FACTS)
  })

  it('APP-6 holds a line and lets Ctrl-C withdraw it', async () => {
    const { session, broker, recorder } = world({ policy: policyOf(hold) })
    const judgement = session.judge(shell({ text: 'mysql -pa@b.example' }), silent)
    await settle()
    expect(broker.list()).toHaveLength(1)
    session.withdraw(1)
    expect(await verdict(judgement)).toBe('withdrawn')
    expect(broker.list()).toHaveLength(0)
    expect(recorder.events.find((event) => event.type === 'hold')).toMatchObject({
      kind: 'shell',
      text: 'mysql -pa@b.example',
    })
    expect(recorder.commands).toMatchObject([{ permitted: false, refusal: 'withdrawn' }])
  })

  it('APP-2 releases exactly the line that was approved, and no second time', async () => {
    const { session, broker } = world({ policy: policyOf(hold) })
    const first = session.judge(shell(), silent)
    await settle()
    const id = broker.list()[0]?.id ?? ''
    expect(broker.get(id)?.effects).toContain('reads /home/a@b.example')
    expect(broker.approve(id, alice)).toMatchObject({ ok: true })
    expect(await verdict(first)).toBe('permitted')
    const second = session.judge(shell({ id: 2 }), silent)
    await settle()
    expect(broker.list()).toHaveLength(1)
    session.withdraw(2)
    expect(await verdict(second)).toBe('withdrawn')
  })
})

describe('what is recorded of a command that is not SQL', () => {
  it('REC-5 masks text, paths and hosts, keeps names of variables alone, and commits to the exact text', () => {
    const key = Buffer.alloc(32, 7)
    const { session, recorder } = world({
      policy: policyOf(outcome(), { sessionMasks: { columns: [], detectors } }),
      masking,
      commitmentKey: key,
    })
    void session.judge(shell(), silent)
    expect(recorder.commands[0]).toMatchObject({
      kind: 'shell',
      via: 'exec',
      text: 'mail [email]',
      detail: {
        channelId: 2,
        hasTerminal: false,
        environment: ['TOKEN'],
        facts: { files: [{ path: '/home/[email]' }], network: [{ host: '[email]' }] },
      },
    })
    expect(JSON.stringify(recorder.events)).not.toContain('hunter2')
    expect(recorder.events.find(({ type }) => type === 'note')).toMatchObject({
      details: { textCommitment: textCommitment('mail a@b.example', commitmentKeyOf(session.id, key)) },
    })
  })

  it('tells the other kinds by what they touch', () => {
    const { session, recorder } = world()
    const base = { id: 1, protocol: 'ssh', text: 'x' } as const
    void session.judge({ ...base, kind: 'sftp', via: 'scp', operation: 'open', files: FACTS.files }, silent)
    void session.judge(
      { ...base, kind: 'port-forward', via: 'tcpip-forward', direction: 'remote', host: '', port: 80 },
      silent,
    )
    void session.judge({ ...base, kind: 'ssh-request', via: 'env', name: 'LANG' }, silent)
    void session.judge(terminal, silent)
    expect(recorder.commands.map((event) => event.detail)).toEqual([
      { operation: 'open', files: FACTS.files },
      { direction: 'remote', host: '', port: 80 },
      { name: 'LANG' },
      { hasTerminal: true, environment: [] },
    ])
  })

  it('REC-5 records what is typed only when told to, and never what is not echoed', () => {
    const without = world()
    without.session.input(1, Buffer.from('ls\r'), { isEchoed: true })
    expect(without.recorder.events).toEqual([])

    const { session, recorder } = world({ recordInput: true })
    for (const key of 'sudo id\r') session.input(1, Buffer.from(key), { isEchoed: true })
    for (const key of 'hunter2\r') session.input(1, Buffer.from(key), { isEchoed: false })
    session.input(1, Buffer.from('exit'), { isEchoed: true })
    session.answered(1, { outcome: 'completed', tags: [], rows: 0, bytes: 0 })
    expect(recorder.events).toMatchObject([
      { type: 'input', commandId: 1, bytes: Buffer.from('sudo id\r') },
      { type: 'input', commandId: 1, isHidden: true },
      { type: 'input', commandId: 1, bytes: Buffer.from('exit') },
      { type: 'answer' },
    ])
  })

  it('REC-5 masks what is typed by whole lines, and bounds what gathers', () => {
    const policy = policyOf(outcome(), { sessionMasks: { columns: [], detectors } })
    const { session, recorder } = world({ policy, masking, recordInput: true })
    for (const key of 'mail a@b.example\r') session.input(1, Buffer.from(key), { isEchoed: true })
    session.input(1, Buffer.from('\xff a@b.example\r', 'latin1'), { isEchoed: true })
    session.input(1, Buffer.alloc(10_000, 0x61), { isEchoed: true })
    const shown = recorder.events.map((event) => (event.type === 'input' && 'bytes' in event ? event.bytes : undefined))
    expect(shown.slice(0, 2).map(String)).toEqual(['mail [email]\r', '[masked, 14 bytes]'])
    expect(shown.slice(2).map((bytes) => bytes?.length)).toEqual([4_096, 4_096])
  })

  it('records sizes, lines made out in a terminal, and files, masked', async () => {
    const policy = policyOf(outcome(), { sessionMasks: { columns: [], detectors } })
    const { session, recorder } = world({ policy, masking })
    session.resized(1, { columns: 80, rows: 24 })
    session.detected(1, 'mail a@b.example')
    const runs = [{ offset: 0, bytes: 3 }]
    session.transferred(1, { direction: 'read', path: '/a@b.example', bytes: 3, runs, omittedRuns: 0 })
    session.fileContent(1, { direction: 'read', offset: 0, bytes: Buffer.from('abc') })
    expect(recorder.events).toMatchObject([
      { type: 'resize', commandId: 1, columns: 80, rows: 24 },
      { type: 'detected', text: 'mail [email]' },
      { type: 'transfer', path: '/[email]', bytes: 3 },
      { type: 'content', offset: 0 },
    ])
    await session.end('bye')
    session.resized(1, { columns: 1, rows: 1 })
    expect(recorder.events).toHaveLength(4)
  })

  it('records nothing of the streams of a command that is not to be recorded', () => {
    const { session, recorder } = world({ policy: policyOf(outcome({ recordLevel: 'none' })), recordInput: true })
    void session.judge(terminal, silent)
    session.resized(1, { columns: 80, rows: 24 })
    session.input(1, Buffer.from('ls\r'), { isEchoed: true })
    session.detected(1, 'ls')
    expect(recorder.events).toEqual([])
  })

  it('REC-1 says when the record is behind, and when it has caught up', async () => {
    const { session, recorder } = world()
    expect(session.recordDrained()).toBeUndefined()
    recorder.pendingBytes = 2_000_000
    let flush = silent
    recorder.flush = () => new Promise((resolve) => (flush = resolve))
    const drained = vi.fn()
    void session.recordDrained()?.then(drained)
    await settle()
    expect(drained).not.toHaveBeenCalled()
    flush()
    await settle()
    expect(drained).toHaveBeenCalledTimes(1)
    recorder.flush = () => Promise.reject(new Error('disk'))
    await session.recordDrained()
    expect(session.failure).toMatchObject({ reason: 'recorder-unavailable' })
  })
})
