import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { Secret } from '../core/index.js'
import { createMasking } from '../masking/index.js'
import { recorderTap, textMaskTransform } from './text-transforms.js'

const masking = createMasking({ key: new Secret(new Uint8Array(32).fill(7)) })
const masker = () => masking.stream([{ detector: 'email', strategy: { kind: 'redact' } }], { maxHoldBackBytes: 65_536 })

describe('a text mask as a transform', () => {
  it('MASK-13 finds a value that is split over chunks', async () => {
    const out: Buffer[] = []
    await pipeline(
      Readable.from([Buffer.from('write to ada@exam'), Buffer.from('ple.com today')]),
      textMaskTransform({ masker: masker() }),
      async (source) => {
        for await (const chunk of source) out.push(chunk as Buffer)
      },
    )
    const text = Buffer.concat(out).toString()
    expect(text).not.toContain('ada@example.com')
    expect(text).toMatch(/^write to .+ today$/)
  })

  it('lets what is held back go after a while', async () => {
    let fire = (): void => {}
    const transform = textMaskTransform({
      masker: masker(),
      schedule: (_delayMs, callback) => {
        fire = callback
        return () => {}
      },
    })
    let text = ''
    transform.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    transform.write('password for ada')
    await new Promise((resolve) => setImmediate(resolve))
    fire()
    await new Promise((resolve) => setImmediate(resolve))
    expect(text).toBe('password for ada')
    transform.destroy()
  })
})

describe('a recorder tap', () => {
  it('shows every chunk before it passes, and lets nothing pass that could not be recorded', async () => {
    const seen: string[] = []
    const passed: string[] = []
    const run = pipeline(
      Readable.from([Buffer.from('one'), Buffer.from('two')]),
      recorderTap((bytes) => {
        if (seen.length === 1) throw new Error('disk full')
        seen.push(Buffer.from(bytes).toString())
      }),
      async (source) => {
        for await (const chunk of source) passed.push((chunk as Buffer).toString())
      },
    )
    await expect(run).rejects.toThrow('disk full')
    expect(seen).toEqual(['one'])
    expect(passed).not.toContain('two')
  })
})
