import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort, startSshd, type SshdServer } from '../../support/sshd.js'
import { ALLOW_ALL, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { message, SshWire, sshText } from '../../support/ssh-wire.js'
import { until } from '../threats/ssh-support.js'

let server: SshdServer
let gateway: TestSshGateway

beforeAll(async () => {
  server = await startSshd()
  gateway = await startSshGateway({ server, rules: [{ ...ALLOW_ALL, terminal: 'record' }] })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

const isRunning = (program: string): boolean =>
  execFileSync('ps', ['-eo', 'args']).toString().split('\n').includes(program)

const revokeAll = (): void => expect(gateway.enforcer.revoke(() => true)).toBe(1)

it('a revoked session says so, and takes with it what it runs, at once', async () => {
  const marker = '98765.4321'
  const child = gateway.spawnSsh([`cat & yes > /dev/null & sleep ${marker}`], { options: ['-tt'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  await until(() => isRunning(`sleep ${marker}`), 'its start')
  revokeAll()
  const since = Date.now()
  await once(child, 'close')
  expect(Date.now() - since).toBeLessThan(3_000)
  expect(said).toContain('the session was revoked')
  await until(() => !isRunning(`sleep ${marker}`), 'the end of what it ran')
  await until(() => gateway.gateway.connections.length === 0, 'the end of the connection')
})

it('a revoked session transfers nothing more, neither into files nor through connections and listeners', async () => {
  const sockets: Socket[] = []
  let received = 0
  const sink = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
  })
  sink.listen(0, '127.0.0.1')
  await once(sink, 'listening')
  const local = await freePort()
  const remote = await freePort()
  const child = gateway.spawnSsh([`cat > ${join(server.home, 'grows')}`], {
    options: [
      '-L',
      `127.0.0.1:${local}:127.0.0.1:${(sink.address() as AddressInfo).port}`,
      '-R',
      `127.0.0.1:${remote}:127.0.0.1:${(sink.address() as AddressInfo).port}`,
    ],
  })
  child.stdin.on('error', () => {})
  const flood = setInterval(() => child.stdin.writable && child.stdin.write(Buffer.alloc(10_000)), 5)
  await until(() => {
    try {
      return statSync(join(server.home, 'grows')).size > 50_000
    } catch {
      return false
    }
  }, 'the first bytes')
  const through = [connect(local, '127.0.0.1'), connect(remote, '127.0.0.1')]
  const floods = through.map((socket) => {
    socket.on('error', () => {})
    return setInterval(() => socket.writable && socket.write(Buffer.alloc(10_000)), 5)
  })
  await until(() => sockets.length === 2 && received > 100_000, 'bytes through both')
  revokeAll()
  await once(child, 'close')
  const size = statSync(join(server.home, 'grows')).size
  const seen = received
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(statSync(join(server.home, 'grows')).size).toBe(size)
  expect(received).toBe(seen)
  for (const timer of [flood, ...floods]) clearInterval(timer)
  for (const socket of [...through, ...sockets]) socket.destroy()
  sink.close()
})

it('a client that does not take its leave is disconnected, and nothing of what it still asks reaches the target', async () => {
  const wire = await SshWire.login(gateway.port, gateway.keyFile)
  const id = await wire.openSession()
  wire.send(message.request(id, 'exec', true, sshText('cat')))
  await wire.until(99)
  const mark = server.log().length
  revokeAll()
  for (let count = 0; count < 200 && !wire.isClosed; count++) {
    wire.send(message.open('session', 5 + count))
    if (count < 20) wire.send(message.data(id, 'more'))
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await wire.untilClosed()
  expect(server.log().slice(mark)).not.toContain('session_new')
  expect(wire.disconnectText).toBe('the session was revoked')
})
