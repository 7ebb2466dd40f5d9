import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ssh2, { type Client, type ClientChannel } from 'ssh2'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Rule } from '../../../src/policy/index.js'
import { startSshd, type SshdServer } from '../../support/sshd.js'
import { startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'

/** Only `echo`, `sleep` and `stty` may run. */
const RULES: Rule[] = [
  { id: 'shell', effect: 'allow', match: { kinds: ['terminal', 'ssh-request'] }, terminal: 'guarded' },
  { id: 'echo', effect: 'allow', match: { kinds: 'shell', programs: ['echo', 'sleep', 'stty'] } },
]

let server: SshdServer
let gateway: TestSshGateway

beforeAll(async () => {
  server = await startSshd()
  gateway = await startSshGateway({ server, rules: RULES })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

function connect(): Promise<Client> {
  const client = new ssh2.Client()
  return new Promise((resolve, reject) => {
    client.once('ready', () => resolve(client))
    client.once('error', reject)
    client.connect({
      host: '127.0.0.1',
      port: gateway.port,
      username: 'alice+web',
      privateKey: readFileSync(gateway.keyFile),
    })
  })
}

/** A guarded shell whose terminal is asked for with these modes. */
async function shell(
  modes: Record<string, number>,
): Promise<{ client: Client; channel: ClientChannel; shown(): string }> {
  const client = await connect()
  let shown = ''
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    client.shell({ term: 'xterm', cols: 200, modes } as never, (error, stream) => {
      if (error === undefined) resolve(stream)
      else reject(error)
    })
  })
  channel.on('data', (data: Buffer) => {
    shown += data.toString()
  })
  await until(() => /[$#] $/.test(shown))
  return { client, channel, shown: () => shown }
}

async function until(check: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    if (check()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it did not happen in time')
}

describe('a guarded terminal', () => {
  it.each([
    ['a letter for the key that kills the line', { VKILL: 0x4b }, (file: string) => `echo aKtouch ${file}`],
    ['a letter for the key that ends a line', { VEOL: 0x4c }, (file: string) => `echo aL touch ${file}`],
    ['a letter for the key that ends the input', { VEOF: 0x4d }, (file: string) => `echo aM touch ${file}`],
    ['letters changed to small ones', { IUCLC: 1 }, (file: string) => `echo $(Echo a) ${file}`],
    ['a letter for the key that interrupts', { VINTR: 0x4e }, (file: string) => `echo aN touch ${file}`],
    ['erasing what was judged', { VERASE: 0x45 }, (file: string) => `echo ${'E'.repeat(5)}touch ${file}`],
  ])(
    'TTY-1 sends a line that is read as it was judged, whatever modes its client asks for: %s',
    async (name, modes, line) => {
      const file = join(server.home, `made-${name.replaceAll(' ', '-')}`)
      const { client, channel, shown } = await shell(modes)
      channel.write(`${line(file)}\r`)
      await new Promise((resolve) => setTimeout(resolve, 300))
      channel.write('echo en""d\r')
      await until(() => shown().includes('\nend')).catch(() => undefined)
      expect(existsSync(file), shown()).toBe(false)
      expect(shown()).toContain('\nend')
      client.end()
    },
  )
})

it('ends a session in which nobody does anything, though its shell runs, and none in which a command runs', async () => {
  const idle = await startSshGateway({
    server,
    rules: [...RULES, { id: 'all', effect: 'allow', evenIfUnparsed: true }],
    limits: { idleTimeoutMs: 1_500 },
  })
  const busy = idle.ssh(['sleep 4; echo done'])
  const shell = idle.spawnSsh([], { options: ['-tt'] })
  const started = Date.now()
  await new Promise((resolve) => shell.once('close', resolve))
  expect(Date.now() - started).toBeLessThan(4_000)
  expect(await busy).toMatchObject({ code: 0, stdout: 'done\n' })
  await idle.stop()
})
