import { connect } from 'node:net'
import type { Client, ConnectConfig } from 'ssh2'

/**
 * Connects ssh2's client to a port of this machine. ssh2 leaves the delay of its own sockets on, which would cost some 40 ms
 * in every log-in.
 */
export function connectClient(client: Client, port: number, config: ConnectConfig): void {
  const sock = connect({ host: '127.0.0.1', port, noDelay: true })
  sock.once('error', (error) => client.emit('error', error))
  sock.once('connect', () => client.connect({ ...config, sock, keepaliveInterval: 0 }))
}
