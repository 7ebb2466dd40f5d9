import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Denial, ResultMasker, Side } from '../../../core/index.js'
import { byteByByte, type Chunking, cutAt, randomly, seeded } from '../../../testing/index.js'
import { counter, FileHarness, type Judge } from '../files/files.test-support.js'
import { createSftpMachine, type SftpMachineOptions } from './index.js'
import * as p from './packet-types.js'
import { init, name, open, packet, read, status, version, write } from './packets.test-support.js'

const ALL_EXTENSIONS = [
  ['posix-rename@openssh.com', '1'],
  ['statvfs@openssh.com', '2'],
  ['hardlink@openssh.com', '1'],
  ['fsync@openssh.com', '1'],
  ['lsetstat@openssh.com', '1'],
  ['limits@openssh.com', '1'],
  ['expand-path@openssh.com', '1'],
  ['copy-data', '1'],
  ['home-directory', '1'],
  ['users-groups-by-id@openssh.com', '1'],
].flat()

const DENIAL: Denial = { reason: 'rule', message: 'not this', hint: 'ask first' }

function harnessOf(judge?: Judge, options: Partial<SftpMachineOptions> = {}): FileHarness {
  return new FileHarness(createSftpMachine({ nextCommandId: counter(), ...options }), judge)
}

/** Behind the handshake, with `/home/u` as the working directory. */
function ready(judge?: Judge, options: Partial<SftpMachineOptions> = {}): FileHarness {
  const harness = harnessOf(judge, options)
  harness.receive('downstream', init)
  harness.receive('upstream', version(...ALL_EXTENSIONS))
  harness.receive('downstream', packet(p.REALPATH, 900, '.'))
  harness.receive('upstream', name(900, '/home/u'))
  harness.take('downstream')
  harness.take('upstream')
  return harness
}

/** Opens a file as handle `h`. */
function opened(flags: number, judge?: Judge, path = '/f'): FileHarness {
  const harness = ready(judge)
  harness.receive('downstream', open(1, path, flags))
  harness.receive('upstream', packet(p.HANDLE, 1, 'h'))
  harness.take('downstream')
  harness.take('upstream')
  return harness
}

const CONVERSATION: readonly (readonly [Side, Buffer])[] = [
  ['downstream', init],
  ['upstream', version(...ALL_EXTENSIONS, 'unknown@example.com', '1')],
  ['downstream', packet(p.REALPATH, 1, '.')],
  ['upstream', name(1, '/home/u')],
  ['downstream', Buffer.concat([open(2, 'up', 0x1a), packet(p.LSTAT, 3, '../secret')])],
  ['upstream', packet(p.HANDLE, 2, 'h1')],
  ['downstream', Buffer.concat([write(4, 'h1', 0, 'hello '), write(5, 'h1', 6, 'world'), packet(p.CLOSE, 6, 'h1')])],
  ['upstream', Buffer.concat([status(4, 0), status(5, 0), status(6, 0)])],
  ['downstream', Buffer.concat([open(7, 'down', 1), packet(99, 8), packet(p.EXTENDED, 9, 'unknown@example.com')])],
  ['upstream', packet(p.HANDLE, 7, 'h2')],
  ['downstream', Buffer.concat([read(10, 'h2', 0, 4), read(11, 'h2', 4, 4), read(12, 'h2', 8, 4)])],
  ['upstream', Buffer.concat([packet(p.DATA, 10, 'data'), packet(p.DATA, 11, 'end'), status(12, 1)])],
  ['downstream', Buffer.concat([packet(p.CLOSE, 13, 'h2'), packet(p.OPENDIR, 14, '/d')])],
  ['upstream', Buffer.concat([status(13, 0), packet(p.HANDLE, 14, 'h3')])],
  ['downstream', Buffer.concat([packet(p.READDIR, 15, 'h3'), packet(p.SYMLINK, 16, 'up', '/d/link')])],
  ['upstream', Buffer.concat([packet(p.NAME, 15, 2, 'a', '-r a', 0, 'b', '-r b', 0), status(16, 4, 'no')])],
]

const REFUSES_SECRETS: Judge = (command) =>
  command.files.some((file) => file.path.includes('secret')) ? DENIAL : { recordLevel: 'full' }

function converse(chunking?: Chunking): unknown {
  const harness = harnessOf(REFUSES_SECRETS)
  const written: unknown[] = []
  for (const [side, bytes] of CONVERSATION) {
    harness.receive(side, bytes, chunking)
    written.push(harness.take('upstream').toString('hex'), harness.take('downstream').toString('hex'))
  }
  harness.end('upstream')
  const { commands, answers, transfers, refused, ended, closed } = harness
  const content = harness.content.map((each) => `${each.direction}: ${each.bytes.toString()}`).join('')
  const recorded = content.replaceAll(/(?:read|write): /g, '')
  return { written, commands, answers, transfers, refused, ended, closed, recorded }
}

describe('the SFTP machine', () => {
  const whole = converse()

  it('does the same however the bytes are cut', () => {
    expect(converse(byteByByte)).toEqual(whole)
    const longest = Math.max(...CONVERSATION.map(([, bytes]) => bytes.length))
    for (let at = 1; at < longest; at++) expect(converse(cutAt(at))).toEqual(whole)
    for (let seed = 0; seed < 50; seed++) expect(converse(randomly(seeded(seed), 40))).toEqual(whole)
  })

  it('judges, answers and adds up a conversation', () => {
    const { commands, transfers, refused, recorded, closed, answers } = whole as FileHarness & { recorded: string }
    expect(commands.map((command) => command.text)).toEqual([
      'open /home/u/up for writing (create, truncate)',
      'stat /home/secret',
      'open /home/u/down for reading',
      'opendir /d',
      'symlink /d/link to /d/up',
    ])
    expect(commands[0]).toMatchObject({ id: 1, protocol: 'ssh', kind: 'sftp', via: 'sftp', operation: 'open' })
    expect(transfers).toMatchObject([
      { direction: 'write', path: '/home/u/up', bytes: 11, runs: [{ offset: 0, bytes: 11 }] },
      {
        direction: 'read',
        path: '/home/u/down',
        bytes: 7,
        sha256: createHash('sha256').update('dataend').digest('hex'),
      },
    ])
    expect(refused.map((each) => each.via)).toEqual(['SSH_FXP_99', 'SSH_FXP_EXTENDED'])
    expect(recorded).toBe('hello worlddataend')
    expect(closed).toBe('closed')
    expect(answers.map(({ commandId, answer }) => [commandId, answer.outcome])).toEqual([
      [1, 'completed'],
      [3, 'completed'],
      [5, 'failed'],
      [4, 'interrupted'],
    ])
  })

  it('lets unchanged packets pass as views of the chunk they came in', () => {
    const harness = opened(p.PFLAG_WRITE)
    const chunk = Buffer.concat([write(2, 'h', 0, Buffer.alloc(40_000)), write(3, 'h', 40_000, Buffer.alloc(40_000))])
    harness.machine.receive('downstream', chunk)
    const event = harness.machine.next()
    expect(event?.type === 'write' && event.bytes.buffer === chunk.buffer && event.bytes.length).toBe(chunk.length)
    expect(harness.machine.next()).toBeUndefined()
  })

  it('SSH-2 shows the client only the extensions that are decoded, in the version that is known', () => {
    const harness = harnessOf()
    harness.receive('downstream', init)
    harness.receive('upstream', version('vendor-id', 'x', 'posix-rename@openssh.com', '1', 'copy-data', '2'))
    expect(harness.take('downstream')).toEqual(version('posix-rename@openssh.com', '1'))
    harness.receive('downstream', packet(p.EXTENDED, 1, 'copy-data', 'a', 0n, 0n, 'b', 0n))
    expect(harness.take('downstream').readUInt32BE(9)).toBe(p.FX_OP_UNSUPPORTED)
  })

  it('clamps the version of the client to 3, and ends with a server that speaks another', () => {
    const harness = harnessOf()
    harness.receive('downstream', packet(p.INIT, 6, 'extension', 'data'))
    expect(harness.take('upstream')).toEqual(init)
    harness.receive('upstream', packet(p.VERSION, 6))
    expect(harness.closed).toMatchObject({ code: 'upstream_protocol_violation' })
  })

  it('answers a refusal with the id of its request, also in the middle of a packet of the server', () => {
    const harness = opened(p.PFLAG_READ, REFUSES_SECRETS)
    harness.receive('downstream', read(2, 'h', 0, 4))
    const data = packet(p.DATA, 2, 'data')
    harness.receive('upstream', data.subarray(0, 15))
    harness.receive('downstream', packet(p.REMOVE, 3, '/secret'))
    harness.receive('upstream', data.subarray(15))
    const refusal = packet(p.STATUS, 3, p.FX_PERMISSION_DENIED, 'not this (ask first)', 'en')
    expect(harness.take('downstream')).toEqual(Buffer.concat([data, refusal]))
    expect(harness.take('upstream')).toEqual(read(2, 'h', 0, 4))
  })

  it('holds what is behind a command that waits, and lets answers pass', () => {
    const harness = opened(p.PFLAG_READ, (command) => (command.operation === 'remove' ? undefined : {}))
    const behind = read(4, 'h', 4, 4)
    harness.receive('downstream', Buffer.concat([read(2, 'h', 0, 4), packet(p.REMOVE, 3, '/x'), behind]))
    expect(harness.take('upstream')).toEqual(read(2, 'h', 0, 4))
    harness.receive('upstream', packet(p.DATA, 2, 'data'))
    expect(harness.take('downstream')).toEqual(packet(p.DATA, 2, 'data'))
    while (harness.machine.wantsRead('downstream')) harness.receive('downstream', Buffer.alloc(65_536))
    harness.machine.permit(2)
    harness.pump()
    expect(harness.take('upstream').subarray(0, 13 + 5)).toEqual(
      Buffer.concat([packet(p.REMOVE, 3, '/x'), behind]).subarray(0, 18),
    )
    expect(() => harness.machine.permit(77)).not.toThrow()
  })

  it('refuses to be told the verdict on a command that does not wait', () => {
    expect(() => ready().machine.permit(5)).toThrow(/does not wait/)
  })

  it('SSH-2 lets a handle do only what it was opened for, whatever the server would do', () => {
    const reading = opened(p.PFLAG_READ)
    reading.receive('downstream', write(2, 'h', 0, 'data'))
    reading.receive('downstream', packet(p.READDIR, 3, 'h'))
    reading.receive('downstream', read(4, 'other', 0, 10))
    expect(reading.take('upstream')).toEqual(Buffer.alloc(0))
    const writing = opened(p.PFLAG_WRITE)
    writing.receive('downstream', read(2, 'h', 0, 10))
    writing.receive('downstream', packet(p.EXTENDED, 3, 'copy-data', 'h', 0n, 0n, 'h', 0n))
    expect(writing.take('upstream')).toEqual(Buffer.alloc(0))
    expect(reading.refused.concat(writing.refused).map((each) => each.denial.reason)).toEqual(
      new Array(5).fill('unsupported'),
    )
    // After closing, its name is nobody's.
    writing.receive('downstream', packet(p.CLOSE, 5, 'h'))
    writing.take('upstream')
    writing.receive('downstream', write(6, 'h', 0, 'data'))
    expect(writing.take('upstream')).toEqual(Buffer.alloc(0))
  })

  it('SSH-2 judges the change of attributes and copies again', () => {
    const harness = opened(p.PFLAG_READ | p.PFLAG_WRITE)
    harness.receive('downstream', packet(p.FSETSTAT, 2, 'h', p.ATTR_PERMISSIONS, 0o4755))
    harness.receive('downstream', packet(p.EXTENDED, 3, 'copy-data', 'h', 0n, 0n, 'h', 0n))
    expect(harness.commands.slice(1)).toMatchObject([
      { operation: 'setstat', text: 'setstat /f (mode 4755)', files: [{ path: '/f', modes: ['metadata'] }] },
      { operation: 'copy', files: [{ modes: ['read'] }, { modes: ['write'] }] },
    ])
  })

  it('counts every way to open a file as what it can do', () => {
    const modesOf = (flags: number): unknown => {
      const harness = ready()
      harness.receive('downstream', open(1, '/f', flags))
      return harness.commands[0]?.files[0]?.modes
    }
    expect(modesOf(0)).toEqual(['read'])
    expect(modesOf(p.PFLAG_READ | p.PFLAG_TRUNCATE)).toEqual(['read', 'write'])
    expect(modesOf(p.PFLAG_CREATE)).toEqual(['read', 'create'])
    expect(modesOf(p.PFLAG_WRITE | p.PFLAG_CREATE)).toEqual(['write', 'create'])
    expect(modesOf(0x40)).toBeUndefined()
  })

  it('SSH-2 shows rules the path that is meant, and says where it cannot', () => {
    const resolved = (path: string | Uint8Array): unknown => {
      const harness = ready()
      harness.receive('downstream', open(1, path, 1))
      const { path: text, isExact } = harness.commands[0]?.files[0] ?? {}
      return [text, isExact]
    }
    expect(resolved('/a//b/./c/')).toEqual(['/a/b/c', true])
    expect(resolved('x')).toEqual(['/home/u/x', true])
    expect(resolved('../x')).toEqual(['/home/x', true])
    expect(resolved('/home/u/../../../etc/passwd')).toEqual(['/etc/passwd', true])
    expect(resolved('/a/link/../x')).toEqual(['/a/x', false])
    expect(resolved('~/x')).toEqual(['/home/u/~/x', true])
    expect(resolved(Buffer.from('/a\xff', 'latin1'))).toEqual(['/a\\xff', false])
    expect(resolved('/a\0b')).toEqual([undefined, undefined])
    expect(resolved(`/${'x'.repeat(5_000)}`)).toEqual([undefined, undefined])
  })

  it('SSH-2 asks for the working directory by itself before it judges a relative path, once', () => {
    const harness = harnessOf()
    harness.receive('downstream', init)
    harness.receive('upstream', version())
    harness.take('upstream')
    harness.take('downstream')
    harness.receive('downstream', Buffer.concat([packet(p.LSTAT, 1, '/abs'), packet(p.LSTAT, 2, 'x'), open(3, 'y', 1)]))
    expect(harness.commands.map(({ text }) => text)).toEqual(['stat /abs'])
    const asked = harness.take('upstream')
    expect(asked).toEqual(Buffer.concat([packet(p.LSTAT, 1, '/abs'), packet(p.REALPATH, 0xffff_ffff, '.')]))
    harness.receive('upstream', name(0xffff_ffff, '/home/u'))
    expect(harness.take('downstream')).toEqual(Buffer.alloc(0))
    expect(harness.commands.map(({ text }) => text)).toEqual([
      'stat /abs',
      'stat /home/u/x',
      'open /home/u/y for reading',
    ])
    expect(harness.commands[2]?.files[0]).toMatchObject({ isExact: true })
    expect(harness.take('upstream')).toEqual(Buffer.concat([packet(p.LSTAT, 2, 'x'), open(3, 'y', 1)]))
  })

  it('SSH-2 asks again when the working directory may have moved', () => {
    const harness = ready()
    harness.receive('downstream', packet(p.RENAME, 1, '/home/u', '/home/v'))
    harness.receive('downstream', packet(p.LSTAT, 2, 'x'))
    harness.take('upstream')
    harness.receive('upstream', Buffer.concat([status(1, 0), name(0xffff_ffff, '/home/v')]))
    expect(harness.take('downstream')).toEqual(status(1, 0))
    expect(harness.commands.at(-1)?.files[0]).toMatchObject({ path: '/home/v/x', isExact: true })
  })

  it('SSH-2 says that a relative path is not known where the target does not tell its working directory', () => {
    const harness = harnessOf()
    harness.receive('downstream', init)
    harness.receive('upstream', version())
    harness.receive('downstream', Buffer.concat([open(1, 'x', 1), open(2, 'y', 1)]))
    harness.receive('upstream', status(0xffff_ffff, 4, 'no'))
    expect(harness.commands.map(({ files }) => files[0])).toMatchObject([
      { path: 'x', isExact: false },
      { path: 'y', isExact: false },
    ])
    expect(harness.closed).toBeUndefined()
  })

  it('SSH-2 counts a link as reading and writing what it leads to, in the order of the target', () => {
    const filesOf = (symlinkOrder: 'openssh' | 'draft'): unknown => {
      const harness = ready(undefined, { symlinkOrder })
      harness.receive('downstream', packet(p.SYMLINK, 1, 'one', '/d/two'))
      return harness.commands[0]?.files
    }
    expect(filesOf('openssh')).toEqual([
      { path: '/d/two', modes: ['create'], isRecursive: false, isExact: true },
      { path: '/d/one', modes: ['read', 'write'], isRecursive: true, isExact: true },
    ])
    expect(filesOf('draft')).toMatchObject([{ path: '/home/u/one' }, { path: '/d/two' }])
  })

  it('shows control characters of a path to people as what they are', () => {
    const harness = ready()
    harness.receive('downstream', packet(p.REMOVE, 1, '/a\u001b[2J\n/b'))
    expect(harness.commands[0]?.text).toBe('remove /a\\u{1b}[2J\\u{a}/b')
  })

  it('ends a file at its cap in both directions, and for good', () => {
    const judge: Judge = () => ({ maxBytes: 10 })
    const writing = opened(p.PFLAG_WRITE, judge)
    const first = write(2, 'h', 0, Buffer.alloc(10))
    writing.receive('downstream', Buffer.concat([first, write(3, 'h', 10, 'x'), write(4, 'h', 11, '')]))
    expect(writing.take('upstream')).toEqual(first)
    const reading = opened(p.PFLAG_READ, judge)
    reading.receive('downstream', Buffer.concat([read(2, 'h', 0, 8), read(3, 'h', 8, 8)]))
    const data = packet(p.DATA, 2, Buffer.alloc(8))
    reading.receive('upstream', Buffer.concat([data, packet(p.DATA, 3, Buffer.alloc(8))]))
    const answer = reading.take('downstream')
    expect(answer.subarray(0, data.length)).toEqual(data)
    expect(answer.readUInt32BE(data.length + 9)).toBe(p.FX_FAILURE)
    expect(reading.refused).toMatchObject([{ denial: { reason: 'limit' } }])
    reading.receive('downstream', packet(p.CLOSE, 5, 'h'))
    reading.receive('upstream', status(5, 0))
    expect(reading.answers).toMatchObject([{ answer: { outcome: 'failed', bytes: 8 } }])
  })

  it('tells where bytes belong that did not come in order', () => {
    const harness = opened(p.PFLAG_WRITE)
    for (const [id, offset] of [5, 0, 3].entries()) harness.receive('downstream', write(10 + id, 'h', offset, 'abc'))
    harness.receive('downstream', packet(p.CLOSE, 20, 'h'))
    harness.receive('upstream', Buffer.concat([10, 11, 12, 20].map((id) => status(id, 0))))
    expect(harness.transfers).toMatchObject([
      {
        bytes: 9,
        runs: [
          { offset: 5, bytes: 3 },
          { offset: 0, bytes: 6 },
        ],
      },
    ])
  })

  it('MASK-13 masks error texts, and does not let a file be read that would have to be masked', () => {
    const masker: ResultMasker = {
      planRows: () => undefined,
      maskText: (text) => Buffer.from(Buffer.from(text).toString().replace('4111111111111111', '****')),
      stream: () => ({ push: (chunk) => chunk, flush: () => new Uint8Array(), heldBackBytes: 0 }),
    }
    const harness = ready(() => ({ masker }))
    harness.receive('downstream', packet(p.REMOVE, 1, '/x'))
    harness.receive('upstream', status(1, 4, 'no card 4111111111111111'))
    expect(harness.take('downstream').toString()).toContain('no card ****')
    harness.take('upstream')
    harness.receive('downstream', open(2, '/f', 1))
    expect(harness.take('upstream').length).toBe(0)
    expect(harness.take('downstream').readUInt32BE(9)).toBe(p.FX_PERMISSION_DENIED)
    expect(harness.refused).toMatchObject([{ denial: { reason: 'masking' } }])
    expect(harness.answers.at(-1)).toMatchObject({ commandId: 2, answer: { outcome: 'failed' } })
  })

  it('ends with a server that answers what was not asked', () => {
    const cases: readonly (readonly [Buffer | undefined, Buffer])[] = [
      [undefined, status(77, 0)],
      [read(2, 'h', 0, 4), packet(p.DATA, 2, 'longer')],
      [read(2, 'h', 0, 4), packet(p.ATTRS, 2, 0)],
      [packet(p.STAT, 2, '/x'), packet(p.HANDLE, 2, 'h')],
      [open(2, '/g', 1), packet(p.HANDLE, 2, 'h')],
      [undefined, Buffer.from('7fffffff65', 'hex')],
    ]
    for (const [request, answer] of cases) {
      const harness = opened(p.PFLAG_READ)
      if (request !== undefined) harness.receive('downstream', request)
      harness.receive('upstream', answer)
      expect(harness.closed).toMatchObject({ blame: 'upstream' })
      // Whatever was permitted has an answer.
      expect(harness.answers.map((each) => each.commandId)).toEqual(
        expect.arrayContaining(harness.commands.map((command) => command.id)),
      )
    }
  })

  it('does not hand a client a name that would lead it out of the directory', () => {
    const harness = ready()
    harness.receive('downstream', packet(p.OPENDIR, 1, '/d'))
    harness.receive('upstream', packet(p.HANDLE, 1, 'h'))
    harness.receive('downstream', packet(p.READDIR, 2, 'h'))
    harness.take('downstream')
    harness.receive('upstream', packet(p.NAME, 2, 1, '../x', '../x', 0))
    expect(harness.take('downstream').readUInt32BE(9)).toBe(p.FX_FAILURE)
    expect(harness.closed).toBeUndefined()
  })

  it('bounds what waits: requests, files, packets', () => {
    const harness = ready(undefined, { maxRequests: 4, maxHandles: 2 })
    for (let id = 1; id <= 3; id++) harness.receive('downstream', open(id, '/f', 1))
    expect(harness.refused).toMatchObject([{ denial: { reason: 'limit' } }])
    for (let id = 4; id <= 9; id++) harness.receive('downstream', packet(p.STAT, id, '/f'))
    expect(harness.commands.length).toBe(4)
    harness.receive('downstream', Buffer.from('0fffffff05', 'hex'))
    for (const id of [1, 2]) harness.receive('upstream', status(id, 4))
    for (const id of [4, 5, 6, 7, 8, 9]) harness.receive('upstream', status(id, 2))
    expect(harness.closed).toMatchObject({ code: 'limit_exceeded' })
  })

  it('hands on the end of the client behind all it sent', () => {
    const harness = ready(() => undefined)
    harness.receive('downstream', packet(p.REMOVE, 1, '/x'))
    harness.end('downstream')
    expect(harness.ended).toEqual([])
    harness.machine.permit(1)
    harness.pump()
    expect(harness.take('upstream')).toEqual(packet(p.REMOVE, 1, '/x'))
    expect(harness.ended).toEqual(['upstream'])
  })

  it('withdraws what waits when the channel is gone, and answers what does not', () => {
    const harness = opened(p.PFLAG_WRITE, (command) => (command.operation === 'remove' ? undefined : {}))
    harness.receive('downstream', Buffer.concat([write(2, 'h', 0, 'data'), packet(p.REMOVE, 3, '/x')]))
    harness.machine.abandon()
    harness.pump()
    expect(harness.withdrawn).toEqual([2])
    expect(harness.answers).toMatchObject([{ commandId: 1, answer: { outcome: 'interrupted', bytes: 4 } }])
    expect(harness.transfers).toMatchObject([{ bytes: 4 }])
    expect(harness.closed).toBe('closed')
  })
})

describe('two hostile sides', () => {
  const text = fc.constantFrom('.', '..', '/a', '/a/../b', 'h1', 'h2', '', 'copy-data', 'x\0y')
  const field = fc.oneof(fc.nat(40), fc.bigInt({ min: 0n, max: 1n << 40n }), text, fc.uint8Array({ maxLength: 20 }))
  const anyPacket = fc
    .tuple(fc.oneof(fc.nat(21), fc.integer({ min: 99, max: 202 })), fc.nat(12), fc.array(field, { maxLength: 6 }))
    .map(([type, id, fields]) => packet(type, id, ...fields))
  const chunk = fc.oneof(
    { weight: 6, arbitrary: anyPacket },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
  )
  const steps = fc.array(fc.tuple(fc.constantFrom<Side>('downstream', 'upstream'), chunk, fc.nat(3)), { maxLength: 40 })

  it('never make it throw, grow or lose count', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const harness = ready(
          (command) => [DENIAL, {}, { maxBytes: 5 }, { recordLevel: 'full' as const }][command.id % 4],
        )
        for (const [side, bytes, cut] of list) {
          harness.receive(side, bytes, cut === 0 ? byteByByte : undefined)
        }
        harness.end('downstream')
        harness.machine.abandon()
        harness.pump()
        expect(harness.closed).toBeDefined()
        if (typeof harness.closed === 'object') expect(harness.closed.code).not.toBe('internal')
        const permitted = harness.commands.filter((command) => command.id % 4 !== 0).map((command) => command.id)
        expect(harness.answers.map((each) => each.commandId).sort((a, b) => a - b)).toEqual(permitted)
        expect(harness.machine.wantsRead('downstream')).toBe(false)
      }),
      { numRuns: 1_500 },
    )
  })

  it('never make it let through what no rule saw', () => {
    fc.assert(
      fc.property(fc.array(anyPacket, { maxLength: 20 }), (packets) => {
        const harness = ready(() => DENIAL)
        const ids = new Set<number>()
        for (const each of packets) harness.receive('downstream', each)
        const through = harness.take('upstream')
        for (let at = 0; at + 9 <= through.length; at += 4 + through.readUInt32BE(at)) {
          ids.add(through[at + 4] as number)
        }
        // Where the working directory is, is part of the session.
        for (const type of ids) expect(type).toBe(p.REALPATH)
      }),
      { numRuns: 500 },
    )
  })
})
