import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { Secret } from '../../core/index.js'
import { md5Response } from './md5.js'

it('answers an md5 challenge as the protocol chapter puts it', () => {
  const md5 = (...parts: (string | Uint8Array)[]): string =>
    parts.reduce((hash, part) => hash.update(part), createHash('md5')).digest('hex')
  const salt = Uint8Array.of(1, 0, 255, 128)
  expect(md5Response('jörg', new Secret('geheim'), salt)).toBe(`md5${md5(md5('geheim', 'jörg'), salt)}`)
})
