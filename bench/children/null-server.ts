import { type AddressInfo, createServer, type Socket } from 'node:net'
import { answerParent } from './answering.js'

/**
 * A server that has its answer ready: what bulk costs between client and server, without PostgreSQL making rows. Any
 * query is answered with rows of one text column, as many as fit in the number it contains, in MiB.
 */
const BLOCK_BYTES = 1_048_576
const ROW_BYTES = 256

const row = Buffer.alloc(ROW_BYTES, 'x')
row.write('D', 0)
row.writeInt32BE(ROW_BYTES - 1, 1)
row.writeInt16BE(1, 5)
row.writeInt32BE(ROW_BYTES - 11, 7)
const block = Buffer.concat(Array.from({ length: BLOCK_BYTES / ROW_BYTES }, () => row))

const frame = (type: string, body: Buffer): Buffer => {
  const head = Buffer.from(`${type}    `)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
const parameter = (name: string, value: string): Buffer => frame('S', Buffer.from(`${name}\0${value}\0`))
const ready = frame('Z', Buffer.from('I'))
const welcome = Buffer.concat([
  frame('R', Buffer.alloc(4)),
  parameter('server_version', '15.0'),
  parameter('client_encoding', 'UTF8'),
  parameter('server_encoding', 'UTF8'),
  parameter('standard_conforming_strings', 'on'),
  parameter('DateStyle', 'ISO, MDY'),
  parameter('TimeZone', 'UTC'),
  parameter('integer_datetimes', 'on'),
  frame('K', Buffer.from('0000000100000002', 'hex')),
  ready,
])
// One text column of no table: name, table 0, attribute 0, type 25, size -1, modifier -1, text format.
const description = frame(
  'T',
  Buffer.from(`0001${Buffer.from('t\0').toString('hex')}00000000000000000019ffffffffffff0000`, 'hex'),
)

function answer(socket: Socket, mebibytes: number): void {
  const rows = (mebibytes * BLOCK_BYTES) / ROW_BYTES
  let left = mebibytes
  socket.write(description)
  const fill = (): void => {
    while (left > 0) {
      left--
      if (!socket.write(block) && left > 0) {
        socket.once('drain', fill)
        return
      }
    }
    socket.write(Buffer.concat([frame('C', Buffer.from(`SELECT ${rows}\0`)), ready]))
  }
  fill()
}

const server = createServer({ noDelay: true }, (socket) => {
  let pending: Buffer = Buffer.alloc(0)
  let isWelcomed = false
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      const lengthAt = isWelcomed ? 1 : 0
      if (pending.length < lengthAt + 4) return
      const end = lengthAt + pending.readInt32BE(lengthAt)
      if (pending.length < end) return
      const message = pending.subarray(0, end)
      pending = pending.subarray(end)
      if (!isWelcomed) {
        isWelcomed = true
        socket.write(welcome)
      } else if (message[0] === 0x51 /* Q */) {
        answer(socket, Number(/\d+/.exec(message.toString('latin1', 5))?.[0] ?? 0))
      } else if (message[0] === 0x58 /* X */) {
        socket.end()
      }
    }
  })
})
server.listen(0, '127.0.0.1', () => {
  answerParent({ port: (server.address() as AddressInfo).port }, {})
})
