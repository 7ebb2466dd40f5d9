import { type AddressInfo, createServer } from 'node:net'
import ssh2 from 'ssh2'
import { sshAlgorithms } from '../../src/gateway/ssh/algorithms.js'
import { answerParent, memory, readConfig } from './answering.js'
import { profiling } from './profiling.js'
import { connectClient } from './ssh-connect.js'
import type { SshProxyConfig } from './ssh-proxy-config.js'

/**
 * The yardstick: the least that a program made of ssh2's Server and Client can do between an SSH client and its target.
 * Whoever has a key is let in, whatever is asked for is asked of the target, and streams are piped. The ciphers are the
 * gateway's, and nobody waits for fuller packets.
 */
const { target, hostKey, privateKey } = readConfig<SshProxyConfig>()
const algorithms = sshAlgorithms()

const acceptor = new ssh2.Server({ hostKeys: [hostKey], algorithms }, (client) => {
  const upstream = new ssh2.Client()
  client.on('error', () => upstream.end()).on('close', () => upstream.end())
  upstream.on('error', () => client.end()).on('close', () => client.end())
  client.on('authentication', (context) => {
    if (context.method !== 'publickey') return context.reject(['publickey'])
    if (context.signature === undefined) return context.accept()
    upstream.once('ready', () => context.accept())
    connectClient(upstream, target.port, { username: target.user, privateKey, algorithms })
  })
  client.on('session', (accept) => {
    const session = accept()
    session.on('exec', (acceptExec, _reject, { command }) => {
      const downstream = acceptExec()
      upstream.exec(command, (error, channel) => (error ? downstream.close() : join(downstream, channel)))
    })
    session.on('subsystem', (acceptSubsystem, _reject, { name }) => {
      const downstream = acceptSubsystem()
      upstream.subsys(name, (error, channel) => (error ? downstream.close() : join(downstream, channel)))
    })
  })
})

function join(downstream: ssh2.ServerChannel, upstream: ssh2.ClientChannel): void {
  downstream.pipe(upstream)
  upstream.pipe(downstream, { end: false })
  upstream.stderr.pipe(downstream.stderr, { end: false })
  upstream.on('close', (code: number | null) => {
    downstream.exit(code ?? 255)
    downstream.end()
  })
}

// Of its own sockets ssh2 leaves the delay on.
const server = createServer({ noDelay: true }, (socket) => acceptor.injectSocket(socket))
server.listen(0, '127.0.0.1', 1024, () => {
  answerParent({ port: (server.address() as AddressInfo).port }, { memory, ...profiling() })
})
