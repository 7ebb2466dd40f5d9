import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import ssh2, { type Client, type ClientChannel } from 'ssh2'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startSshd, type SshdServer } from '../../support/sshd.js'
import { startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'

let server: SshdServer
let gateway: TestSshGateway

beforeAll(async () => {
  server = await startSshd()
  gateway = await startSshGateway({ server, isRecording: false })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

/** What of ssh2's client an attacker reaches into. */
interface Inside {
  readonly _sock: Socket
  readonly _protocol: {
    rekey(): void
    channelWindowAdjust(channel: number, bytes: number): void
  }
}

function connect(): Promise<Client & Inside> {
  const client = new ssh2.Client()
  client.on('error', () => {})
  return new Promise((resolve) => {
    client.once('ready', () => resolve(client as Client & Inside))
    client.connect({
      host: '127.0.0.1',
      port: gateway.port,
      username: 'alice+web',
      privateKey: readFileSync(gateway.keyFile),
    })
  })
}

const MIB = 1_048_576

it('SSH-4 keeps little for a client that begins to exchange keys, never ends it, and has a lot said to it', async () => {
  const client = await connect()
  const channel = await new Promise<ClientChannel>((resolve, reject) =>
    client.exec('yes', (error, stream) => (error === undefined ? resolve(stream) : reject(error))),
  )
  const { outgoing } = channel as unknown as { outgoing: { id: number } }
  channel.resume()
  client._protocol.channelWindowAdjust(outgoing.id, 0xe000_0000)
  const before = process.memoryUsage().arrayBuffers
  client._protocol.rekey()
  // It goes on reading, and says nothing any more.
  client._sock.removeAllListeners('data')
  client._sock.on('data', () => {})
  let most = 0
  for (const end = Date.now() + 3_000; Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  client._sock.destroy()
  expect(most / MIB).toBeLessThan(64)
})
