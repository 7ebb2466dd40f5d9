import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter, type Command } from '../core/index.js'
import { encodeCanonical } from './canonical.js'
import { encodeDigestInput, holdDigest, type DigestInput } from './digest.js'
import { agent, sqlCommand, textValue } from './approval.test-support.js'

const input = (changes: Partial<DigestInput> = {}): DigestInput => ({
  subject: agent,
  resource: { name: 'orders', protocol: 'postgres' },
  sessionId: 's',
  command: sqlCommand(),
  policyDigest: 'p',
  ...changes,
})

describe('holdDigest', () => {
  it('APP-2 changes with every part that gives the command its meaning', () => {
    const state = sqlCommand().state
    const variants: DigestInput[] = [
      input(),
      input({ sessionId: 't' }),
      input({ policyDigest: 'q' }),
      input({ subject: { ...agent, id: 'agent-8' } }),
      input({ subject: { ...agent, onBehalfOf: 'oleg' } }),
      input({ subject: { ...agent, groups: [] } }),
      input({ resource: { name: 'orders2', protocol: 'postgres' } }),
      input({ resource: { name: 'orders', protocol: 'mysql' } }),
      input({ command: sqlCommand({ protocol: 'cockroach' }) }),
      input({ command: sqlCommand({ dialect: 'mysql' }) }),
      input({ command: sqlCommand({ via: 'Bind' }) }),
      input({ command: sqlCommand({ phase: 'prepare' }) }),
      input({ command: sqlCommand({ text: 'delete from users ' }) }),
      input({ command: sqlCommand({ parameters: [textValue(null)] }) }),
      input({ command: sqlCommand({ parameters: [textValue('')] }) }),
      input({ command: sqlCommand({ parameters: [textValue('NULL')] }) }),
      input({ command: sqlCommand({ parameters: [textValue('a', 0)] }) }),
      input({ command: sqlCommand({ parameters: [textValue('a', 25)] }) }),
      input({ command: sqlCommand({ parameters: [{ type: 25, format: 'binary', bytes: Buffer.from('a') }] }) }),
      input({ command: sqlCommand({ parameters: [textValue('a'), textValue('b')] }) }),
      input({ command: sqlCommand({ parameters: [textValue('b'), textValue('a')] }) }),
      input({ command: sqlCommand({ parameters: [textValue('ab'), textValue('')] }) }),
      input({ command: sqlCommand({ state: { ...state, searchPath: 'evil,public' } }) }),
      input({ command: sqlCommand({ state: { ...state, role: 'postgres' } }) }),
      input({ command: sqlCommand({ state: { ...state, clientEncoding: 'LATIN1' } }) }),
      input({ command: sqlCommand({ state: { ...state, standardConformingStrings: false } }) }),
      input({ command: sqlCommand({ state: { standardConformingStrings: true, clientEncoding: 'UTF8' } }) }),
      input({ command: sqlCommand({ transaction: 'transaction' }) }),
      input({ command: sqlCommand({ transactionSerial: 1 }) }),
    ]
    expect(new Set(variants.map(holdDigest)).size).toBe(variants.length)
  })

  it('is the same for the same command sent again', () => {
    expect(holdDigest(input({ command: sqlCommand({ id: 2 }) }))).toBe(holdDigest(input()))
  })

  it('APP-2 never gives two different requests the same bytes', () => {
    // Few, confusable parts, so that shifted boundaries meet often.
    const text = fc.string({ unit: fc.constantFrom('a', '\0', 's', '\u0001', '\ud800', '\ufffd', 'é'), maxLength: 4 })
    const value = fc.record(
      {
        type: fc.constantFrom(0, 25),
        format: fc.constantFrom('text' as const, 'binary' as const),
        bytes: fc.uint8Array({ maxLength: 3, max: 2 }),
      },
      { requiredKeys: ['type', 'format'] },
    )
    const request = fc.record({
      text,
      sessionId: text,
      policyDigest: text,
      role: fc.option(text, { nil: undefined }),
      searchPath: fc.option(text, { nil: undefined }),
      parameters: fc.array(value, { maxLength: 3 }),
    })
    const encode = (one: typeof request extends fc.Arbitrary<infer T> ? T : never): string => {
      const state = {
        standardConformingStrings: true,
        clientEncoding: 'UTF8',
        ...(one.role === undefined ? {} : { role: one.role }),
        ...(one.searchPath === undefined ? {} : { searchPath: one.searchPath }),
      }
      const command = sqlCommand({ text: one.text, parameters: one.parameters, state })
      const { sessionId, policyDigest } = one
      return Buffer.from(encodeDigestInput(input({ command, sessionId, policyDigest }))).toString('hex')
    }
    const plain = (one: unknown): string =>
      JSON.stringify(one, (_key, part: unknown) => (part instanceof Uint8Array ? { hex: [...part] } : part))
    fc.assert(
      fc.property(request, request, (left, right) => {
        expect(encode(left) === encode(right)).toBe(plain(left) === plain(right))
      }),
      { numRuns: 2000 },
    )
  })

  it('encodes any plain values injectively', () => {
    const bytesOf = (value: unknown): string => {
      const writer = new ByteWriter()
      encodeCanonical(writer, value)
      return writer.view().toString('hex')
    }
    const any = fc.jsonValue({ maxDepth: 3 })
    fc.assert(
      fc.property(any, any, (left, right) => {
        if (bytesOf(left) === bytesOf(right)) expect(left).toEqual(right)
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses what has no canonical form', () => {
    const hidden = new (class Hidden {
      readonly #secret = 1
      get(): number {
        return this.#secret
      }
    })()
    for (const part of [hidden, () => 1, Symbol('x')]) {
      const command = { id: 1, protocol: 'x', kind: 'x', part } as unknown as Command
      expect(() => holdDigest(input({ command }))).toThrow(/approved/)
    }
  })
})
