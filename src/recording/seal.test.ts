import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { command, header, TestWorld } from './recording.test-support.js'
import { looksClosed, MAX_KEPT_TORN_BYTES, sealRecording } from './seal.js'
import { verifyRecording } from './verify.js'
import { verifySegments } from './verify-segments.js'

const NAME = 'session-s1.000001.jsonl'

async function recorded(textLength = 10): Promise<Buffer> {
  const world = new TestWorld()
  const session = world.recorder({ durability: 'batch' }).open(header('s1'))
  for (let id = 1; id <= 4; id++) session.command(command(id, 'x'.repeat(textLength)))
  await session.close('done')
  return world.store.bytes(NAME)
}

describe('sealRecording', () => {
  it('REC-4 closes a recording cut off at any byte, keeps every good line and every torn byte', async () => {
    const bytes = await recorded()
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), async (length) => {
        const world = new TestWorld()
        const cut = bytes.subarray(0, length)
        world.store.put(NAME, cut)
        const before = await verifyRecording([cut])
        const sealed = await sealRecording(world.store, NAME, 5)
        expect(sealed.sealed).toBe(true)
        const after = world.store.bytes(NAME)
        expect(after.subarray(0, before.goodBytes)).toEqual(cut.subarray(0, before.goodBytes))
        expect(await verifyRecording([after])).toMatchObject({
          ok: true,
          ending: 'seal',
          lines: before.lines + 1,
          head: sealed.head,
        })
        const torn = cut.subarray(before.goodBytes)
        const seal = world.lines(NAME).at(-1)
        expect(sealed.tornBytes).toBe(torn.length)
        expect(Buffer.from((seal?.['torn'] as string | undefined) ?? '', 'base64')).toEqual(torn)
        if (torn.length > 0) expect(seal?.['tornSha256']).toBe(createHash('sha256').update(torn).digest('hex'))
        expect(looksClosed(after)).toBe(true)
        expect(await sealRecording(world.store, NAME, 6)).toMatchObject({ sealed: false })
      }),
    )
  })

  it('REC-4 verify names the torn tail before it is sealed', async () => {
    const bytes = await recorded()
    const result = await verifyRecording([bytes.subarray(0, bytes.length - 10)])
    expect(result).toMatchObject({ ok: false, lines: 5, problem: { kind: 'torn-tail', line: 6 } })
    expect(result.problem?.message).toContain('everything before it verifies')
  })

  it('keeps the beginning and the hash of a torn line that is very long', async () => {
    const world = new TestWorld()
    const bytes = await recorded(50_000)
    world.store.put(NAME, bytes.subarray(0, 45_000))
    const { tornBytes } = await sealRecording(world.store, NAME, 5)
    expect(tornBytes).toBeGreaterThan(40_000)
    expect(Buffer.from(world.lines(NAME).at(-1)?.['torn'] as string, 'base64')).toHaveLength(MAX_KEPT_TORN_BYTES)
    expect(looksClosed(world.store.bytes(NAME))).toBe(true)
  })

  it('does not touch what was changed: that is evidence', async () => {
    const world = new TestWorld()
    const bytes = await recorded()
    bytes[bytes.length - 400] = 0x7e
    world.store.put(NAME, bytes)
    await expect(sealRecording(world.store, NAME, 5)).rejects.toMatchObject({ code: 'recording_invalid' })
    expect(world.store.bytes(NAME)).toEqual(bytes)
  })

  it('closes a rotated session whose last segment lost even its header', async () => {
    const world = new TestWorld()
    const session = world.recorder({ maxSegmentBytes: 1_500 }).open(header('s1'))
    for (let id = 1; id <= 6; id++) session.command(command(id, 'select 1'))
    await session.flushed()
    const names = await world.store.list()
    const last = names.at(-1) ?? ''
    world.store.put(last, world.store.bytes(last).subarray(0, 20))
    await sealRecording(world.store, last, 5)
    expect(await verifySegments(names.map((name) => [world.store.bytes(name)]))).toMatchObject({ ok: true })
  })
})
