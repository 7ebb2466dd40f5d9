import { describe, expect, it } from 'vitest'
import { createShellAnalyzer } from '../analysis/shell/index.js'
import { Secret, type ShellCommand, type TerminalCommand } from '../core/index.js'
import { createMasking } from '../masking/index.js'
import { createPolicy } from '../policy/index.js'
import {
  createRecorder,
  exportAsciicast,
  formatEntry,
  MemoryRecordStore,
  replayRecording,
  segmentName,
} from '../recording/index.js'
import { settle, silent, verdict, world } from './enforcement.test-support.js'

/** The real layers together for a shell, without a wire. */

const policy = createPolicy({
  rules: [
    { id: 'no-wreckage', effect: 'deny', match: { hazards: ['destructive-delete'] }, message: 'not here' },
    { id: 'ask-restart', effect: 'hold', match: { programs: ['systemctl'] }, hold: { approverGroups: ['dba'] } },
    {
      id: 'shells',
      effect: 'allow',
      match: { kinds: ['terminal'] },
      terminal: 'guarded',
      recordLevel: 'full',
      mask: { detectors: [{ detector: 'email', strategy: 'redact' }] },
    },
    {
      id: 'looking',
      effect: 'allow',
      match: { kinds: ['shell'], text: 'ls --token=.*' },
      recordLevel: 'full',
      mask: { detectors: [{ detector: 'email', strategy: 'redact' }] },
    },
  ],
})

const terminal: TerminalCommand = {
  id: 1,
  protocol: 'ssh',
  channelId: 1,
  kind: 'terminal',
  via: 'shell',
  text: 'interactive shell',
  environment: [],
  hasTerminal: true,
}

describe('the layers together for a shell', () => {
  it('REC-5 TTY-1 decide on each line, hold, mask and record, and the record plays without a secret', async () => {
    let nowUnixMs = 1_000_000
    const clock = { nowUnixMs: () => nowUnixMs++ }
    const store = new MemoryRecordStore()
    const recorder = createRecorder({ store, durability: 'durable', clock, schedule: () => silent })
    const masking = createMasking({ key: new Secret(Buffer.alloc(32, 1)) })
    const here = world({ policy, recorder, masking, shellAnalyzer: createShellAnalyzer(), recordInput: true, clock })
    const { session, broker } = here

    const shell = await session.judge(terminal, silent)
    expect(shell).toMatchObject({ permitted: true, obligations: { terminal: 'guarded', recordLevel: 'full' } })
    const masker = shell.permitted ? shell.obligations.masker?.stream?.({ maxHoldBackBytes: 65_536 }) : undefined
    session.resized(1, { columns: 80, rows: 24 })

    const line = (id: number, text: string): ShellCommand => ({
      ...terminal,
      id,
      kind: 'shell',
      via: 'line',
      text,
      facts: session.shellAnalyzer.analyze(text),
    })
    const show = (bytes: Uint8Array | undefined): void => {
      if (bytes !== undefined && bytes.length > 0) session.output(1, 'stdout', bytes)
    }
    session.input(1, Buffer.from('ls --token=hunter2\r'), { isEchoed: true })
    expect(await verdict(session.judge(line(2, 'ls --token=hunter2'), silent))).toBe('permitted')
    for (const piece of ['to: ann@ma', 'il.example\r\n']) show(masker?.push(Buffer.from(piece)))
    show(masker?.flush())
    expect(await session.judge(line(3, 'sudo rm -rf /etc'), silent)).toMatchObject({
      permitted: false,
      denial: { ruleId: 'no-wreckage', message: 'not here' },
    })
    expect(await verdict(session.judge(line(4, 'ls "'), silent))).toBe('unparsed')
    const held = session.judge(line(5, 'systemctl restart web'), silent)
    await settle()
    const { id = '', effects } = { ...broker.list()[0], ...broker.get(broker.list()[0]?.id ?? '') }
    expect(effects?.join('\n')).toContain('runs: systemctl')
    session.withdraw(5)
    expect(await verdict(held)).toBe('withdrawn')
    expect(broker.get(id)).toBeUndefined()
    session.answered(1, { outcome: 'completed', tags: [], rows: 0, bytes: 9, exitCode: 0 })
    await session.end('bye')
    expect(session.failure).toBeUndefined()

    const source = store.bytes(segmentName(session.id, 1))
    expect(source.toString('latin1')).not.toMatch(/hunter2|ann@/)
    const shown: string[] = []
    const reader = replayRecording([source])
    for (let step = await reader.next(); ; step = await reader.next()) {
      if (step.done === true) {
        expect(step.value.ok).toBe(true)
        break
      }
      shown.push(...formatEntry(step.value))
    }
    expect(shown.join('\n')).toContain('REFUSED (rule) by rule no-wreckage')
    let cast = ''
    for await (const part of exportAsciicast(replayRecording([source]))) cast += part
    expect(cast).toContain('"m", "REFUSED: sudo rm -rf /etc"')
    expect(cast).toContain('"m", "ls --token=[redacted]"')
    expect(cast).toContain('"x", "0"')
  })
})
