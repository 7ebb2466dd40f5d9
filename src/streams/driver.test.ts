import { describe, expect, it } from 'vitest'
import { Driver } from './driver.js'
import type { DriverPorts } from './driver-types.js'
import { FakePeer, FakeSession, PERMIT, ToyConnection, toyPorts } from './toy.test-support.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')

function arrange(change: (ports: DriverPorts) => DriverPorts = (ports) => ports) {
  const connection = new ToyConnection()
  const session = new FakeSession()
  const downstream = new FakePeer()
  const upstream = new FakePeer()
  const driver = new Driver({
    connection,
    protocol: 'toy',
    resource: { name: 'db', protocol: 'toy' },
    downstream,
    ports: change(toyPorts(session, upstream)),
  })
  return { connection, session, downstream, upstream, driver }
}

async function established(change?: (ports: DriverPorts) => DriverPorts) {
  const all = arrange(change)
  all.driver.receive('downstream', bytes('me\n'))
  await turn()
  return all
}

describe('a driver', () => {
  it('lets a client in, connects, and carries a command to upstream and its answer back in the same turn', async () => {
    const { driver, downstream, upstream, session } = await established()
    expect(downstream.text).toBe('ready\n')
    driver.receive('downstream', bytes('one\n'))
    expect(upstream.text).toBe('one\n')
    expect(driver.isIdle).toBe(false)
    driver.receive('upstream', bytes('ok\n'))
    expect(downstream.text).toBe('ready\nok\n')
    expect(session.answers).toEqual([1])
    expect(driver.isIdle).toBe(true)
  })

  it('joins what one pump writes to one side into one write', async () => {
    const { driver, upstream, downstream } = await established()
    driver.receive('downstream', bytes('a\nb\nbad\nc\nbad\n'))
    expect(upstream.writes).toEqual(['a\nb\nc\n'])
    expect(downstream.writes.slice(1)).toEqual(['refused rule\nrefused rule\n'])
  })

  it('corks instead of copying where much is written', async () => {
    const { driver, upstream } = await established()
    driver.receive('downstream', bytes(`${'x'.repeat(20_000)}\n${'y'.repeat(20_000)}\n`))
    expect(upstream.corks).toBe(1)
    expect(upstream.writes.length).toBe(2)
  })

  it('passes a held command on once it is permitted, with a notice while it waits', async () => {
    const { driver, upstream, downstream, session } = await established()
    driver.receive('downstream', bytes('hold it\n'))
    expect(downstream.text).toContain('notice waiting')
    expect(upstream.text).toBe('')
    session.release(PERMIT)
    await turn()
    expect(upstream.text).toBe('hold it\n')
  })

  it('sets bytes behind a hold aside up to a bound, so that a client that leaves is noticed', async () => {
    const { driver, upstream, downstream, session } = await established()
    driver.receive('downstream', bytes('hold it\n'))
    expect(downstream.isPaused).toBe(false)
    driver.receive('downstream', bytes('after\n'))
    driver.receive('downstream', bytes(`${'z'.repeat(70_000)}\n`))
    expect(downstream.isPaused).toBe(true)
    session.release(PERMIT)
    await turn()
    expect(upstream.text).toBe(`hold it\nafter\n${'z'.repeat(70_000)}\n`)
    expect(downstream.isPaused).toBe(false)
  })

  it('APP-5 withdraws a hold when the client leaves, and never runs it afterwards', async () => {
    const { driver, upstream, session } = await established()
    driver.receive('downstream', bytes('hold it\n'))
    driver.ended('downstream')
    driver.closed('downstream')
    driver.closed('upstream')
    await driver.finished
    expect(session.withdrawn).toContain(1)
    expect(session.ended.length).toBe(1)
    session.release(PERMIT)
    await turn()
    expect(upstream.text).toBe('')
  })

  it('reads neither side while the client takes nothing, and upstream while only upstream takes nothing', async () => {
    const { driver, upstream, downstream } = await established()
    downstream.isFull = true
    driver.receive('upstream', bytes('rows\n'))
    expect([downstream.isPaused, upstream.isPaused]).toEqual([true, true])
    downstream.isFull = false
    driver.drained('downstream')
    expect([downstream.isPaused, upstream.isPaused]).toEqual([false, false])
    upstream.isFull = true
    driver.receive('downstream', bytes('one\n'))
    expect([downstream.isPaused, upstream.isPaused]).toEqual([true, false])
    driver.drained('upstream')
    expect([downstream.isPaused, upstream.isPaused]).toEqual([false, false])
  })

  it('fails closed when a port fails', async () => {
    const broken = (): Promise<never> => Promise.reject(new Error('down'))
    const challenge = await established((ports) => ({ ...ports, identity: { ...ports.identity, challenge: broken } }))
    expect(challenge.downstream.text).toBe('rejected engine-error\n')
    const proof = await established((ports) => ({ ...ports, identity: { ...ports.identity, authenticate: broken } }))
    expect(proof.downstream.text).toBe('rejected engine-error\n')
    const session = await established((ports) => ({ ...ports, openSession: broken }))
    expect(session.downstream.text).toBe('rejected engine-error\n')
    const connect = await established((ports) => ({ ...ports, connect: broken }))
    expect(connect.downstream.text).toBe('failed upstream_unavailable\n')
    const catalog = await established((ports) => ({
      ...ports,
      catalog: () => ({ relations: broken, invalidate: () => {} }),
    }))
    catalog.driver.receive('downstream', bytes('resolve\n'))
    await turn()
    expect(catalog.downstream.text).toBe('ready\nshutdown masking\n')
    expect(catalog.downstream.isEnded).toBe(true)
  })

  it('refuses an unknown client politely', async () => {
    const { downstream, driver } = await established((ports) => ({
      ...ports,
      identity: {
        ...ports.identity,
        authenticate: () => ({ isAdmitted: false, denial: { reason: 'default', message: 'who are you' } }),
      },
    }))
    expect(downstream.text).toBe('rejected default\n')
    driver.closed('downstream')
    await driver.finished
  })

  it('refuses what a session could not judge, and ends the connection where judging throws', async () => {
    const { driver, downstream, upstream } = await established()
    driver.receive('downstream', bytes('throw\n'))
    expect(downstream.isDestroyed).toBe(true)
    expect(upstream.isDestroyed).toBe(true)
    expect(upstream.text).toBe('')
  })

  it('ends the session when its record fails', async () => {
    const { driver, downstream, upstream, session } = await established()
    session.fail({ reason: 'recorder-unavailable', message: 'disk full' })
    expect(downstream.text).toBe('ready\nshutdown recorder-unavailable\n')
    driver.closed('downstream')
    driver.closed('upstream')
    await driver.finished
    expect(upstream.isEnded).toBe(true)
    expect(session.ended[0]).toContain('recorder-unavailable')
  })

  it('PG-14 ends the connection when bytes in the clear come between the agreement on TLS and its start', () => {
    const { driver, downstream, connection } = arrange((ports) => ({
      ...ports,
      startTls: () => new Promise(() => {}),
    }))
    driver.receive('downstream', bytes('starttls\n'))
    expect(downstream.text).toBe('S')
    driver.receive('downstream', bytes('stuffed\n'))
    expect(downstream.isDestroyed).toBe(true)
    expect(connection.calls).not.toContain('tls downstream')
  })

  it('ends a connection that sends more than it may', async () => {
    const session = new FakeSession()
    const downstream = new FakePeer()
    const driver = new Driver({
      connection: new ToyConnection(),
      protocol: 'toy',
      resource: { name: 'db', protocol: 'toy' },
      downstream,
      ports: toyPorts(session, new FakePeer()),
      maxReceivedBytes: { downstream: 10 },
    })
    driver.receive('downstream', bytes('me\n'))
    await turn()
    driver.receive('downstream', bytes('0123456789\n'))
    expect(downstream.text).toBe('ready\nshutdown limit\n')
  })

  it('destroys an upstream that is reached after the client has left', async () => {
    let reach: (link: { peer: FakePeer; credentials: { user: string } }) => void = () => {}
    const late = new FakePeer()
    const { driver } = await established((ports) => ({
      ...ports,
      connect: () =>
        new Promise((resolve) => {
          reach = resolve
        }),
    }))
    driver.closed('downstream')
    await driver.finished
    reach({ peer: late, credentials: { user: 'x' } })
    await turn()
    expect(late.isDestroyed).toBe(true)
  })
})
