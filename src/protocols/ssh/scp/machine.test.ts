import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Denial, ResultMasker, Side } from '../../../core/index.js'
import { byteByByte, type Chunking, cutAt, randomly, seeded } from '../../../testing/index.js'
import { counter, FileHarness, type Judge } from '../files/files.test-support.js'
import { createScpMachine, parseScpCommand, type ScpCommand, type ScpMachineOptions } from './index.js'

const OK = '\0'
const DENIAL: Denial = { reason: 'rule', message: 'not this' }

function harnessOf(line: string, judge?: Judge, options: Partial<ScpMachineOptions> = {}): FileHarness {
  const command = parseScpCommand(line.split(' ')) as ScpCommand
  return new FileHarness(createScpMachine({ command, nextCommandId: counter(), ...options }), judge)
}

const text = (bytes: Buffer): string => bytes.toString('latin1')

/** The lines of a sender and the answers of a receiver, by turns. */
const TREE: readonly (readonly ['sender' | 'receiver', string])[] = [
  ['receiver', OK],
  ['sender', 'T1000000000 0 1000000000 0\n'],
  ['sender', 'D0755 0 tree\n'],
  ['receiver', OK],
  ['receiver', OK],
  ['sender', 'T1000000001 0 1000000001 0\n'],
  ['sender', 'C0600 6 secret\n'],
  ['sender', 'C4755 5 tool\n'],
  ['receiver', OK],
  ['sender', `hello${OK}`],
  ['receiver', OK],
  ['sender', 'C0644 0 empty\n'],
  ['receiver', '\u0001scp: disk full\n'],
  ['sender', 'C0644 3 cut\n'],
  ['receiver', OK],
  ['sender', 'abc\u0001scp: cut: read error\n'],
  ['receiver', OK],
  ['sender', 'E\n'],
  ['receiver', OK],
]

function converse(mode: 'f' | 't', chunking?: Chunking): unknown {
  const harness = harnessOf(`scp -r -${mode} /tree`, (command) =>
    command.files.some((file) => file.path.endsWith('/secret')) ? DENIAL : { recordLevel: 'full' },
  )
  const sender: Side = mode === 't' ? 'downstream' : 'upstream'
  const receiver: Side = mode === 't' ? 'upstream' : 'downstream'
  const written: string[] = []
  for (const [who, bytes] of TREE) {
    harness.receive(who === 'sender' ? sender : receiver, Buffer.from(bytes), chunking)
    written.push(`> ${text(harness.take(receiver))}`, `< ${text(harness.take(sender))}`)
  }
  harness.end('downstream')
  harness.end('upstream')
  const { commands, answers, transfers, refused, ended, closed } = harness
  const content = Buffer.concat(harness.content.map((each) => each.bytes)).toString()
  return { written, commands, answers, transfers, refused, ended, closed, content }
}

describe('the scp machine', () => {
  it('does the same however the bytes are cut, in both directions', () => {
    for (const mode of ['f', 't'] as const) {
      const whole = converse(mode)
      expect(converse(mode, byteByByte)).toEqual(whole)
      for (let at = 1; at < 30; at++) expect(converse(mode, cutAt(at))).toEqual(whole)
      for (let seed = 0; seed < 30; seed++) expect(converse(mode, randomly(seeded(seed), 10))).toEqual(whole)
    }
  })

  it('judges a tree that a client sends, and keeps the times of a refused file from others', () => {
    const { written, commands, answers, content, ended, closed } = converse('t') as FileHarness & {
      written: string[]
      content: string
    }
    expect(written.filter((each) => each.length > 2)).toEqual([
      `< ${OK}`,
      `< ${OK}`,
      '> T1000000000 0 1000000000 0\n',
      '> D0755 0 tree\n',
      `< ${OK}`,
      `< ${OK}`,
      '< \u0001scp: not this\n',
      '> C4755 5 tool\n',
      `< ${OK}`,
      `> hello${OK}`,
      `< ${OK}`,
      '> C0644 0 empty\n',
      '< \u0001scp: disk full\n',
      '> C0644 3 cut\n',
      `< ${OK}`,
      '> abc\u0001scp: cut: read error\n',
      `< ${OK}`,
      '> E\n',
      `< ${OK}`,
    ])
    expect(commands.map((command) => command.text)).toEqual([
      'mkdir /tree or /tree/tree',
      'open /tree/secret or /tree/tree/secret for writing (create)',
      'open /tree/tool or /tree/tree/tool for writing (create, mode 4755)',
      'open /tree/empty or /tree/tree/empty for writing (create)',
      'open /tree/cut or /tree/tree/cut for writing (create)',
    ])
    expect(commands[2]).toMatchObject({ via: 'scp', files: [{ modes: ['write', 'create', 'metadata'] }, {}] })
    expect(answers.map(({ answer }) => [answer.outcome, answer.bytes])).toEqual([
      ['completed', 0],
      ['completed', 5],
      ['failed', 0],
      ['failed', 3],
    ])
    expect(content).toBe('helloabc')
    expect(ended).toEqual(['upstream', 'downstream'])
    expect(closed).toBe('closed')
  })

  it('judges a tree that a client fetches, and tells it what was refused', () => {
    const { written, commands, transfers } = converse('f') as FileHarness & { written: string[] }
    expect(written).toContain('> \u0001scp: not this\n')
    expect(written).toContain('< \u0001scp: not this\n')
    expect(commands.map((command) => command.text)).toEqual([
      'opendir /tree',
      'open /tree/secret for reading',
      'open /tree/tool for reading',
      'open /tree/empty for reading',
      'open /tree/cut for reading',
    ])
    expect(transfers).toMatchObject([
      { direction: 'read', path: '/tree/tool', bytes: 5 },
      { direction: 'read', path: '/tree/cut', bytes: 3 },
    ])
  })

  it('SSH-2 refuses names that lead elsewhere, and directories nobody asked for', () => {
    for (const record of ['C0644 1 ../x', 'C0644 1 ..', 'C0644 1 .', 'C0644 1 ', 'C0644 1 a\u001bb', 'D0755 0 d']) {
      const harness = harnessOf('scp -t /d/')
      harness.receive('upstream', Buffer.from(OK))
      harness.receive('downstream', Buffer.from(`${record}\n`))
      expect(text(harness.take('downstream'))).toMatch(/^\0\u0001scp: /)
      expect(harness.take('upstream').length).toBe(0)
      expect(harness.refused).toMatchObject([{ denial: { reason: 'unsupported' } }])
      expect(harness.commands).toEqual([])
    }
  })

  it('SSH-2 does not take a file from the target that was not asked for', () => {
    const harness = harnessOf('scp -f /d/wanted')
    harness.receive('downstream', Buffer.from(OK))
    harness.receive('upstream', Buffer.from('C0644 1 .bashrc\n'))
    expect(harness.commands).toEqual([])
    expect(text(harness.take('downstream'))).toMatch(/^\u0001scp: /)
  })

  it('does not let content begin, or go beyond its size, before it may', () => {
    const harness = harnessOf('scp -t /d/', () => undefined)
    harness.receive('upstream', Buffer.from(OK))
    harness.receive('downstream', Buffer.from('C0644 3 f\nabcdef'))
    expect(harness.take('upstream').length).toBe(0)
    harness.machine.permit(1)
    harness.pump()
    expect(text(harness.take('upstream'))).toBe('C0644 3 f\n')
    harness.receive('upstream', Buffer.from(OK))
    expect(text(harness.take('upstream'))).toBe('abc')
    expect(harness.closed).toMatchObject({ code: 'protocol_violation' })
    expect(harness.answers).toMatchObject([{ answer: { outcome: 'interrupted', bytes: 3 } }])
  })

  it('MASK-13 does not fetch a file that would have to be masked, and masks error texts', () => {
    const masker: ResultMasker = {
      planRows: () => undefined,
      maskText: (bytes) => bytes,
      stream: () => ({ push: (chunk) => chunk, flush: () => new Uint8Array(), heldBackBytes: 0 }),
    }
    const textMasker = {
      maskText: (bytes: Uint8Array) => Buffer.from(Buffer.from(bytes).toString().replace('key', '*')),
    }
    const harness = harnessOf('scp -f /d/f', () => ({ masker }), { textMasker })
    harness.receive('downstream', Buffer.from(OK))
    harness.receive('upstream', Buffer.from('C0644 1 f\n'))
    expect(harness.refused).toMatchObject([{ denial: { reason: 'masking' } }])
    harness.take('downstream')
    harness.receive('upstream', Buffer.from('\u0001scp: the key\n'))
    expect(text(harness.take('downstream'))).toBe('\u0001scp: the *\n')
  })

  it('bounds a line', () => {
    const harness = harnessOf('scp -t /d/')
    harness.receive('upstream', Buffer.from(OK))
    harness.receive('downstream', Buffer.alloc(20_000, 0x43))
    expect(harness.closed).toMatchObject({ code: 'limit_exceeded' })
  })

  it('never throws, grows or loses count, whatever two hostile sides say', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        OK,
        '\u0001x\n',
        '\u0002x\n',
        'E\n',
        'T1 0 1 0\n',
        'D0755 0 d\n',
        'C0644 3 f\n',
        'abc',
        'C0644 0 g\n',
      ),
      fc.string({ maxLength: 6 }),
    )
    const steps = fc.array(fc.tuple(fc.constantFrom<Side>('downstream', 'upstream'), piece), { maxLength: 40 })
    fc.assert(
      fc.property(steps, fc.constantFrom('scp -r -t /d', 'scp -r -f /d /f'), (list, line) => {
        const harness = harnessOf(line, (command) => [DENIAL, {}, { maxBytes: 2 }][command.id % 3])
        for (const [side, bytes] of list) harness.receive(side, Buffer.from(bytes))
        harness.end('downstream')
        harness.machine.abandon()
        harness.pump()
        if (typeof harness.closed === 'object') expect(harness.closed.code).not.toBe('internal')
        const permitted = harness.commands.filter((command) => command.id % 3 !== 0).map((command) => command.id)
        expect(harness.answers.map((each) => each.commandId)).toEqual(permitted)
        expect(harness.machine.wantsRead('upstream')).toBe(false)
      }),
      { numRuns: 1_500 },
    )
  })
})

describe('parseScpCommand', () => {
  const parse = (line: string): ScpCommand | undefined => parseScpCommand(line.split(' '))

  it('reads what clients send', () => {
    expect(parse('scp -t /x')).toMatchObject({ mode: 'sink', isRecursive: false, paths: ['/x'] })
    expect(parse('/usr/bin/scp -v -r -p -d -t -- /x')).toMatchObject({
      isRecursive: true,
      preservesTimes: true,
      expectsDirectory: true,
    })
    expect(parse('scp -rpf a b')).toMatchObject({ mode: 'source', paths: ['a', 'b'] })
    expect(parse('scp -f -- -odd')).toMatchObject({ paths: ['-odd'] })
  })

  it('SSH-2 knows nothing of what it does not know', () => {
    for (const line of [
      'scp /a /b',
      'scp -t',
      'scp -t a b',
      'scp -f -t a',
      'scp -S evil -t a',
      'scp -f a -S evil',
      'scp -oProxyCommand=x -t a',
      'cp -t a',
      '',
    ]) {
      expect(parse(line)).toBeUndefined()
    }
  })
})
