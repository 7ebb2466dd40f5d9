import { describe, expect, it } from 'vitest'
import type { ShellFacts } from '../core/index.js'
import { textCommitment, commitmentKeyOf } from './commitment.js'
import { formatEntry } from './format-event.js'
import { command, header, START_UNIX_MS, TestWorld } from './recording.test-support.js'
import { replayRecording } from './replay.js'
import type { SessionRecorder } from './session-recorder.js'
import { verifyRecording } from './verify.js'

const NAME = 'session-s1.000001.jsonl'
const at = (ms: number): { atUnixMs: number; commandId: number } => ({ atUnixMs: START_UNIX_MS + ms, commandId: 1 })

const FACTS: ShellFacts = {
  certainty: 'conservative',
  commands: [
    {
      program: 'rm',
      word: '/bin/rm',
      arguments: ['-rf', '/etc'],
      flags: ['force', 'recursive'],
      operands: ['/etc'],
      assignments: [{ name: 'PGPASSWORD', value: 'hunter2' }],
      wrappers: ['sudo'],
      isRemote: false,
      certainty: 'exact',
    },
  ],
  files: [{ path: '/etc', modes: ['delete'], isRecursive: true, isExact: true }],
  network: [{ host: 'x.example', port: 443, direction: 'connect' }],
  isPrivileged: true,
  hazards: ['destructive-delete'],
}

/** One of every event there is for streams. */
function writeAll(session: SessionRecorder): void {
  session.command(
    command(1, 'PGPASSWORD=hunter2 sudo /bin/rm -rf /etc', {
      kind: 'shell',
      via: 'exec',
      detail: { channelId: 3, hasTerminal: true, environment: ['LANG', 'AWS_SECRET'], facts: FACTS },
    }),
  )
  session.append({ type: 'resize', ...at(1), columns: 80, rows: 24 })
  session.append({ type: 'input', ...at(2), bytes: Buffer.from('mysql -phunter2\r') })
  session.append({ type: 'input', ...at(3), bytes: Buffer.from([0x1b, 0x5b, 0xff]) })
  session.append({ type: 'input', ...at(4), isHidden: true })
  session.append({ type: 'detected', ...at(5), text: 'mysql -phunter2' })
  session.append({ type: 'output', ...at(6), channel: 'stderr', bytes: Buffer.from([0x80, 0x0a]) })
  session.append({
    type: 'transfer',
    ...at(7),
    direction: 'write',
    path: '/tmp/\u202ea',
    bytes: 5,
    sha256: 'ab'.repeat(32),
    runs: [{ offset: 2, bytes: 5 }],
    omittedRuns: 0,
  })
  session.append({
    type: 'content',
    ...at(8),
    direction: 'write',
    offset: 2,
    bytes: Buffer.from('hé'),
  })
  session.append({
    type: 'hold',
    ...at(9),
    holdId: 'h',
    kind: 'shell',
    text: 'sshpass -p hunter2 ssh h',
  })
  session.command(
    command(2, 'open /etc/shadow for reading', {
      kind: 'sftp',
      via: 'sftp',
      detail: {
        operation: 'open',
        files: [{ path: '/etc/shadow', modes: ['read'], isRecursive: false, isExact: true }],
      },
    }),
  )
  session.command(
    command(3, 'connect to 10.0.0.1:22', {
      kind: 'port-forward',
      via: 'direct-tcpip',
      detail: { direction: 'local', host: '10.0.0.1', port: 22 },
    }),
  )
  session.command(command(4, 'env LANG=C', { kind: 'ssh-request', via: 'env', detail: { name: 'LANG' } }))
  session.answer(1, { outcome: 'completed', tags: [], rows: 0, bytes: 2, exitCode: 3 }, START_UNIX_MS + 20)
  session.answer(2, { outcome: 'failed', tags: [], rows: 0, bytes: 0, signal: 'KILL' }, START_UNIX_MS + 21)
}

async function recordAll(): Promise<{ bytes: Buffer; lines: Record<string, unknown>[] }> {
  const world = new TestWorld()
  const session = world.recorder({ durability: 'batch', commitmentKey: Buffer.from('operator') }).open(header('s1'))
  writeAll(session)
  await session.close('done')
  return { bytes: world.store.bytes(NAME), lines: world.lines(NAME) }
}

describe('a recording of shells, files and channels', () => {
  it('has one line for each event, which all verify', async () => {
    const { bytes, lines } = await recordAll()
    expect(await verifyRecording([bytes])).toMatchObject({ ok: true, lines: 15 })
    expect(lines[1]).toMatchObject({
      type: 'command',
      kind: 'shell',
      via: 'exec',
      text: 'PGPASSWORD=[redacted] sudo /bin/rm -rf /etc',
      redacted: true,
      channelId: 3,
      hasTerminal: true,
      environment: ['LANG', 'AWS_SECRET'],
      facts: {
        certainty: 'conservative',
        programs: ['rm'],
        hazards: ['destructive-delete'],
        files: [{ path: '/etc', modes: ['delete'], isRecursive: true }],
        network: [{ host: 'x.example', port: 443, direction: 'connect' }],
        isPrivileged: true,
      },
      answer: { at: START_UNIX_MS + 20, outcome: 'completed', exitCode: 3 },
    })
    expect(lines.slice(2, 11).map(({ seq: _seq, hash: _hash, ...rest }) => rest)).toEqual([
      { type: 'resize', at: START_UNIX_MS + 1, commandId: 1, columns: 80, rows: 24 },
      { type: 'input', at: START_UNIX_MS + 2, commandId: 1, utf8: 'mysql -p[redacted]\r', redacted: true },
      { type: 'input', at: START_UNIX_MS + 3, commandId: 1, base64: 'G1v/' },
      { type: 'input', at: START_UNIX_MS + 4, commandId: 1, isHidden: true },
      { type: 'detected', at: START_UNIX_MS + 5, commandId: 1, text: 'mysql -p[redacted]' },
      { type: 'output', at: START_UNIX_MS + 6, commandId: 1, channel: 'stderr', base64: 'gAo=' },
      {
        type: 'transfer',
        at: START_UNIX_MS + 7,
        commandId: 1,
        direction: 'write',
        path: '/tmp/\u202ea',
        bytes: 5,
        sha256: 'ab'.repeat(32),
        runs: [{ offset: 2, bytes: 5 }],
      },
      {
        type: 'content',
        at: START_UNIX_MS + 8,
        commandId: 1,
        direction: 'write',
        offset: 2,
        utf8: 'hé',
      },
      {
        type: 'hold',
        at: START_UNIX_MS + 9,
        commandId: 1,
        holdId: 'h',
        kind: 'shell',
        text: 'sshpass -p [redacted] ssh h',
      },
    ])
    expect(lines[11]).toMatchObject({ kind: 'sftp', operation: 'open', files: [{ path: '/etc/shadow' }] })
    expect(lines[12]).toMatchObject({ kind: 'port-forward', direction: 'local', host: '10.0.0.1', port: 22 })
    expect(lines[13]).toMatchObject({ kind: 'ssh-request', via: 'env', name: 'LANG' })
  })

  it('REC-5 has no secret in it, and commits to the exact line', async () => {
    const { bytes, lines } = await recordAll()
    expect(bytes.toString('latin1')).not.toContain('hunter2')
    const key = commitmentKeyOf('s1', Buffer.from('operator'))
    expect(lines[1]?.['textCommitment']).toBe(textCommitment('PGPASSWORD=hunter2 sudo /bin/rm -rf /etc', key))
  })

  it('REC-3 names the line of whatever was changed', async () => {
    const { bytes } = await recordAll()
    const lines = bytes.toString('latin1').trimEnd().split('\n')
    for (let i = 0; i < lines.length; i++) {
      const changed = lines.map((line, index) => (index === i ? line.replace(/"at":(\d)/, '"at":9') : line))
      const { problem } = await verifyRecording([Buffer.from(`${changed.join('\n')}\n`, 'latin1')])
      expect(problem).toMatchObject({ line: i + 1, kind: 'hash' })
    }
  })

  it('TTY-2 REC-7 is shown without any of it acting on a terminal', async () => {
    const { bytes } = await recordAll()
    const shown: string[] = []
    for await (const entry of replayRecording([bytes])) shown.push(...formatEntry(entry))
    for (const line of shown) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    const text = shown.map((line) => line.replace(/2026-\S+Z /, '')).join('\n')
    expect(text).toContain(`  2 command 1 shell exec permitted by rule reads
    | PGPASSWORD=[redacted] sudo /bin/rm -rf /etc
    channel 3 with a terminal environment LANG, AWS_SECRET
    conservative runs rm hazards destructive-delete files delete /etc and below as somebody else
    -> completed exit code 3 2 bytes`)
    expect(text).toContain(`  3 terminal of 1 is 80 x 24
  4 input of 1
    | mysql -p[redacted]\\u{d}
  5 input of 1, 3 bytes
    | \\u{1b}[ÿ
  6 input of 1 while nothing was echoed: not recorded
  7 seen in the terminal of 1
    | mysql -p[redacted]
  8 output of 1 on stderr, 2 bytes
    | \\u{80}
    | 
  9 file of 1 write, 5 bytes from 2 sha256 ${'ab'.repeat(32)}
    | /tmp/\\u{202e}a
  10 content of 1 write at 2
    | hé`)
    expect(text).toContain('command 4 ssh-request env permitted')
  })

  it('copies the bytes it is given', async () => {
    const world = new TestWorld()
    const session = world.recorder({ durability: 'batch' }).open(header('s1'))
    const bytes = Buffer.from('abc')
    session.append({ type: 'input', ...at(0), bytes })
    session.append({ type: 'content', ...at(0), direction: 'read', offset: 0, bytes })
    bytes.fill(0x7a)
    await session.close('done')
    expect(world.lines(NAME).map((line) => line['utf8'])).toEqual([undefined, 'abc', 'abc', undefined])
  })

  it('keeps apart what two commands of one text differ in', async () => {
    const world = new TestWorld()
    const session = world.recorder({ durability: 'batch' }).open(header('s1'))
    for (let id = 1; id <= 4; id++) {
      session.command(command(id, 'ls', { kind: 'shell', detail: { channelId: id } }))
    }
    await session.close('done')
    expect(world.lines(NAME).map((line) => line['channelId'])).toEqual([undefined, 1, 2, 3, 4, undefined])
  })
})
