import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { Driver } from '../streams/driver.js'
import { CancelRegistry } from './cancel-registry.js'
import { ConnectRate } from './connect-rate.js'
import { ReadBuffers } from './read-buffers.js'
import { UpstreamReader } from './upstream-reader.js'

describe('an upstream reader', () => {
  function arrange() {
    const received: { bytes: Uint8Array; isLent: boolean }[] = []
    const driver = {
      isIdle: false,
      receive: (_side: string, bytes: Uint8Array, isLent = false) => void received.push({ bytes, isLent }),
    }
    const downstream = { writableLength: 0 }
    const buffers = new ReadBuffers()
    const reader = new UpstreamReader(
      driver as unknown as Driver,
      buffers,
      () => downstream as unknown as Duplex,
      () => true,
    )
    const next = reader.onread.buffer as () => Uint8Array
    let buffer = next()
    const read = (bytes: number): Uint8Array => {
      const used = buffer
      reader.onread.callback(bytes, used as Uint8Array<ArrayBuffer>)
      buffer = next()
      return used
    }
    return { received, driver, downstream, buffers, read, current: () => buffer }
  }

  it('copies what came into the shared buffer', () => {
    const { received, buffers, read } = arrange()
    expect(read(100)).toBe(buffers.shared)
    expect(received[0]?.isLent).toBe(false)
    expect(received[0]?.bytes.buffer).not.toBe(buffers.shared.buffer)
  })

  it('lends a buffer of its own in bulk, and the same one while writes complete at once', () => {
    const { received, buffers, read } = arrange()
    read(20_000)
    const own = read(20_000)
    expect(own).not.toBe(buffers.shared)
    expect(read(20_000)).toBe(own)
    expect(received[1]).toMatchObject({ isLent: true })
  })

  it('never reads into a buffer of which a write is outstanding', () => {
    const { downstream, read, current } = arrange()
    read(20_000)
    downstream.writableLength = 5_000
    const first = read(20_000)
    expect(current()).not.toBe(first)
    const second = read(20_000)
    expect(current()).not.toBe(first)
    expect(current()).not.toBe(second)
    downstream.writableLength = 0
    const third = read(20_000)
    expect(third).not.toBe(first)
  })

  it('takes a parked buffer up again once everything was written', () => {
    const { downstream, read, current } = arrange()
    read(20_000)
    downstream.writableLength = 5_000
    const first = read(20_000)
    downstream.writableLength = 0
    const second = read(20_000)
    downstream.writableLength = 5_000
    expect(read(20_000)).toBe(second)
    expect(current()).toBe(first)
  })

  it('holds no buffer of its own when the session is idle, or its answers are small', () => {
    const { driver, buffers, read, current } = arrange()
    read(20_000)
    expect(current()).not.toBe(buffers.shared)
    read(100)
    expect(current()).toBe(buffers.shared)
    read(20_000)
    driver.isIdle = true
    read(20_000)
    expect(current()).toBe(buffers.shared)
  })
})

describe('a cancel registry', () => {
  it('PG-16 finds a session by its whole key or the four bytes that old clients keep, and by nothing else', () => {
    const registry = new CancelRegistry<string>((count) => randomBytes(count))
    const { processId, secretKey } = registry.issue('mine')
    registry.issue('other')
    expect(secretKey.length).toBe(32)
    expect(registry.find({ processId, secretKey })).toBe('mine')
    expect(registry.find({ processId, secretKey: secretKey.subarray(0, 4) })).toBe('mine')
    for (const wrong of [
      randomBytes(32),
      randomBytes(4),
      Buffer.alloc(0),
      secretKey.subarray(0, 3),
      secretKey.subarray(0, 31),
    ]) {
      expect(registry.find({ processId, secretKey: wrong })).toBeUndefined()
    }
    expect(registry.find({ processId: processId ^ 1, secretKey })).toBeUndefined()
    registry.revoke(processId)
    expect(registry.find({ processId, secretKey })).toBeUndefined()
  })

  it('never gives two sessions one process id', () => {
    const ids = [1, 1, 0, 2].map((id) => Buffer.from([0, 0, 0, id]))
    const registry = new CancelRegistry<string>((count) => (count === 4 ? (ids.shift() as Buffer) : randomBytes(count)))
    expect(registry.issue('a').processId).toBe(1)
    expect(registry.issue('b').processId).toBe(2)
  })
})

describe('a connect rate', () => {
  it('counts per address and second', () => {
    let now = 0
    const rate = new ConnectRate(2, { nowUnixMs: () => now })
    expect([rate.admit('a'), rate.admit('a'), rate.admit('a'), rate.admit('b')]).toEqual([true, true, false, true])
    now = 1_000
    expect(rate.admit('a')).toBe(true)
  })
})
