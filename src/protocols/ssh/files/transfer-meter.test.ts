import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Obligations, StreamMasker } from '../../../core/index.js'
import { TransferMeter } from './transfer-meter.js'

/** Holds back three bytes, and writes all in capitals. */
function capitals(): StreamMasker {
  let held = ''
  return {
    push(chunk) {
      const text = held + Buffer.from(chunk).toString()
      held = text.slice(-3)
      return Buffer.from(text.slice(0, -3).toUpperCase())
    },
    flush: () => Buffer.from(held.toUpperCase()),
    get heldBackBytes() {
      return held.length
    },
  }
}

describe('TransferMeter', () => {
  it('puts masked content on record, and the digest of what passed', () => {
    const obligations: Obligations = {
      recordLevel: 'full',
      masker: { planRows: () => undefined, maskText: (text) => text, stream: capitals },
    }
    const meter = new TransferMeter(1, 'write', '/f', obligations)
    meter.begin(0)
    const events = [meter.push(Buffer.from('hello')), meter.push(Buffer.from(' world')), ...meter.finish()]
    const content = events.map((event) =>
      event?.type === 'content' ? Buffer.from(event.content.bytes).toString() : '',
    )
    expect(content.join('')).toBe('HELLO WORLD')
    expect(events.at(-1)).toMatchObject({
      transfer: { bytes: 11, sha256: createHash('sha256').update('hello world').digest('hex') },
    })
  })

  it('lists a bounded number of runs, and digests nothing where nothing is recorded', () => {
    const meter = new TransferMeter(1, 'read', '/f', { recordLevel: 'none' })
    for (let i = 0; i < 100; i++) {
      meter.begin(i * 10)
      meter.push(Buffer.from('x'))
    }
    const [event] = meter.finish()
    expect(event?.type === 'transfer' && event.transfer).toMatchObject({ bytes: 100, omittedRuns: 36 })
    expect(event?.type === 'transfer' && event.transfer.sha256).toBeUndefined()
  })
})
