import { describe, expect, it } from 'vitest'
import { ChunkDisposal } from './chunk-disposal.js'

describe('the disposal of chunks', () => {
  it('frees memory that was read into, and with it every view', () => {
    const chunk = Buffer.allocUnsafeSlow(65_536)
    const view = chunk.subarray(100, 200)
    new ChunkDisposal().dispose(chunk)
    expect([chunk.length, view.length]).toEqual([0, 0])
  })

  it('leaves alone what shares its memory with others', () => {
    const memory = Buffer.alloc(131_072, 'x')
    const small = Buffer.from('small')
    const disposal = new ChunkDisposal()
    for (const chunk of [memory.subarray(0, 65_536), memory.subarray(65_536), small]) disposal.dispose(chunk)
    expect(memory.toString()).toBe('x'.repeat(131_072))
    expect(small.toString()).toBe('small')
  })
})
