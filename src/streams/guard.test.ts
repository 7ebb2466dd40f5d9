import { Duplex, PassThrough, pipeline } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { Protocol } from '../core/index.js'
import type { Session } from '../enforcement/types.js'
import { createGuard } from './guard.js'
import { guardedStream } from './guarded-stream.js'
import { FakeSession, PERMIT, ToyConnection } from './toy.test-support.js'

const toy: Protocol = { name: 'toy', createConnection: () => new ToyConnection() }
const resource = { name: 'db', protocol: 'toy' }
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A pair of ends of an in-memory wire. */
function wire(): [Duplex, Duplex] {
  const there = new PassThrough()
  const back = new PassThrough()
  return [Duplex.from({ writable: there, readable: back }), Duplex.from({ writable: back, readable: there })]
}

/** Answers every line with `ok <line>`. */
function echoTarget(end: Duplex): string[] {
  const seen: string[] = []
  end.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n').filter(Boolean)) {
      seen.push(line)
      end.write(`ok ${line}\n`)
    }
  })
  end.on('end', () => end.end())
  end.on('error', () => {})
  return seen
}

describe('a guard', () => {
  it('stands between two transports as three pipelines', async () => {
    const session = new FakeSession()
    const guard = createGuard({
      protocol: toy,
      resource,
      identity: {
        challenge: () => ({ method: 'none' }),
        authenticate: () => ({ isAdmitted: true, subject: { id: 'me' } }),
      },
      openSession: () => session as unknown as Session,
      credentials: () => ({ user: 'up' }),
    })
    const [client, clientWire] = wire()
    const [target, targetWire] = wire()
    const seen = echoTarget(target)
    pipeline(clientWire, guard.downstream, clientWire, () => {})
    pipeline(targetWire, guard.upstream, targetWire, () => {})
    const received: string[] = []
    client.on('data', (chunk: Buffer) => received.push(chunk.toString()))
    client.write('me\n')
    await turn()
    await turn()
    client.write('one\nbad\n')
    await turn()
    await turn()
    expect(seen).toEqual(['one'])
    expect(received.join('')).toBe('ready\nrefused rule\nok one\n')
    client.end()
    await guard.driver.finished
    expect(session.ended.length).toBe(1)
  })
})

describe('a guarded stream', () => {
  it('takes the place of a socket under a client in the same process', async () => {
    const session = Object.assign(new FakeSession(), { subject: { id: 'agent' }, resource })
    const [target, targetEnd] = wire()
    const seen = echoTarget(target)
    const stream = guardedStream({
      protocol: toy,
      session: session as unknown as Session,
      connect: () => targetEnd,
      credentials: { user: 'up' },
    })
    let isConnected = false
    stream
      .setNoDelay(true)
      .setKeepAlive(true, 0)
      .connect(5432, 'ignored')
      .once('connect', () => {
        isConnected = true
      })
    const received: string[] = []
    stream.on('data', (chunk: Buffer) => received.push(chunk.toString()))
    expect(stream.readyState).toBe('open')
    await turn()
    expect(isConnected).toBe(true)
    stream.write('me\n')
    await turn()
    stream.write('hold this\n')
    await turn()
    expect(seen).toEqual([])
    session.release(PERMIT)
    await turn()
    await turn()
    expect(seen).toEqual(['hold this'])
    expect(received.join('')).toBe('ready\nnotice waiting\nok hold this\n')
    const closed = new Promise((resolve) => stream.once('close', resolve))
    session.fail({ reason: 'revoked', message: 'enough' })
    await closed
    expect(received.join('')).toContain('shutdown revoked')
    expect(stream.readyState).toBe('closed')
    await stream.driver.finished
  })

  it('carries much data with back-pressure and loses none of it', async () => {
    const session = Object.assign(new FakeSession(), { subject: { id: 'agent' }, resource })
    const [target, targetEnd] = wire()
    target.on('end', () => target.end())
    target.resume()
    const stream = guardedStream({
      protocol: toy,
      session: session as unknown as Session,
      connect: () => targetEnd,
      credentials: { user: 'up' },
    })
    let receivedBytes = 0
    stream.write('me\n')
    await turn()
    const line = `${'r'.repeat(9_999)}\n`
    let left = 500
    const pump = (): void => {
      while (left > 0) {
        left--
        if (!target.write(line)) {
          target.once('drain', pump)
          return
        }
      }
    }
    pump()
    await turn()
    for await (const chunk of stream) {
      receivedBytes += (chunk as Buffer).length
      if (receivedBytes >= 500 * line.length) break
    }
    expect(receivedBytes).toBe(500 * line.length + 'ready\n'.length)
    await stream.driver.finished
  })
})
