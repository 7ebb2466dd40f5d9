import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, type ClientChannel } from 'ssh2'
import { afterEach, beforeAll, afterAll, describe, expect, it } from 'vitest'
import type { SshGatewayLimits } from '../../../src/gateway/ssh/index.js'
import type { Rule } from '../../../src/policy/index.js'
import { MemoryRecordStore } from '../../../src/recording/index.js'
import { ALLOW_ALL, finished, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { verifiedRecordings } from '../../support/ssh-recordings.js'
import { startSshd, type SshdServer } from '../../support/sshd.js'
import { pause, until } from '../../support/until.js'

const CARD = '4111111111111111'
const MEBIBYTE = 1024 * 1024
const FULL: Rule = { id: 'full', recordLevel: 'full' }
const CARDS: Rule = { id: 'cards', mask: { detectors: ['card'] } }

let server: SshdServer
const gateways: TestSshGateway[] = []
const failures: unknown[] = []

beforeAll(async () => {
  server = await startSshd({ settings: ['RekeyLimit 1M'] })
})

afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.stop()
  if (failures.length > 0) throw new Error('the gateway failed', { cause: failures.splice(0)[0] })
})

afterAll(async () => {
  await server?.stop()
})

async function start(rules: readonly Rule[], limits: SshGatewayLimits = {}) {
  const memory = new MemoryRecordStore()
  const gateway = await startSshGateway({ server, rules, limits, store: memory })
  gateway.gateway.events.on('failed', (_info, error) => failures.push(error))
  gateways.push(gateway)
  return Object.assign(gateway, { memory })
}

describe('SSH-4 new keys every megabyte, on both sides', () => {
  const block = Buffer.alloc(MEBIBYTE, 'every line is of thirty-two b.\n')

  it.each([
    ['plain', [ALLOW_ALL]],
    ['masked', [ALLOW_ALL, CARDS]],
  ] as const)('%s: hold up nothing, and lose nothing', async (mode, rules) => {
    const mebibytes = mode === 'plain' ? 200 : 20
    const gateway = await start(rules, { rekeyBytes: MEBIBYTE })
    const child = gateway.spawnSsh(['cat'], { options: ['-v', '-o', 'RekeyLimit=1M'] })
    const [received, sent] = [createHash('sha256'), createHash('sha256')]
    let bytes = 0
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      received.update(chunk)
    })
    let exchanges = 0
    child.stderr.on('data', (chunk: Buffer) => {
      exchanges += chunk.toString().split('SSH2_MSG_NEWKEYS received').length - 1
    })
    const closed = once(child, 'close')
    for (let i = 0; i < mebibytes / 2; i++) {
      sent.update(block)
      if (!child.stdin.write(block)) await once(child.stdin, 'drain')
    }
    child.stdin.end()
    await closed
    expect(child.exitCode).toBe(0)
    // Half goes in, and the same half out.
    expect({ bytes, digest: received.digest('hex') }).toEqual({
      bytes: (mebibytes / 2) * MEBIBYTE,
      digest: sent.digest('hex'),
    })
    expect(exchanges).toBeGreaterThan(mebibytes / 8)
  })

  it('go on while channels are opened, and while nothing else passes', async () => {
    const gateway = await start([ALLOW_ALL], { rekeyBytes: 20_000 })
    const results = await Promise.all(
      Array.from({ length: 5 }, (_, index) =>
        gateway.ssh([`for i in 1 2 3; do head -c 100000 /dev/zero; sleep 0.05; done; exit ${index}`], {
          options: ['-o', 'RekeyLimit=16K'],
        }),
      ),
    )
    expect(results.map(({ code, stdout }) => [code, stdout.length])).toEqual(
      [0, 1, 2, 3, 4].map((code) => [code, 300_000]),
    )
  })
})

describe('many channels of one connection', () => {
  it('of every kind run at once, 20 of them, each as if it were alone', async () => {
    const gateway = await start([{ ...ALLOW_ALL, terminal: 'record' }])
    const control = join(gateway.folder, 'control')
    const master = finished(gateway.spawnSsh([], { options: ['-M', '-S', control, '-N'] }))
    await until(() => existsSync(control))
    const mux = (program: string, args: readonly string[], input?: string | Buffer) =>
      finished(
        spawn(program, ['-F', '/dev/null', '-o', `ControlPath=${control}`, ...args], {
          env: gateway.env,
          stdio: 'pipe',
        }),
        input,
      )
    const input = Buffer.alloc(700_000, 'into and out of a channel\n')
    const results = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const expected: { code: number; stdout: string } = { code: index, stdout: '' }
        let result: { code: number | null; stdout: string }
        if (index % 4 === 0) {
          result = await mux('ssh', ['x', `cat; exit ${index}`], input)
          expected.stdout = input.toString()
        } else if (index % 4 === 1) {
          result = await mux('ssh', ['-tt', 'x', `stty -onlcr; seq 1 5000; exit ${index}`])
          expected.stdout = Array.from({ length: 5_000 }, (_each, at) => `${at + 1}\n`).join('')
        } else if (index % 4 === 2) {
          result = await mux('ssh', ['x', `sleep 0.3; echo ${index} >&2; echo ${index}; exit ${index}`])
          expected.stdout = `${index}\n`
        } else {
          const file = join(gateway.folder, `got-${index}`)
          result = {
            ...(await mux('sftp', ['-q', '-b', '-', 'x'], `get ${server.home}/../sshd_config ${file}\n`)),
            stdout: '',
          }
          expected.code = 0
          expect(readFileSync(file, 'utf8')).toContain('RekeyLimit 1M')
        }
        return { code: result.code, stdout: result.stdout, expected }
      }),
    )
    for (const { code, stdout, expected } of results) expect({ code, stdout }).toEqual(expected)
    expect(gateway.gateway.connections.length).toBe(1)
    await mux('ssh', ['-O', 'exit', 'x'])
    await master
  })

  it('do not wait for one whose client does not read', async () => {
    const gateway = await start([ALLOW_ALL])
    const control = join(gateway.folder, 'control')
    const master = finished(gateway.spawnSsh([], { options: ['-M', '-S', control, '-N'] }))
    await until(() => existsSync(control))
    const args = ['-F', '/dev/null', '-S', control, 'x']
    const stuck = spawn('ssh', [...args, 'head -c 50000000 /dev/zero'], { env: gateway.env, stdio: 'pipe' })
    stuck.stdout.pause()
    await pause(300)
    for (let i = 0; i < 3; i++) {
      const other = await finished(spawn('ssh', [...args, 'seq 1 100000 | wc -l'], { env: gateway.env, stdio: 'pipe' }))
      expect(other).toMatchObject({ stdout: '100000\n', code: 0 })
    }
    let bytes = 0
    for await (const chunk of stuck.stdout) bytes += (chunk as Buffer).length
    expect(bytes).toBe(50_000_000)
    await finished(spawn('ssh', ['-S', control, '-O', 'exit', 'x'], { stdio: 'pipe' }))
    await master
  })
})

describe('masked output', () => {
  const digits = (text: string): string => text.replaceAll(/\x1b\[[\d;?]*[a-zA-Z]/g, '').replaceAll(/[^\d]/g, '')
  const cases: Record<string, string> = {
    'in one piece': `echo ${CARD}`,
    'digit by digit': `for d in 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1; do printf $d; sleep 0.01; done`,
    'in pieces on stderr': 'printf 41111111 >&2; sleep 0.05; echo 11111111 >&2',
    'in groups': 'echo "4111 1111 1111 1111"',
    'across escape sequences': `printf '4111\\033[1m1111\\033[0m11111\\033[31m111\\n'`,
    'across cut escape sequences': `printf '41111111\\033['; sleep 0.05; printf '31m11111111'`,
    'behind a cut letter': `printf '\\303'; sleep 0.05; printf '\\274'; printf 4111; sleep 0.05; printf 111111111111`,
    'at the very end, without a line end': `head -c 100000 /dev/zero | tr '\\0' x; printf ' ${CARD}'`,
    'across the edge of packets': `head -c 32760 /dev/zero | tr '\\0' ' '; printf ${CARD}; head -c 40000 /dev/zero | tr '\\0' ' '`,
    'a thousand times': `for i in $(seq 1000); do echo "$i ${CARD} x"; done`,
  }

  it.each(Object.entries(cases))('has no value left in it, however it comes: %s', async (_name, command) => {
    const gateway = await start([ALLOW_ALL, CARDS, FULL])
    const direct = await gateway.direct([command])
    const guarded = await gateway.ssh([command])
    expect(digits(direct.stdout) + digits(direct.stderr)).toContain(CARD)
    expect(digits(guarded.stdout)).not.toContain(CARD)
    expect(digits(guarded.stderr)).not.toContain(CARD)
    expect([guarded.code, guarded.stdout === '']).toEqual([direct.code, direct.stdout === ''])
    // Around the value, nothing is lost.
    const letters = (text: string): string => text.replaceAll(/[^x\u00fc]/g, '')
    expect(letters(guarded.stdout)).toBe(letters(direct.stdout))
    await gateway.gateway.drain(500)
    const recorded = (await verifiedRecordings(gateway.memory)).flat().filter(({ type }) => type === 'output')
    expect(recorded.length).toBeGreaterThan(0)
    const said = recorded
      .map(({ utf8, base64 }) => (typeof utf8 === 'string' ? utf8 : Buffer.from(String(base64), 'base64').toString()))
      .join('')
    expect(said.length).toBeGreaterThanOrEqual(guarded.stdout.length)
    expect(digits(said)).not.toContain(CARD)
  })

  it('that holds no value is the same, bytes of every kind too', async () => {
    const gateway = await start([ALLOW_ALL, CARDS])
    const script = `head -c 300000 ${process.execPath}; seq 1 20000; printf '\\377\\376\\303'; printf '\\033[' >&2`
    const [direct, guarded] = await Promise.all([gateway.direct([script]), gateway.ssh([script])])
    expect(guarded.bytes.stdout.equals(direct.bytes.stdout)).toBe(true)
    expect(guarded.bytes.stderr.equals(direct.bytes.stderr)).toBe(true)
  })

  it('does not hold up a question that ends in nothing, also in what could begin a value', async () => {
    const gateway = await start([ALLOW_ALL, CARDS])
    for (const question of ['Name: ', 'Card 4111', '4111 1111 ', '\u001b[1m? ']) {
      const child = gateway.spawnSsh([`printf '%s' '${question}'; read answer; echo "<$answer>"; exit 3`])
      let shown = ''
      child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString()))
      const closed = once(child, 'close')
      const begun = Date.now()
      await until(() => shown === question, 5_000)
      expect(Date.now() - begun).toBeLessThan(2_500)
      child.stdin.write('yes\n')
      await until(() => shown.includes('<yes>'))
      expect((await closed)[0]).toBe(3)
    }
  })
})

describe('ends of channels', () => {
  /** What OpenSSH's client never does. */
  function channel(port: number, username: string, privateKey: string, command: string) {
    const client = new Client()
    const seen: string[] = []
    let output = ''
    const keep = (chunk: Buffer): void => {
      output += chunk.toString()
    }
    let setClosed: () => void
    const closed = new Promise<void>((resolve) => {
      setClosed = resolve
    })
    interface Opened {
      readonly stream: ClientChannel
      readonly closed: Promise<void>
      readonly seen: string[]
      output(): string
    }
    return new Promise<Opened>((resolve, reject) => {
      client.on('error', reject)
      client.on('ready', () => {
        client.exec(command, (error, stream) => {
          if (error !== undefined) return reject(error)
          // At once: all of it may be in the same packet.
          stream.on('data', keep)
          stream.stderr.on('data', keep)
          stream.on('exit', (code: number | null, signal?: string) => seen.push(`exit ${code ?? signal}`))
          stream.on('end', () => seen.push('eof'))
          stream.on('close', () => {
            seen.push('close')
            client.end()
            setClosed()
          })
          resolve({ stream, closed, seen, output: () => output })
        })
      })
      client.connect({ host: '127.0.0.1', port, username, privateKey })
    })
  }

  type Opened = Awaited<ReturnType<typeof channel>>
  const orders: Record<string, readonly [command: string, act: (opened: Opened) => void | Promise<void>]> = {
    'the client’s end first': ['cat; exit 2', ({ stream }) => void stream.end('all')],
    'the client’s end before there is anything': ['sleep 0.2; echo late; exit 3', ({ stream }) => void stream.end()],
    'the target’s end first': [
      'exec >&- 2>&-; cat; sleep 0.2; exit 4',
      ({ stream }) => void setTimeout(() => stream.end('x'), 300),
    ],
    'the client’s end never': ['echo done; exit 5', () => undefined],
    'input after the command has ended': [
      'exit 6',
      async ({ stream }) => {
        await pause(300)
        stream.write('too late')
      },
    ],
    'the client closes while the target speaks': [
      'trap "" PIPE; for i in $(seq 50); do echo $i; sleep 0.01; done; exit 7',
      async ({ stream }) => {
        await pause(100)
        stream.close()
      },
    ],
  }

  it.each(Object.entries(orders))('come in any order: %s', async (name, [command, act]) => {
    const gateway = await start([ALLOW_ALL])
    const opened = await Promise.all([
      channel(server.port, server.user, server.privateKey, command),
      channel(gateway.port, 'alice+web', readFileSync(gateway.keyFile, 'utf8'), command),
    ])
    await Promise.all(opened.map(async (each) => act(each)))
    await Promise.all(opened.map(({ closed }) => closed))
    const [direct, guarded] = opened
    // ssh2 tells in an order of its own: it reads the rest of a stream when its reader is ready.
    expect(guarded.seen.toSorted()).toEqual(direct.seen.toSorted())
    if (!name.includes('closes while')) expect(guarded.output()).toBe(direct.output())
  })
})
