import { describe, expect, it } from 'vitest'
import { SallyportError, type CommandAnswer, type SqlFacts } from '../core/index.js'
import { commitmentKeyOf, textCommitment } from './commitment.js'
import { command, header, START_UNIX_MS, TestWorld } from './recording.test-support.js'
import type { RecordStore, SegmentWriter } from './store.js'
import type { CommandEvent } from './types.js'
import { verifyRecording } from './verify.js'
import { verifySegments } from './verify-segments.js'

const DONE: CommandAnswer = { outcome: 'completed', tags: ['SELECT 1'], rows: 1, bytes: 20 }
const FIRST = 'session-s1.000001.jsonl'

const FACTS: SqlFacts = {
  certainty: 'exact',
  statements: [],
  class: 'read',
  verbs: ['select'],
  tables: [{ schema: 'public', table: 'orders', modes: ['read'] }],
  columns: [],
  functions: [
    { name: 'lower', volatility: 'immutable', hazards: [] },
    { name: 'f', volatility: 'unknown', hazards: [] },
  ],
  hasWhere: true,
  touchesFiles: false,
  touchesPrograms: false,
  isDynamic: false,
  launders: [],
  mayChangeSession: false,
  shape: 'select 1',
}

/** A store whose writes do what the test says. */
function storeWith(writer: Partial<SegmentWriter>, world: TestWorld): RecordStore {
  const { store } = world
  return {
    openSegment: async (name) => ({ ...(await store.openSegment(name)), ...writer }),
    read: (name) => store.read(name),
    list: () => store.list(),
    replaceTail: (name, keep, bytes) => store.replaceTail(name, keep, bytes),
  }
}

describe('a session recorder', () => {
  it('writes a header, one line per command with its answer in it, and an end marker', async () => {
    const world = new TestWorld()
    const session = world.recorder({ durability: 'batch' }).open(header('s1'))
    session.command(command(1, 'select 1', { facts: FACTS, parameters: ['a', null] }))
    session.answer(1, DONE, START_UNIX_MS + 5)
    await session.close('client left')
    const [first, second, third, ...rest] = world.lines(FIRST)
    expect(first).toMatchObject({
      seq: 1,
      type: 'header',
      format: 'sallyport-recording',
      version: 1,
      sessionId: 's1',
      segment: 1,
    })
    expect(second).toMatchObject({
      seq: 2,
      type: 'command',
      id: 1,
      text: 'select 1',
      facts: { class: 'read', tables: [{ schema: 'public', table: 'orders', modes: ['read'] }], functions: ['f'] },
      parameters: ['a', null],
      effect: 'allow',
      ruleId: 'reads',
      permitted: true,
      answer: { at: START_UNIX_MS + 5, outcome: 'completed', tags: ['SELECT 1'], rows: 1, bytes: 20 },
    })
    expect(third).toMatchObject({ type: 'end', reason: 'client left', totals: { commands: 1, refused: 0, answers: 1 } })
    expect(rest).toEqual([])
    expect(session.head).toBe(third?.['hash'])
    expect(await verifyRecording(world.store.read(FIRST))).toMatchObject({
      ok: true,
      lines: 3,
      sessionId: 's1',
      head: session.head,
    })
  })

  it('gives an answer its own line when its command is written already', async () => {
    const world = new TestWorld()
    const session = world.recorder().open(header('s1'))
    session.command(command(1, 'select 1'))
    await session.flushed()
    session.command(command(2, 'select 2'))
    session.answer(1, DONE, START_UNIX_MS + 9)
    session.answer(2, { ...DONE, outcome: 'suspended' }, START_UNIX_MS + 9)
    session.answer(2, DONE, START_UNIX_MS + 9)
    await session.close('done')
    const lines = world.lines(FIRST)
    expect(lines.map((line) => line['type'])).toEqual(['header', 'command', 'command', 'answer', 'answer', 'end'])
    expect(lines[2]).toMatchObject({ id: 2, answer: { outcome: 'suspended' } })
    expect(lines[3]).toMatchObject({ commandId: 1, outcome: 'completed' })
    expect(lines[4]).toMatchObject({ commandId: 2, outcome: 'completed' })
  })

  it('joins every answer of a pipeline with its own command, refused ones in between', async () => {
    const world = new TestWorld()
    const session = world.recorder({ durability: 'batch' }).open(header('s1'))
    for (let id = 1; id <= 50; id++) session.command(command(id, `select ${id}`, { permitted: id % 3 !== 0 }))
    for (let id = 1; id <= 50; id++) if (id % 3 !== 0) session.answer(id, { ...DONE, rows: id }, START_UNIX_MS)
    await session.close('done')
    for (const line of world.lines(FIRST).slice(1, -1)) {
      const id = line['id'] as number
      expect((line['answer'] as { rows: number } | undefined)?.rows).toBe(id % 3 === 0 ? undefined : id)
    }
  })

  it('writes what has gathered after the batch time, with one timer for all sessions and none at rest', async () => {
    const world = new TestWorld()
    const recorder = world.recorder({ durability: 'batch', batchMs: 50 })
    const sessions = ['a', 'b', 'c'].map((id) => recorder.open(header(id)))
    await world.tick()
    expect(world.timers).toEqual([])
    for (const session of sessions) session.command(command(1, 'select 1'))
    expect(world.timers.map((timer) => timer.delayMs)).toEqual([50])
    await world.tick()
    for (const id of ['a', 'b', 'c']) expect(world.lines(`session-${id}.000001.jsonl`)).toHaveLength(2)
    expect(world.timers).toEqual([])
  })

  it('writes at once when enough has gathered', async () => {
    const world = new TestWorld()
    const session = world.recorder({ durability: 'batch', batchBytes: 10_000 }).open(header('s1'))
    for (let id = 1; id <= 200; id++) session.command(command(id, 'select 1'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(world.lines(FIRST).length).toBeGreaterThan(150)
    await session.close('done')
    expect(world.lines(FIRST)).toHaveLength(202)
  })

  it('lets those who wait for the disk share its syncs', async () => {
    const world = new TestWorld()
    let syncs = 0
    let inFlight = 0
    const sync = async (): Promise<void> => {
      syncs++
      expect(++inFlight).toBe(1)
      await new Promise((resolve) => setTimeout(resolve, 5))
      inFlight--
    }
    const session = world.recorder({ store: storeWith({ sync }, world) }).open(header('s1'))
    const waits: Promise<void>[] = []
    for (let id = 1; id <= 100; id++) {
      session.command(command(id, `select ${id}`))
      waits.push(session.flushed())
    }
    await Promise.all(waits)
    expect(syncs).toBeLessThanOrEqual(2)
    await session.flushed()
    expect(syncs).toBeLessThanOrEqual(2)
  })

  it('rotates by size and by time, and the segments verify as one', async () => {
    const world = new TestWorld()
    const session = world.recorder({ maxSegmentBytes: 3_000, maxSegmentMs: 60_000 }).open(header('s1'))
    for (let id = 1; id <= 20; id++) session.command(command(id, `select ${id}`))
    await session.flushed()
    const bySize = (await world.store.list()).length
    expect(bySize).toBeGreaterThan(2)
    world.now += 60_000
    session.command(command(21, 'select 21'))
    await session.close('done')
    const names = await world.store.list()
    expect(names).toHaveLength(bySize + 1)
    const sources = names.map((name) => [world.store.bytes(name)])
    const result = await verifySegments(sources)
    expect(result).toMatchObject({ ok: true, sessionId: 's1', head: session.head })
    const texts = names
      .flatMap((name) => world.lines(name).map((line) => line['text']))
      .filter((text) => text !== undefined)
    expect(texts).toEqual(Array.from({ length: 21 }, (_, i) => `select ${i + 1}`))

    for (let missing = 0; missing < sources.length; missing++) {
      const partial = await verifySegments(sources.filter((_, i) => i !== missing))
      expect(partial.ok).toBe(false)
      expect(partial.problem?.kind).toBe('segment')
    }
  })

  it('cannot be appended to once it is closed', async () => {
    const world = new TestWorld()
    const session = world.recorder().open(header('s1'))
    const closed = session.close('done')
    expect(session.close('again')).toBe(closed)
    expect(() => session.command(command(1, 'select 1'))).toThrow(SallyportError)
    await closed
    await session.flushed()
    expect(() => session.answer(1, DONE, 0)).toThrow(SallyportError)
    await world.tick()
    expect(world.lines(FIRST)).toHaveLength(2)
  })

  it('REC-1 fails for good when the store cannot write, and says so everywhere', async () => {
    const world = new TestWorld()
    let isFull = false
    const write = async (): Promise<void> => {
      if (isFull) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    }
    const session = world.recorder({ store: storeWith({ write }, world) }).open(header('s1'))
    const told: SallyportError[] = []
    session.onFailure((failure) => told.push(failure))
    await session.flushed()
    isFull = true
    session.command(command(1, 'select 1'))
    await expect(session.flushed()).rejects.toMatchObject({ code: 'recorder_unavailable' })
    isFull = false
    session.command(command(2, 'select 2'))
    await expect(session.flushed()).rejects.toBe(session.failure)
    await expect(session.close('done')).rejects.toBe(session.failure)
    expect(told).toEqual([session.failure])
    session.onFailure((failure) => told.push(failure))
    expect(told).toHaveLength(2)
  })

  it('REC-1 fails when a batch cannot be written that nobody waits for', async () => {
    const world = new TestWorld()
    const write = async (): Promise<void> => {
      throw new Error('gone')
    }
    const session = world.recorder({ durability: 'batch', store: storeWith({ write }, world) }).open(header('s1'))
    const told: SallyportError[] = []
    session.onFailure((failure) => told.push(failure))
    await world.tick()
    expect(told).toHaveLength(1)
    expect(session.failure?.code).toBe('recorder_unavailable')
  })

  it('REC-1 fails rather than gather without end before a slow store', async () => {
    const world = new TestWorld()
    let release: () => void = () => undefined
    const writes: number[] = []
    const write = (bytes: Uint8Array): Promise<void> => {
      writes.push(bytes.length)
      return new Promise((resolve) => {
        release = resolve
      })
    }
    const recorder = world.recorder({
      durability: 'batch',
      maxPendingBytes: 20_000,
      store: storeWith({ write }, world),
    })
    const session = recorder.open(header('s1'))
    for (let id = 1; id <= 100; id++) session.command(command(id, 'select 1'))
    expect(session.failure?.code).toBe('recorder_unavailable')
    expect(session.pendingBytes).toBe(0)
    release()
    await world.tick()
    expect(writes.length).toBeLessThanOrEqual(1)
  })

  it('takes one command that is larger than everything allowed to wait', async () => {
    const world = new TestWorld()
    const session = world.recorder({ maxPendingBytes: 1_000 }).open(header('s1'))
    await session.flushed()
    session.command(command(1, `select '${'x'.repeat(100_000)}'`))
    await session.close('done')
    expect(await verifyRecording(world.store.read(FIRST))).toMatchObject({ ok: true, lines: 3 })
  })

  it('REC-2 keeps output bytes exactly, text or not, in order', async () => {
    const world = new TestWorld()
    const session = world.recorder({ durability: 'batch' }).open(header('s1'))
    const outputs = [
      Buffer.from('plain\r\n\x1b[31m\u202eöß\0'),
      Buffer.from([0xff, 0x00, 0xc3, 0x28]),
      Buffer.from('ö').subarray(0, 1),
      Buffer.from('ö').subarray(1),
      Buffer.alloc(100_000, 'ab'),
      Buffer.alloc(0),
      Buffer.from('\ufeffbom'),
    ]
    const reused = Buffer.alloc(100_000)
    for (const [index, bytes] of outputs.entries()) {
      bytes.copy(reused)
      const channel = index % 2 === 0 ? 'stdout' : 'stderr'
      session.append({
        type: 'output',
        atUnixMs: START_UNIX_MS,
        commandId: 1,
        channel,
        bytes: reused.subarray(0, bytes.length),
      })
      reused.fill(0)
    }
    await session.close('done')
    const read = world
      .lines(FIRST)
      .filter((line) => line['type'] === 'output')
      .map((line) =>
        line['utf8'] !== undefined
          ? Buffer.from(line['utf8'] as string)
          : Buffer.from(line['base64'] as string, 'base64'),
      )
    expect(read).toEqual(outputs)
    expect(world.store.bytes(FIRST).every((byte) => byte === 0x0a || (byte >= 0x20 && byte < 0x7f))).toBe(true)
  })

  it('REC-5 takes secrets out before hashing and commits the exact text', async () => {
    const world = new TestWorld()
    const operatorKey = Buffer.alloc(32, 7)
    const session = world.recorder({ commitmentKey: operatorKey }).open(header('s1'))
    const text = "ALTER ROLE app PASSWORD 'hunter2'"
    session.command(command(1, text))
    session.command(command(2, text))
    session.append({ type: 'hold', atUnixMs: START_UNIX_MS, commandId: 2, holdId: 'h', text })
    session.command(command(3, 'select 1'))
    await session.close('done')
    expect(world.store.bytes(FIRST).toString()).not.toContain('hunter2')
    const [, first, second, , third] = world.lines(FIRST)
    expect(first).toMatchObject({ text: "ALTER ROLE app PASSWORD '[redacted]'", redacted: true })
    expect(first?.['textCommitment']).toBe(textCommitment(text, commitmentKeyOf('s1', operatorKey)))
    expect(second?.['textCommitment']).toBe(first?.['textCommitment'])
    expect(textCommitment(text, commitmentKeyOf('s2', operatorKey))).not.toBe(first?.['textCommitment'])
    expect(third?.['redacted']).toBeUndefined()
  })

  it('never puts the text of another command on record, even when facts are shared', async () => {
    const world = new TestWorld()
    const session = world.recorder().open(header('s1'))
    session.command(command(1, 'select 1', { facts: FACTS }))
    session.command(command(2, 'select 2', { facts: FACTS }))
    await session.close('done')
    expect(world.lines(FIRST).map((line) => line['text'])).toEqual([undefined, 'select 1', 'select 2', undefined])
  })

  it('records what differs between two commands of one text', async () => {
    const world = new TestWorld()
    const session = world.recorder({ durability: 'batch' }).open(header('s1'))
    const denied = { effect: 'deny', reason: 'rule', ruleId: 'no', matchedRuleIds: ['no'] } as const
    const variants: Partial<CommandEvent>[] = [
      {},
      { permitted: false, verdict: denied },
      { transaction: 'failed' },
      { via: 'Bind', parameters: ['1'] },
      { via: 'Bind', parameters: ['2'] },
      { phase: 'prepare' },
      { kind: 'other' },
      { facts: FACTS },
      { permitted: false, refusal: 'approval-expired', holdId: 'h' },
    ]
    const events = Array.from({ length: 90 }, (_, i) => command(i + 1, 'select 1', variants[i % variants.length]))
    for (const event of events) session.command(event)
    await session.close('done')
    for (const [i, line] of world.lines(FIRST).slice(1, -1).entries()) {
      const { kind, via, phase, transaction, permitted, verdict, parameters, refusal, holdId } =
        events[i] ?? command(0, '')
      expect(line).toMatchObject({ id: i + 1, kind, via, phase, transaction, permitted, effect: verdict.effect })
      expect([line['ruleId'], line['parameters'], line['refusal'], line['holdId']]).toEqual([
        verdict.ruleId,
        parameters,
        refusal,
        holdId,
      ])
      expect(line['facts'] !== undefined).toBe(events[i]?.facts !== undefined)
    }
  })

  it('records thousands of different texts as they are', async () => {
    const world = new TestWorld()
    const session = world.recorder({ durability: 'batch', maxPendingBytes: 100_000_000 }).open(header('s1'))
    const texts = Array.from({ length: 30_000 }, (_, i) => `select ${i % 7_000}${i % 3 === 0 ? ' -- ü' : ''}`)
    for (const [i, text] of texts.entries()) session.command(command(i + 1, text))
    await session.close('done')
    expect(
      world
        .lines(FIRST)
        .slice(1, -1)
        .map((line) => line['text']),
    ).toEqual(texts)
  })

  it('REC-6 refuses a session id that was used before', async () => {
    const world = new TestWorld()
    const recorder = world.recorder()
    await recorder.open(header('s1')).close('done')
    const before = world.store.bytes(FIRST)
    await expect(recorder.open(header('s1')).flushed()).rejects.toMatchObject({ code: 'recorder_unavailable' })
    expect(world.store.bytes(FIRST)).toEqual(before)
  })

  it('refuses options that make no sense', () => {
    const world = new TestWorld()
    expect(() => world.recorder({ batchMs: 0 })).toThrow(SallyportError)
    expect(() => world.recorder({ maxPendingBytes: Number.NaN })).toThrow(SallyportError)
  })
})
