import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { command, header, START_UNIX_MS, TestWorld } from './recording.test-support.js'
import { completeLine, GENESIS_HASH, lineHash } from './line.js'
import { verifyRecording, type VerifyResult } from './verify.js'
import { verifySegments } from './verify-segments.js'

let bytes: Buffer
let other: Buffer
let lines: readonly string[]
let head: string

async function record(sessionId: string): Promise<{ bytes: Buffer; head: string }> {
  const world = new TestWorld()
  const session = world.recorder({ durability: 'batch' }).open(header(sessionId))
  for (let id = 1; id <= 8; id++) session.command(command(id, `select ${id} -- ünïcode`))
  session.append({ type: 'note', atUnixMs: START_UNIX_MS + 9, text: 'note', details: { a: 1 } })
  await session.close('done')
  return { bytes: world.store.bytes(`session-${sessionId}.000001.jsonl`), head: session.head }
}

beforeAll(async () => {
  const recorded = await record('s1')
  bytes = recorded.bytes
  head = recorded.head
  other = (await record('s2')).bytes
  lines = bytes.toString('latin1').split('\n').slice(0, -1)
})

function verifyLines(list: readonly string[]): Promise<VerifyResult> {
  return verifyRecording([Buffer.from(`${list.join('\n')}\n`, 'latin1')])
}

/** The line with other members and a hash that fits it, as one who knows the format would make it. */
function forged(line: string, change: (body: string) => string, previous: string): string {
  const body = change(line.slice(0, line.lastIndexOf(',"hash":"')))
  return completeLine(body, lineHash(previous, body)).trimEnd()
}

function hashOf(line: string | undefined): string {
  return line === undefined ? GENESIS_HASH : line.slice(-66, -2)
}

describe('verifyRecording', () => {
  it('accepts a recording, however its bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), async (sizes) => {
        const chunks: Buffer[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length] ?? 1
          chunks.push(bytes.subarray(at, at + size))
          at += size
        }
        expect(await verifyRecording(chunks)).toMatchObject({
          ok: true,
          closed: true,
          ending: 'end',
          lines: lines.length,
          head,
        })
      }),
    )
  })

  it('REC-3 notices any change of any byte and names its line', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), async (where, change) => {
        const at = where % bytes.length
        const mutated = Buffer.from(bytes)
        mutated[at] = (mutated[at] ?? 0) ^ change
        const result = await verifyRecording([mutated])
        expect(result.ok).toBe(false)
        const line = bytes.subarray(0, at).toString('latin1').split('\n').length
        expect(result.problem?.line).toBe(line)
      }),
      { numRuns: 2_000 },
    )
  })

  it('REC-3 notices every flipped bit of every byte', async () => {
    for (let at = 0; at < bytes.length; at++) {
      const mutated = Buffer.from(bytes)
      mutated[at] = (mutated[at] ?? 0) ^ (1 << (at % 8))
      expect((await verifyRecording([mutated])).ok).toBe(false)
    }
  })

  it('REC-3 notices a dropped line and names where it is missing', async () => {
    for (let i = 0; i < lines.length; i++) {
      const result = await verifyLines(lines.filter((_, each) => each !== i))
      expect(result.ok).toBe(false)
      // Without its last line a recording is unclosed there; else the next line stands in the dropped one's place.
      expect(result.problem).toMatchObject(
        i === lines.length - 1 ? { kind: 'unclosed', line: i } : { kind: 'order', line: i + 1 },
      )
    }
  })

  it('REC-3 notices a repeated line, wherever it is put', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(lines.length - 1), fc.nat(lines.length), async (from, to) => {
        const list = [...lines]
        list.splice(to, 0, lines[from] ?? '')
        const result = await verifyLines(list)
        // Put directly in front of itself, the second of the two is the one too many.
        expect(result.problem?.line).toBe((from === to ? to + 1 : to) + 1)
      }),
    )
  })

  it('REC-3 notices two lines that changed places and names the first', async () => {
    for (let i = 0; i < lines.length; i++) {
      for (let j = i + 1; j < lines.length; j++) {
        const list = [...lines]
        list[i] = lines[j] ?? ''
        list[j] = lines[i] ?? ''
        expect((await verifyLines(list)).problem?.line).toBe(i + 1)
      }
    }
  })

  it('REC-3 notices a tail cut off at any byte', async () => {
    for (let length = 0; length < bytes.length; length++) {
      const result = await verifyRecording([bytes.subarray(0, length)])
      expect(result.ok).toBe(false)
      expect(['empty', 'torn-tail', 'unclosed']).toContain(result.problem?.kind)
    }
  })

  it('REC-3 notices lines of another session', async () => {
    const others = other.toString('latin1').split('\n').slice(0, -1)
    for (let i = 0; i < lines.length; i++) {
      const list = [...lines]
      list[i] = others[i] ?? ''
      // Line for line the sessions differ from the first on, so the chain breaks where the strange line begins, or behind a strange header.
      expect((await verifyLines(list)).problem).toMatchObject({ kind: 'hash', line: i === 0 ? 2 : i + 1 })
    }
    const result = await verifyRecording([other], { sessionId: 's1' })
    expect(result.problem?.kind).toBe('session')
  })

  it('REC-3 notices an inserted line even when its own hash fits', async () => {
    for (let i = 1; i < lines.length; i++) {
      const list = [...lines]
      list.splice(
        i,
        0,
        forged(lines[i] ?? '', (body) => body, hashOf(lines[i - 1])),
      )
      expect((await verifyLines(list)).problem?.line).toBe(i + 2)
    }
  })

  it('REC-3 notices an edited line with a fitting hash at the line behind it', async () => {
    const list = [...lines]
    list[3] = forged(lines[3] ?? '', (body) => body.replace('select 3', 'select 9'), hashOf(lines[2]))
    expect((await verifyLines(list)).problem).toMatchObject({ kind: 'hash', line: 5 })
  })

  it('REC-3 notices a recording rewritten or rolled back as a whole, given its head', async () => {
    let previous = GENESIS_HASH
    const rewritten = lines.map((line) => {
      const made = forged(line, (body) => body.replace('select 3', 'select 9'), previous)
      previous = hashOf(made)
      return made
    })
    expect((await verifyLines(rewritten)).ok).toBe(true)
    const result = await verifyRecording([Buffer.from(`${rewritten.join('\n')}\n`)], { head })
    expect(result.problem?.kind).toBe('head')
    const rolledBack = await verifyRecording([Buffer.from(`${lines.slice(0, 4).join('\n')}\n`)], {
      head,
      allowUnclosed: true,
    })
    expect(rolledBack.problem?.kind).toBe('head')
  })

  it('REC-3 notices what follows the end marker', async () => {
    expect((await verifyLines([...lines, lines[1] ?? ''])).problem).toMatchObject({
      kind: 'after-end',
      line: lines.length + 1,
    })
    const result = await verifyRecording([bytes, Buffer.from('x')])
    expect(result.problem).toMatchObject({ kind: 'after-end', line: lines.length + 1 })
  })

  it('REC-3 says where the clock was set back', async () => {
    const world = new TestWorld()
    const session = world.recorder().open(header('s1'))
    session.command(command(1, 'select 1', { atUnixMs: START_UNIX_MS + 5_000 }))
    session.command(command(2, 'select 2', { atUnixMs: START_UNIX_MS + 1_000 }))
    await session.close('done')
    const result = await verifyRecording(world.store.read('session-s1.000001.jsonl'))
    expect(result).toMatchObject({ ok: true, clockSetBack: { line: 3, byMs: 4_000 } })
  })

  it('accepts an unclosed recording only when told to', async () => {
    const open = lines.slice(0, 5)
    expect(await verifyLines(open)).toMatchObject({ ok: false, closed: false, problem: { kind: 'unclosed', line: 5 } })
    const source = [Buffer.from(`${open.join('\n')}\n`)]
    expect(await verifyRecording(source, { allowUnclosed: true })).toMatchObject({ ok: true, closed: false, lines: 5 })
  })

  it('bounds what it keeps of a line', async () => {
    const result = await verifyRecording([Buffer.alloc(5_000, 'x'), Buffer.alloc(6_000, 'x')], { maxLineBytes: 10_000 })
    expect(result.problem).toMatchObject({ kind: 'oversized', line: 1 })
  })

  it('survives garbage', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 })), async (chunks) => {
        expect((await verifyRecording(chunks)).ok).toBe(false)
      }),
    )
  })

  it('does not take the segment of another session as the next one', async () => {
    expect((await verifySegments([[bytes], [other]])).problem).toMatchObject({ source: 1, kind: 'segment' })
    expect((await verifySegments([])).ok).toBe(false)
  })
})
