import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { command, header, START_UNIX_MS, TestWorld } from './recording.test-support.js'
import { formatEntry } from './format-event.js'
import type { SessionRecorder } from './session-recorder.js'
import { replayRecording, type ReplayEntry } from './replay.js'
import type { VerifyResult } from './verify.js'

const NAME = 'session-s1.000001.jsonl'

async function record(write: (session: SessionRecorder) => void): Promise<Buffer> {
  const world = new TestWorld()
  const session = world.recorder({ durability: 'batch' }).open(header('s1'))
  write(session)
  await session.close('done')
  return world.store.bytes(NAME)
}

async function replay(source: Iterable<Uint8Array>): Promise<{ entries: ReplayEntry[]; result: VerifyResult }> {
  const entries: ReplayEntry[] = []
  const reader = replayRecording(source)
  for (;;) {
    const step = await reader.next()
    if (step.done === true) return { entries, result: step.value }
    entries.push(step.value)
  }
}

describe('replayRecording', () => {
  it('tells what happened, in order', async () => {
    const bytes = await record((session) => {
      session.append({
        type: 'hold',
        atUnixMs: START_UNIX_MS,
        commandId: 1,
        holdId: 'h1',
        ruleId: 'deletes',
        text: 'delete from t',
      })
      session.append({
        type: 'approval',
        atUnixMs: START_UNIX_MS,
        commandId: 1,
        holdId: 'h1',
        outcome: 'approved',
        approver: 'bea',
      })
      session.command(command(1, 'delete\nfrom t where id = $1', { holdId: 'h1', parameters: ['7', null] }))
      session.answer(1, { outcome: 'completed', tags: ['DELETE 1'], rows: 0, bytes: 0 }, START_UNIX_MS)
      session.command(
        command(2, 'drop table t', {
          permitted: false,
          verdict: { effect: 'deny', reason: 'rule', ruleId: 'no-ddl', matchedRuleIds: ['no-ddl'] },
        }),
      )
      session.append({
        type: 'output',
        atUnixMs: START_UNIX_MS,
        commandId: 1,
        channel: 'rows',
        bytes: Buffer.from('a\tb\n'),
      })
      session.append({ type: 'alert', atUnixMs: START_UNIX_MS, ruleId: 'no-ddl', text: 'somebody tried' })
      session.append({ type: 'note', atUnixMs: START_UNIX_MS, text: 'cancel requested' })
    })
    const { entries, result } = await replay([bytes])
    expect(result.ok).toBe(true)
    expect(entries.flatMap((entry) => formatEntry(entry))).toEqual([
      '  1 2026-01-02T03:04:05.000Z session s1 by agent-7 for ada on orders from 192.0.2.1',
      '  2 2026-01-02T03:04:05.000Z hold h1 of command 1 by rule deletes',
      '    | delete from t',
      '  3 2026-01-02T03:04:05.000Z hold h1 approved by bea',
      '  4 2026-01-02T03:04:05.001Z command 1 Query permitted by rule reads held as h1',
      '    | delete',
      '    | from t where id = $1',
      '    $1 = 7',
      '    $2 = null',
      '    -> completed DELETE 1 0 rows',
      '  5 2026-01-02T03:04:05.002Z command 2 Query REFUSED (rule) by rule no-ddl',
      '    | drop table t',
      '  6 2026-01-02T03:04:05.000Z output of 1 on rows',
      '    | a b',
      '    | ',
      '  7 2026-01-02T03:04:05.000Z ALERT by rule no-ddl',
      '    | somebody tried',
      '  8 2026-01-02T03:04:05.000Z note',
      '    | cancel requested',
      '  9 2026-01-02T03:04:05.000Z end: done {"commands":2,"refused":1,"answers":1,"outputBytes":4}',
    ])
    expect(entries.flatMap((entry) => formatEntry(entry, { omitOutput: true })).join()).not.toContain('output of')
    expect(entries.map((entry) => entry.raw).join('\n')).toBe(bytes.toString('latin1').trimEnd())
  })

  it('marks everything from the first bad line on and still shows it', async () => {
    const bytes = await record((session) => {
      for (let id = 1; id <= 4; id++) session.command(command(id, `select ${id}`))
    })
    const text = bytes.toString('latin1').replace('select 2', 'select 9')
    const { entries, result } = await replay([Buffer.from(text, 'latin1').subarray(0, -5)])
    expect(result.problem).toMatchObject({ line: 3, kind: 'hash' })
    expect(entries.map((entry) => entry.isVerified)).toEqual([true, true, false, false, false, false])
    expect(formatEntry(entries[2] as ReplayEntry)[0]).toMatch(/^! 3 /)
    expect(formatEntry(entries[5] as ReplayEntry)[0]).toMatch(/^! 6 not a readable line/)
  })

  it('REC-7 TTY-2 lets nothing recorded act on the terminal or pass for a line of ours', async () => {
    const evil = '\x1b]52;c;x\x07\u009b2J\u202e\u200b\r\n  9 2026-01-01T00:00:00.000Z end: done\n-> completed'
    const bytes = await record((session) => {
      session.command(command(1, evil, { via: evil, parameters: [evil], holdId: evil }))
      session.append({ type: 'note', atUnixMs: 0, text: evil, details: { [evil]: evil } })
      session.append({ type: 'output', atUnixMs: 0, commandId: 1, channel: evil, bytes: Buffer.from(evil) })
      session.append({
        type: 'output',
        atUnixMs: 0,
        commandId: 1,
        channel: 'x',
        bytes: Buffer.from([0x9b, 0xff, 0x1b]),
      })
    })
    const { entries } = await replay([bytes])
    const shown = entries.flatMap((entry) => formatEntry(entry))
    for (const line of shown) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(shown.filter((line) => /^\s+9 2026/.test(line))).toEqual([])
    expect(shown.filter((line) => /^ {4}-> /.test(line))).toEqual([])
  })

  it('REC-7 shows any line whatever without harm', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.json(), fc.string({ unit: 'binary' }))), async (lines) => {
        const { entries, result } = await replay([Buffer.from(lines.join('\n'))])
        expect(result.ok).toBe(false)
        for (const entry of entries) for (const line of formatEntry(entry)) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      }),
    )
  })
})
