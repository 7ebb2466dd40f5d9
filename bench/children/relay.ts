import { type AddressInfo, connect, createServer } from 'node:net'
import { answerParent, memory, readConfig } from './answering.js'

/**
 * The yardstick: the least that a Node process between a client and a server can do.
 */
const { port } = readConfig<{ port: number }>()

const server = createServer({ noDelay: true }, (downstream) => {
  const upstream = connect({ port, host: '127.0.0.1', noDelay: true })
  downstream.pipe(upstream)
  upstream.pipe(downstream)
  const close = (): void => {
    downstream.destroy()
    upstream.destroy()
  }
  for (const socket of [downstream, upstream]) socket.on('error', close).on('close', close)
})
server.listen(0, '127.0.0.1', 1024, () => {
  answerParent({ port: (server.address() as AddressInfo).port }, { memory })
})
