import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exportAsciicast, type AsciicastOptions, type AsciicastSummary } from './asciicast.js'
import { command, header, START_UNIX_MS, TestWorld } from './recording.test-support.js'
import { replayRecording } from './replay.js'
import type { SessionRecorder } from './session-recorder.js'
import { Utf8Stream } from './utf8-stream.js'

const NAME = 'session-s1.000001.jsonl'
const SECOND = Math.floor(START_UNIX_MS / 1000)

async function record(write: (session: SessionRecorder) => void): Promise<Buffer> {
  const world = new TestWorld()
  const session = world.recorder({ durability: 'batch' }).open(header('s1'))
  write(session)
  await session.close('done')
  return world.store.bytes(NAME)
}

async function cast(
  bytes: Buffer,
  options: AsciicastOptions = {},
): Promise<{ text: string; header: unknown; events: [number, string, string][]; summary: AsciicastSummary }> {
  let text = ''
  const lines = exportAsciicast(replayRecording([bytes]), options)
  for (;;) {
    const step = await lines.next()
    if (step.done === true) {
      const [first, ...rest] = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
      const events = rest.map((line) => JSON.parse(line) as [number, string, string])
      return { text, header: first === undefined ? undefined : JSON.parse(first), events, summary: step.value }
    }
    text += step.value
  }
}

const at = (ms: number, commandId = 1): { atUnixMs: number; commandId: number } => ({
  atUnixMs: START_UNIX_MS + ms,
  commandId,
})

/** A shell in channel 1 with two lines of its own, and another channel beside it. */
function writeSession(session: SessionRecorder): void {
  session.command(
    command(1, 'interactive shell', { kind: 'terminal', via: 'shell', detail: { channelId: 1, hasTerminal: true } }),
  )
  session.append({ type: 'resize', ...at(1), columns: 100, rows: 30 })
  session.append({ type: 'output', ...at(251), channel: 'stdout', bytes: Buffer.from('$ ') })
  session.append({ type: 'input', ...at(300), bytes: Buffer.from('ls\r') })
  session.append({ type: 'input', ...at(310), isHidden: true })
  session.command({
    ...command(2, 'ls', { kind: 'shell', via: 'line', detail: { channelId: 1, hasTerminal: true } }),
    atUnixMs: START_UNIX_MS + 301,
  })
  session.append({ type: 'output', ...at(400, 2), channel: 'stdout', bytes: Buffer.from('a\r\n') })
  session.command({
    ...command(3, 'id', { kind: 'shell', via: 'exec', detail: { channelId: 2, hasTerminal: false } }),
    atUnixMs: START_UNIX_MS + 402,
  })
  session.append({ type: 'output', ...at(450, 3), channel: 'stdout', bytes: Buffer.from('root\nx\r') })
  session.append({ type: 'output', ...at(451, 3), channel: 'stdout', bytes: Buffer.from('\ny\n') })
  session.append({ type: 'detected', ...at(460), text: 'rm\u202e -rf /' })
  session.command({
    ...command(4, 'rm -rf /', { kind: 'shell', via: 'line', permitted: false, detail: { channelId: 1 } }),
    atUnixMs: START_UNIX_MS + 470,
  })
  session.append({ type: 'resize', ...at(500), columns: 80, rows: 24 })
  session.append({ type: 'output', ...at(2500), channel: 'stdout', bytes: Buffer.from('bye') })
  session.answer(3, { outcome: 'completed', tags: [], rows: 0, bytes: 1, signal: 'TERM' }, START_UNIX_MS + 2550)
  session.answer(1, { outcome: 'completed', tags: [], rows: 0, bytes: 9, exitCode: 130 }, START_UNIX_MS + 2600)
}

describe('exportAsciicast', () => {
  it('writes version 3: intervals, markers and the exit code', async () => {
    const { header: head, events, summary } = await cast(await record(writeSession))
    expect(head).toEqual({
      version: 3,
      term: { cols: 100, rows: 30 },
      timestamp: SECOND,
      command: 'interactive shell',
    })
    expect(events).toEqual([
      [0.25, 'o', '$ '],
      [0.049, 'i', 'ls\r'],
      [0.001, 'm', 'ls'],
      [0.099, 'o', 'a\r\n'],
      [0.06, 'm', 'rm\\u{202e} -rf /'],
      [0.01, 'm', 'REFUSED: rm -rf /'],
      [0.03, 'r', '80x24'],
      [2, 'o', 'bye'],
      [0.1, 'x', '130'],
    ])
    expect(summary).toMatchObject({ commandId: 1, events: 9, replacements: 0, removedBytes: 0 })
    expect(summary.verification.ok).toBe(true)
  })

  it('writes version 2: times since the beginning, and no exit code', async () => {
    const {
      text,
      header: head,
      events,
    } = await cast(await record(writeSession), { version: 2, title: 'Ü', omitInput: true })
    expect(head).toEqual({
      version: 2,
      width: 100,
      height: 30,
      timestamp: SECOND,
      command: 'interactive shell',
      title: 'Ü',
    })
    expect(events.map(([time, code]) => [time, code])).toEqual([
      [0.25, 'o'],
      [0.3, 'm'],
      [0.399, 'o'],
      [0.459, 'm'],
      [0.469, 'm'],
      [0.499, 'r'],
      [2.499, 'o'],
    ])
    expect(text).not.toContain('#')
  })

  it('takes one command or one channel, and gives lines without a terminal their returns', async () => {
    const bytes = await record(writeSession)
    for (const options of [{ commandId: 3 }, { channelId: 2 }]) {
      const { header: head, events } = await cast(bytes, options)
      expect(head).toMatchObject({ term: { cols: 80, rows: 24 }, command: 'id' })
      expect(events.map(([, code, data]) => [code, data])).toEqual([
        ['o', 'root\r\nx\r'],
        ['o', '\ny\r\n'],
        ['x', '143'],
      ])
    }
    expect((await cast(bytes, { commandId: 2 })).events.map(([, , data]) => data)).toEqual(['a\r\n'])
    expect((await cast(bytes, { channelId: 1 })).summary.commandId).toBe(1)
    const none = await cast(bytes, { commandId: 4 })
    expect(none).toMatchObject({ text: '', summary: { commandId: undefined, events: 0 } })
  })

  it('TTY-2 takes out what acts on the terminal of who watches, unless told to keep it', async () => {
    const hostile =
      'a\x1b]52;c;cm0gLXJm\x07b\x1b]8;;http://x\x1b\\c\x1b]8;;\x1b\\\x1bP$qm\x1b\\d\x1b[21t\x1b[c\u009b6n\x1bPq#0~\x1b\\e\x1b[31mf'
    const bytes = await record((session) => {
      session.command(command(1, 'sh', { kind: 'terminal', detail: { hasTerminal: true } }))
      session.append({ type: 'output', ...at(1), channel: 'stdout', bytes: Buffer.from(hostile) })
    })
    const { text, events, summary } = await cast(bytes)
    expect(events.map(([, , data]) => data).join('')).toBe('abcde\x1b[31mf')
    expect(summary.removedBytes).toBe(Buffer.byteLength(hostile) - 'abcde\x1b[31mf'.length)
    expect(text).toContain(`# ${summary.removedBytes} bytes that act on a terminal were taken out\n`)
    expect(text).toMatch(/^[\x20-\x7e\n]*$/)
    const raw = await cast(bytes, { isRaw: true })
    expect(raw.events.map(([, , data]) => data).join('')).toBe(hostile)
  })

  it('REC-2 says how much was not UTF-8, and joins characters that came in pieces', async () => {
    const bytes = await record((session) => {
      session.command(command(1, 'sh', { kind: 'terminal', detail: { hasTerminal: true } }))
      const whole = Buffer.from('é\ufffd€')
      for (const byte of [...whole, 0xff, 0x61]) {
        session.append({ type: 'output', ...at(1), channel: 'stdout', bytes: Uint8Array.of(byte) })
      }
      session.append({ type: 'output', ...at(2), channel: 'stderr', bytes: Uint8Array.of(0xe2, 0x82) })
    })
    const { text, events, summary } = await cast(bytes)
    expect(events.map(([, , data]) => data).join('')).toBe('é\ufffd€\ufffda\ufffd')
    expect(summary.replacements).toBe(2)
    expect(text).toContain('# 2 times U+FFFD stands for bytes that are not UTF-8\n')
  })

  it('REC-3 exports nothing from the first bad line on, and says so', async () => {
    const good = (await record(writeSession)).toString('latin1')
    const { text, events, summary } = await cast(Buffer.from(good.replace('"utf8":"a\\r', '"utf8":"b\\r'), 'latin1'))
    expect(events.map(([, code]) => code)).toEqual(['o', 'i', 'm'])
    expect(summary.verification.problem).toMatchObject({ kind: 'hash' })
    expect(text).toMatch(/# the recording does not verify, line \d+: /)
  })

  it('REC-4 exports what a crash left', async () => {
    const good = (await record(writeSession)).toString('latin1')
    const { events, summary } = await cast(Buffer.from(good.slice(0, good.indexOf('"type":"end"') - 10), 'latin1'))
    expect(events).toHaveLength(9)
    expect(summary.verification.problem).toMatchObject({ kind: 'unclosed' })
  })

  it('writes nothing for a recording without a terminal', async () => {
    const bytes = await record((session) => {
      session.command(command(1, 'select 1'))
      session.append({ type: 'output', ...at(1), channel: 'rows', bytes: Buffer.from('1') })
    })
    expect(await cast(bytes)).toMatchObject({ text: '', summary: { commandId: undefined } })
  })

  it('never lets time run backwards', async () => {
    const bytes = await record((session) => {
      session.command(command(1, 'sh', { kind: 'terminal', detail: { hasTerminal: true } }))
      for (const ms of [900, 100, 901]) {
        session.append({ type: 'output', ...at(ms), channel: 'stdout', bytes: Buffer.from('x') })
      }
    })
    expect((await cast(bytes)).events.map(([interval]) => interval)).toEqual([0.899, 0, 0.001])
  })
})

describe('Utf8Stream', () => {
  it('gives the same text however its bytes are cut, and counts what it replaced', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc.string({ unit: 'binary', maxLength: 8 }).map((text) => Uint8Array.from(Buffer.from(text))),
      fc.constant(Uint8Array.of(0xef, 0xbf, 0xbd)),
    )
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 6 }), (pieces) => {
        const stream = new Utf8Stream()
        const text = pieces.map((piece) => stream.push(piece)).join('') + stream.flush()
        const whole = Buffer.concat(pieces)
        expect(text).toBe(whole.toString('utf8'))
        const kept = whole.toString('latin1').split('\xef\xbf\xbd').length
        expect(stream.replacements).toBe(text.split('\ufffd').length - kept)
      }),
      { numRuns: 2000 },
    )
  })
})
