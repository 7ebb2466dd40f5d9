import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSshd, type SshdServer } from '../../support/sshd.js'

const MEBIBYTE = 1024 * 1024
/** What a garbage collector may leave lying about, and a few windows. What passes is larger by far. */
const MOST_GROWTH = 100 * MEBIBYTE
const SOURCE = join(import.meta.dirname, '../../support/ssh-gateway-process.ts')
const LINE = 'GET /items?page=42 HTTP/1.1 200 5316 "Mozilla/5.0 (X11; Linux x86_64)" user=alice\n'

let server: SshdServer
let file: string
/** Of the file's MEBIBYTE. */
const block = Buffer.alloc(MEBIBYTE, LINE)
const FILE_MEBIBYTES = 64

beforeAll(async () => {
  server = await startSshd()
  file = join(server.home, 'big')
  const to = openSync(file, 'w')
  for (let i = 0; i < FILE_MEBIBYTES; i++) writeSync(to, block)
  closeSync(to)
})

afterAll(async () => {
  await server?.stop()
})

class GatewayProcess {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  args: readonly string[] = []
  env: NodeJS.ProcessEnv = {}

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  }

  static async start(mode: 'plain' | 'masked'): Promise<GatewayProcess> {
    const args = ['--import', 'tsx', SOURCE, JSON.stringify(server), mode]
    const self = new GatewayProcess(spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] }))
    Object.assign(self, JSON.parse(String((await self.#lines.next()).value)))
    return self
  }

  async residentBytes(): Promise<number> {
    this.#child.stdin?.write('\n')
    return Number((await this.#lines.next()).value)
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end()
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
  }
}

/** Lets `ssh` run a command, and looks at what passes without keeping it. */
async function pass(gateway: GatewayProcess, command: string, inputMebibytes = 0) {
  const child = spawn('ssh', [...gateway.args, command], { env: gateway.env, stdio: ['pipe', 'pipe', 'inherit'] })
  const hash = createHash('sha256')
  let bytes = 0
  let peak = 0
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    hash.update(chunk)
  })
  let isOver = false
  const sampling = (async () => {
    while (!isOver) {
      peak = Math.max(peak, await gateway.residentBytes())
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  const closed = once(child, 'close')
  for (let i = 0; i < inputMebibytes; i++) if (!child.stdin.write(block)) await once(child.stdin, 'drain')
  child.stdin.end()
  await closed
  isOver = true
  await sampling
  expect(child.exitCode).toBe(0)
  return { bytes, digest: hash.digest('hex'), peak }
}

function digestOf(mebibytes: number): string {
  const hash = createHash('sha256')
  for (let i = 0; i < mebibytes; i++) hash.update(block)
  return hash.digest('hex')
}

describe.each([
  ['plain', 1_024],
  ['masked', 128],
] as const)('the memory of a gateway, %s', (mode, mebibytes) => {
  it(`does not grow with ${mebibytes} MiB through cat, out of it, or into it and back`, async () => {
    const gateway = await GatewayProcess.start(mode)
    try {
      await pass(gateway, `cat ${file}`)
      const before = await gateway.residentBytes()
      const names = Array.from({ length: mebibytes / FILE_MEBIBYTES }, () => file).join(' ')
      const out = await pass(gateway, `cat ${names}`)
      expect({ bytes: out.bytes, digest: out.digest }).toEqual({
        bytes: mebibytes * MEBIBYTE,
        digest: digestOf(mebibytes),
      })
      const back = await pass(gateway, 'cat', mebibytes / 4)
      expect({ bytes: back.bytes, digest: back.digest }).toEqual({
        bytes: (mebibytes / 4) * MEBIBYTE,
        digest: digestOf(mebibytes / 4),
      })
      expect(Math.max(out.peak, back.peak) - before).toBeLessThan(MOST_GROWTH)
    } finally {
      await gateway.stop()
    }
  })
})
