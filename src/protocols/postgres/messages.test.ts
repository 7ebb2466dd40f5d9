import { serialize } from 'pg-protocol'
import { Parser } from 'pg-protocol/dist/parser.js'
import { describe, expect, it } from 'vitest'
import { SallyportError } from '../../core/index.js'
import * as messages from './messages.js'

/** What pg-protocol makes of a server's message. */
function read(bytes: Buffer): Record<string, unknown> {
  const seen: unknown[] = []
  new Parser().parse(bytes, (message) => seen.push(message))
  expect(seen).toHaveLength(1)
  expect(seen[0]).toHaveProperty('length', bytes.length - 1)
  return { ...(seen[0] as object) }
}

describe('client messages', () => {
  it('are those of pg-protocol', () => {
    expect(messages.query('sélect 1')).toEqual(serialize.query('sélect 1'))
    expect(messages.parse('s', 'select 1')).toEqual(serialize.parse({ name: 's', text: 'select 1' }))
    expect(messages.describe('S', 's')).toEqual(serialize.describe({ type: 'S', name: 's' }))
    expect(messages.describe('P', '')).toEqual(serialize.describe({ type: 'P' }))
    expect(messages.closeMessage('P', 'p')).toEqual(serialize.close({ type: 'P', name: 'p' }))
    expect(messages.sync()).toEqual(serialize.sync())
    expect(messages.flush()).toEqual(serialize.flush())
    expect(messages.terminate()).toEqual(serialize.end())
    expect(messages.passwordMessage('geheim')).toEqual(serialize.password('geheim'))
    expect(messages.saslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,'))).toEqual(
      serialize.sendSASLInitialResponseMessage('SCRAM-SHA-256', 'n,,'),
    )
    expect(messages.saslResponse(Buffer.from('c=biws'))).toEqual(serialize.sendSCRAMClientFinalMessage('c=biws'))
  })

  it('PG-12 PG-13 are never written with a NUL in a text or a field that does not fit', () => {
    for (const write of [
      () => messages.query('select 1\0; drop table t'),
      () => messages.parse('a\0b', 'select 1'),
      () => messages.describe('S', '\0'),
      () => messages.passwordMessage('a\0b'),
      () => messages.parameterStatus('a', 'b\0'),
      () => messages.startupMessage(0, [['user', 'a\0database']]),
      () => messages.startupMessage(0, [['', 'x']]),
      () => messages.startupMessage(0, [['user', 'u'.repeat(10_000)]]),
      () => messages.cancelRequest(1, Buffer.alloc(3)),
      () => messages.backendKeyData(1, Buffer.alloc(257)),
    ]) {
      expect(write).toThrow(SallyportError)
    }
  })
})

describe('server messages', () => {
  it('are read by pg-protocol as what they are', () => {
    expect(read(messages.readyForQuery('T'))).toMatchObject({ name: 'readyForQuery', status: 'T' })
    expect(read(messages.authenticationOk())).toMatchObject({ name: 'authenticationOk' })
    expect(read(messages.authenticationCleartext())).toMatchObject({ name: 'authenticationCleartextPassword' })
    expect(read(messages.authenticationSasl(['SCRAM-SHA-256', 'X']))).toMatchObject({
      name: 'authenticationSASL',
      mechanisms: ['SCRAM-SHA-256', 'X'],
    })
    expect(read(messages.authenticationSaslContinue(Buffer.from('r=x')))).toMatchObject({ data: 'r=x' })
    expect(read(messages.authenticationSaslFinal(Buffer.from('v=x')))).toMatchObject({ data: 'v=x' })
    expect(read(messages.parameterStatus('TimeZone', 'UTC'))).toMatchObject({
      parameterName: 'TimeZone',
      parameterValue: 'UTC',
    })
    expect(read(messages.backendKeyData(5, Buffer.from([0, 0, 0, 6])))).toMatchObject({ processID: 5, secretKey: 6 })
  })

  it('carry errors and notices whole, without their NULs', () => {
    const fields = { severity: 'ERROR', code: '42501', message: 'no\0pe', detail: 'because', hint: 'ask' }
    expect(read(messages.errorResponse(fields))).toMatchObject({
      name: 'error',
      severity: 'ERROR',
      code: '42501',
      detail: 'because',
      hint: 'ask',
    })
    expect(messages.errorResponse(fields).includes('Mno\ufffdpe\0')).toBe(true)
    expect(read(messages.noticeResponse({ severity: 'NOTICE', code: '00000', message: 'wait' }))).toMatchObject({
      name: 'notice',
      message: 'wait',
    })
  })

  it('PG-14 negotiate the version down', () => {
    expect(messages.negotiateProtocolVersion(2, ['_pq_.x'])).toEqual(
      Buffer.from('v\0\0\0\x13\0\x03\0\x02\0\0\0\x01_pq_.x\0', 'latin1'),
    )
  })
})
