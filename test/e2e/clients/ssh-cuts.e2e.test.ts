import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSshd, type SshdServer } from '../../support/sshd.js'
import { finished, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'

/** Less than what authenticates a packet. */
const CUT_BYTES = 8

let server: SshdServer
let network: Server
let gateway: TestSshGateway

beforeAll(async () => {
  server = await startSshd()
  // Whatever the target sends, the end of it comes by itself.
  network = createServer((downstream) => {
    const upstream = connect({ host: server.host, port: server.port, noDelay: true })
    downstream.setNoDelay(true).pipe(upstream)
    let last = Promise.resolve()
    upstream.on('data', (chunk: Buffer) => {
      last = last.then(async () => {
        downstream.write(chunk.subarray(0, -CUT_BYTES))
        await new Promise((resolve) => setTimeout(resolve, 2))
        downstream.write(chunk.subarray(-CUT_BYTES))
      })
    })
    upstream.on('end', () => void last.then(() => downstream.end()))
    for (const socket of [downstream, upstream]) socket.on('error', () => socket.destroy())
  })
  await new Promise<void>((resolve) => network.listen(0, '127.0.0.1', resolve))
  gateway = await startSshGateway({ server: { ...server, port: (network.address() as AddressInfo).port } })
})

afterAll(async () => {
  await gateway?.stop()
  network?.close()
  await server?.stop()
})

describe('what a target sends', () => {
  it('arrives whole, though packets come without their ends, on several connections at once', async () => {
    const script = 'for i in $(seq 1 100); do echo line $i of some length; done'
    const expected = Array.from({ length: 100 }, (_, index) => `line ${index + 1} of some length\n`).join('')
    const results = await Promise.all(Array.from({ length: 4 }, () => gateway.ssh([script])))
    for (const { code, stdout } of results) expect({ code, stdout }).toEqual({ code: 0, stdout: expected })
  })

  it('arrives whole while keys are exchanged anew', async () => {
    const options = ['-o', 'RekeyLimit=64K']
    const { code, stdout } = await gateway.ssh(['seq 1 60000'], { options })
    expect(code).toBe(0)
    expect(stdout).toBe(Array.from({ length: 60_000 }, (_, index) => `${index + 1}\n`).join(''))
  })
})

describe('what a client sends', () => {
  it('arrives whole while keys are exchanged anew', async () => {
    const input = randomBytes(8_000_000)
    const options = ['-o', 'RekeyLimit=256K']
    const { code, stdout } = await gateway.ssh(['sha256sum'], { input, options })
    expect({ code, sum: stdout.slice(0, 64) }).toEqual({
      code: 0,
      sum: createHash('sha256').update(input).digest('hex'),
    })
  })

  it('arrives whole through the decoder of files', async () => {
    const input = randomBytes(8_000_000)
    const file = join(gateway.folder, 'upload')
    writeFileSync(file, input)
    const target = join(server.home, 'uploaded')
    const args = ['-q', '-P', String(gateway.port), ...gateway.sshOptions, file, `alice+web@127.0.0.1:${target}`]
    const { code, stderr } = await finished(spawn('scp', args, { stdio: 'pipe' }))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(readFileSync(target).equals(input)).toBe(true)
  })
})
