import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Client } from 'ssh2'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MemoryRecordStore } from '../../../src/recording/index.js'
import { ALLOW_ALL, finished, type SshRun, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { verifiedRecordings } from '../../support/ssh-recordings.js'
import { startSshd, type SshdServer } from '../../support/sshd.js'
import { until } from '../../support/until.js'

let server: SshdServer
let gateway: TestSshGateway
const store = new MemoryRecordStore()
const failures: unknown[] = []

beforeAll(async () => {
  server = await startSshd()
  gateway = await startSshGateway({ server, store, rules: [{ ...ALLOW_ALL, terminal: 'record' }] })
  gateway.gateway.events.on('failed', (_info, error) => failures.push(error))
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

afterEach(() => {
  if (failures.length > 0) throw new Error('the gateway failed', { cause: failures.splice(0)[0] })
})

const binary = randomBytes(400_000)

/** What each does with its streams is what differs. */
const COMMANDS: Record<string, readonly [command: string, run?: SshRun]> = {
  'that says nothing': ['true'],
  'that fails': ['false'],
  'that is not there': ['/no/such/program --help'],
  'that the shell cannot read': ['if then fi ('],
  'with the highest status': ['exit 255'],
  'with a status above a byte': ['exit 258'],
  'with stdout and stderr': ['echo out; echo err >&2; exit 3'],
  'that ends by SIGTERM': ['kill -TERM $$'],
  'that ends by SIGKILL': ['echo before; kill -KILL $$'],
  'that ends by SIGSEGV': ['kill -SEGV $$'],
  'that ends by a signal SSH has no name for': ['kill -SYS $$'],
  'whose child ends by a signal': ['sh -c "kill -TERM \\$\\$"; echo $?'],
  'without an input': ['cat', { options: ['-n'] }],
  'with an empty input': ['cat; echo end', { input: '' }],
  'that copies its input': ['cat', { input: 'x' }],
  'that copies bytes of every kind': ['cat', { input: binary }],
  'that copies its input to stderr': ['cat >&2', { input: binary }],
  'that copies its input to both': ['tee /dev/stderr', { input: binary }],
  'that does not read its input': ['exit 4', { input: binary }],
  'that reads a part of its input': ['head -c 1000', { input: binary }],
  'that closes its stdin, and goes on': ['exec <&-; sleep 0.2; echo on', { input: binary }],
  'that answers at the end of its input': ['cat >/dev/null; echo ended; exit 2', { input: binary }],
  'that closes its stdout first': ['echo a; exec >&-; sleep 0.1; echo b >&2; exit 5'],
  'that closes its stderr first': ['echo a >&2; exec 2>&-; sleep 0.1; echo b; exit 6'],
  'that closes both and goes on': ['echo a; exec >&- 2>&-; sleep 0.3; exit 7'],
  'that leaves a child with its output behind': ['(sleep 0.3; echo late; echo late >&2) & echo first; exit 8'],
  'that says much and fails': ['head -c 3000000 /dev/zero; exit 9'],
  'that says much on stderr': ['head -c 3000000 /dev/zero >&2; exit 10'],
  'of thirty kilobytes': [`: ${'x'.repeat(30_000)}; echo long`],
  'of many lines': ['echo one\necho two\n# three\necho "$(cat <<E\nfour\nE\n)"'],
  'with bytes that are no UTF-8 in its output': ["printf '\\377\\376\\000\\200'; printf '\\303' >&2"],
  'with variables': ['echo "$TEST_A|$TEST_B|$OTHER"', { options: ['-o', 'SetEnv=TEST_A=one TEST_B="t w o" OTHER=x'] }],
  'that wants a terminal': ['tty; test -t 0; echo $?'],
  'on a terminal': ['tty | tr -d 0-9; stty -a; exit 11', { options: ['-tt'] }],
  'on a terminal, ended by a signal': ['kill -HUP $$', { options: ['-tt'] }],
  'with stderr on a terminal': ['echo err >&2; echo out', { options: ['-tt'] }],
  'on a terminal that says much': ['seq 1 50000', { options: ['-tt'] }],
  'on a terminal, with an input that ends': ['cat; echo end', { options: ['-tt'], input: 'typed\n\x04' }],
  'that is none but a shell, without a terminal': ['', { input: 'echo in $((40 + 2)); exit 12\n' }],
}

describe('a command', () => {
  it.each(Object.entries(COMMANDS))('%s is the same as without a gateway', async (_name, [command, run = {}]) => {
    const args = command === '' ? [] : [command]
    const [direct, guarded] = await Promise.all([gateway.direct(args, run), gateway.ssh(args, run)])
    expect({ ...guarded, bytes: undefined }).toEqual({ ...direct, bytes: undefined })
    expect(guarded.bytes.stdout.equals(direct.bytes.stdout)).toBe(true)
    expect(guarded.bytes.stderr.equals(direct.bytes.stderr)).toBe(true)
  })

  it('is the same on a terminal of any kind and modes', async () => {
    const run = { options: ['-tt'], env: { TERM: 'vt220' } }
    const command = ['echo $TERM; stty -a; stty raw -echo; stty -a; tput cols']
    expect(await gateway.ssh(command, run)).toEqual(await gateway.direct(command, run))
  })

  it('ends on the target when its client leaves', async () => {
    for (const mark of ['314159', '271828']) {
      const child = gateway.spawnSsh([`echo $$; exec sleep ${mark}`], mark === '314159' ? {} : { options: ['-tt'] })
      let pid = ''
      child.stdout.on('data', (chunk: Buffer) => {
        pid += chunk.toString()
      })
      await until(() => pid.includes('\n'))
      child.kill('SIGKILL')
      const runs = () => {
        try {
          return readFileSync(`/proc/${pid.trim()}/cmdline`, 'utf8').includes(mark)
        } catch {
          return false
        }
      }
      if (mark === '314159') {
        // Without a terminal nothing tells a program, through a gateway or not: it ends at its next output.
        process.kill(Number(pid.trim()))
      }
      await until(() => !runs())
    }
  })

  it('ends when nobody reads its output any more', async () => {
    for (const args of [gateway.directArgs(['yes']), gateway.sshArgs(['yes'])]) {
      const script = 'ssh "$@" | head -n 2; echo "${PIPESTATUS[0]}"'
      const child = spawn('bash', ['-c', script, 'bash', ...args], {
        env: gateway.env,
        stdio: 'pipe',
      })
      const { stdout } = await finished(child)
      expect(stdout.split('\n').slice(0, 2)).toEqual(['y', 'y'])
      expect(stdout.split('\n')[2]).not.toBe('0')
    }
  })
})

describe('signals', () => {
  interface Ending {
    readonly code: number | null
    readonly signal: string | undefined
    readonly hasCore: boolean | undefined
    readonly output: string
  }

  /** OpenSSH's client sends no signals, and does not say which one it was told of. */
  function withSsh2(port: number, username: string, privateKey: string, command: string, signal?: string) {
    return new Promise<Ending>((resolve, reject) => {
      const client = new Client()
      client.on('error', reject)
      client.on('ready', () => {
        client.exec(command, (error, channel) => {
          if (error !== undefined) return reject(error)
          let output = ''
          channel.on('data', (chunk: Buffer) => {
            output += chunk.toString()
            if (output === 'ready\n' && signal !== undefined) channel.signal(signal)
          })
          let ending: Omit<Ending, 'output'> | undefined
          channel.on('exit', (code: number | null, name?: string, hasCore?: boolean) => {
            ending = { code, signal: name, hasCore: hasCore === undefined ? undefined : Boolean(hasCore) }
          })
          channel.on('close', () => {
            client.end()
            if (ending === undefined) reject(new Error('the command did not say how it ended'))
            else resolve({ ...ending, output })
          })
        })
      })
      client.connect({ host: '127.0.0.1', port, username, privateKey })
    })
  }

  const both = (command: string, signal?: string) =>
    Promise.all([
      withSsh2(server.port, server.user, server.privateKey, command, signal),
      withSsh2(gateway.port, 'alice+web', readFileSync(gateway.keyFile, 'utf8'), command, signal),
    ])

  it.each(['TERM', 'KILL', 'SEGV', 'PIPE', 'USR1', 'ALRM'])('by which a command ends are told: SIG%s', async (name) => {
    const [direct, guarded] = await both(`kill -${name} $$`)
    expect(guarded).toEqual(direct)
    expect(guarded.signal).toContain(name)
  })

  it.each(['TERM', 'INT', 'USR1', 'HUP'])('reach a command: SIG%s', async (name) => {
    const [direct, guarded] = await both(
      `trap 'echo got; exit 21' ${name}; echo ready; while :; do sleep 0.05; done`,
      name,
    )
    expect(guarded).toEqual(direct)
    expect(guarded).toMatchObject({ code: 21, output: 'ready\ngot\n' })
  })
})

describe('the record of all of it', () => {
  it('has an end, and is verified', async () => {
    await gateway.gateway.drain(1_000)
    const recordings = await verifiedRecordings(store)
    expect(recordings.length).toBeGreaterThan(Object.keys(COMMANDS).length)
    for (const lines of recordings) {
      const { totals } = lines.at(-1) as unknown as { totals: { commands: number; answers: number; refused: number } }
      expect(totals).toMatchObject({ answers: totals.commands, refused: 0 })
    }
  })
})
