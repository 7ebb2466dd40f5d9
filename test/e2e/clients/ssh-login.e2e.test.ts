import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../../src/core/index.js'
import {
  issuedSshCertificates,
  knownHosts,
  pinnedHostKeys,
  type SshCredentialProvider,
  staticSshCredentials,
} from '../../../src/credentials/ssh/index.js'
import { system } from '../../../src/gateway/index.js'
import { authorizedKeys, createSshIdentity, sshTrust } from '../../../src/identity/ssh/index.js'
import {
  ALICE,
  ALLOW_ALL,
  startSshGateway,
  type SshResult,
  type SshRun,
  type TestSshGateway,
  type TestSshGatewayOptions,
} from '../../support/ssh-gateway.js'
import { freePort, makeKey, runKeygen, startSshd, type SshdServer } from '../../support/sshd.js'
import { pause, until } from '../../support/until.js'

const PASSWORD = 'correct horse battery staple'
const KEYS = [
  ['ed25519'],
  ['ecdsa', '-b', '256'],
  ['ecdsa', '-b', '384'],
  ['ecdsa', '-b', '521'],
  ['rsa', '-b', '2048'],
  ['rsa', '-b', '4096'],
] as const

/** Where sshd, which may run as somebody else, can read it. */
const folder = mkdtempSync(join(tmpdir(), 'sallyport-login-'))
const at = (name: string): string => join(folder, name)
const text = (name: string): string => readFileSync(at(name), 'utf8')

let server: SshdServer
let agent: ChildProcess
const gateways: TestSshGateway[] = []

beforeAll(async () => {
  spawnSync('chmod', ['755', folder])
  for (const name of ['ca', 'other-ca', 'host', 'unexpected']) makeKey(at(name), 'ed25519')
  for (const [type, ...options] of KEYS) makeKey(at(`key-${type}${options.join('')}`), type, ...options)
  agent = spawn('ssh-agent', ['-D', '-a', at('agent')], { stdio: 'ignore' })
  await until(() => existsSync(at('agent')))
  server = await startSshd({
    password: PASSWORD,
    settings: [`TrustedUserCAKeys ${at('ca.pub')}`, 'LogLevel DEBUG1', 'MaxAuthTries 20'],
  })
})

afterAll(async () => {
  agent?.kill()
  for (const gateway of gateways) await gateway.stop()
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function start(options: Partial<TestSshGatewayOptions> = {}): Promise<TestSshGateway> {
  const gateway = await startSshGateway({ server, ...options })
  gateways.push(gateway)
  return gateway
}

function add(...args: string[]): void {
  const { status, stderr } = spawnSync('ssh-add', ['-q', ...args], {
    env: { PATH: process.env['PATH'], SSH_AUTH_SOCK: at('agent') },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`ssh-add: ${stderr}`)
}

describe('a key in an agent', () => {
  it.each(KEYS.map(([type, ...options]) => `${type}${options.join('')}`))('lets its holder in: %s', async (name) => {
    const keys = authorizedKeys([{ user: 'alice', subject: ALICE, keys: text(`key-${name}.pub`) }])
    const trust = sshTrust({ authorizedKeys: keys })
    const gateway = await start({ identity: createSshIdentity({ trust: () => trust, clock: system.clock }) })
    add(at(`key-${name}`))
    // The private key is nowhere but in the agent.
    const options = ['-o', `IdentityAgent=${at('agent')}`, '-o', `IdentityFile=${at(`key-${name}.pub`)}`]
    expect(await gateway.ssh(['echo in'], { options })).toMatchObject({ stdout: 'in\n', stderr: '', code: 0 })
    add('-D')
    expect((await gateway.ssh(['echo in'], { options })).code).toBe(255)
  })

  it('lets its holder in by a certificate of it, of every type', async () => {
    const gateway = await start({ identity: identityOf('ca') })
    for (const [type, ...more] of KEYS) {
      const name = `key-${type}${more.join('')}`
      runKeygen('-q', '-s', at('ca'), '-I', name, '-n', 'alice', at(`${name}.pub`))
      add(at(name))
      const options = ['-o', `IdentityAgent=${at('agent')}`, '-o', `CertificateFile=${at(`${name}-cert.pub`)}`]
      const result = await gateway.ssh(['echo in'], { options: [...options, '-i', at(`${name}.pub`)] })
      expect(result, name).toMatchObject({ stdout: 'in\n', code: 0 })
      add('-D')
      rmSync(at(`${name}-cert.pub`))
    }
  })

  it('is tried after others, as many as an agent has', async () => {
    const keys = authorizedKeys([{ user: 'alice', subject: ALICE, keys: text('key-rsa-b2048.pub') }])
    const trust = sshTrust({ authorizedKeys: keys })
    const gateway = await start({ identity: createSshIdentity({ trust: () => trust, clock: system.clock }) })
    for (const name of ['key-ed25519', 'key-ecdsa-b256', 'key-ecdsa-b384', 'key-rsa-b2048']) add(at(name))
    const options = ['-o', `IdentityAgent=${at('agent')}`, '-o', 'IdentitiesOnly=no']
    expect(await gateway.ssh(['echo in'], { options })).toMatchObject({ stdout: 'in\n', code: 0 })
    add('-D')
  })
})

function identityOf(...authorities: string[]): NonNullable<TestSshGatewayOptions['identity']> {
  const trust = sshTrust({ authorities: authorities.map((name) => ({ key: text(`${name}.pub`) })) })
  return createSshIdentity({ trust: () => trust, clock: system.clock })
}

describe('a certificate', () => {
  let gateway: TestSshGateway

  beforeAll(async () => {
    gateway = await start({ identity: identityOf('ca'), rules: [{ ...ALLOW_ALL, terminal: 'record' }] })
    makeKey(at('user'), 'ed25519')
  })

  interface Case {
    /** Of `ssh-keygen`, after the authority. */
    readonly args: readonly string[]
    readonly authority?: string
    readonly run?: SshRun
    readonly command?: string
    /** Default: refused. */
    readonly stdout?: string
  }

  const both = ['-n', 'alice,USER']
  const cases: Record<string, Case> = {
    'that is good': { args: both, stdout: 'in\n' },
    'that is good for now': { args: [...both, '-V', '-1m:+5m'], stdout: 'in\n' },
    'that has expired': { args: [...both, '-V', '-2h:-1h'] },
    'that is not valid yet': { args: [...both, '-V', '+1h:+2h'] },
    'of another principal': { args: ['-n', 'bob'] },
    'of no principals': { args: [] },
    'of an authority nobody trusts': { args: both, authority: 'other-ca' },
    'of a host': { args: ['-h', ...both] },
    'signed by a key that is itself certified': { args: both, authority: 'key-ed25519' },
    'good from here': { args: [...both, '-O', 'source-address=127.0.0.0/8,10.0.0.0/8'], stdout: 'in\n' },
    'good from elsewhere': { args: [...both, '-O', 'source-address=10.0.0.0/8'] },
    'that forces a command': {
      args: [...both, '-O', 'force-command=echo forced: $SSH_ORIGINAL_COMMAND'],
      stdout: 'forced: echo in\n',
    },
    'with a critical option nobody knows': { args: [...both, '-O', 'critical:no-such-option@example.com=1'] },
    'with an extension nobody knows': { args: [...both, '-O', 'extension:nothing@example.com=1'], stdout: 'in\n' },
    'with nothing but the right to log in': { args: [...both, '-O', 'clear'], stdout: 'in\n' },
  }

  async function attempt({ args, authority = 'ca', run = {}, command = 'echo in' }: Case): Promise<SshResult[]> {
    const named = args.map((arg) => arg.replace('USER', server.user))
    runKeygen('-q', '-s', at(authority), '-I', 'id', ...named, at('user.pub'))
    const options = [...(run.options ?? []), '-o', `CertificateFile=${at('user-cert.pub')}`]
    // Neither of the keys that are let in without one.
    const only = (all: string[]) =>
      all.map((arg) => (arg.startsWith('IdentityFile=') ? `IdentityFile=${at('user')}` : arg))
    const results: SshResult[] = []
    for (const argv of [gateway.directArgs([command], { options }), gateway.sshArgs([command], { options })]) {
      const { status, stdout, stderr } = await spawned(only(argv), gateway.env, run.input?.toString())
      results.push({ code: status, signal: null, stdout, stderr, bytes: { stdout: Buffer.of(), stderr: Buffer.of() } })
    }
    return results
  }

  it.each(Object.entries(cases))('%s is taken for what it is, as OpenSSH does', async (_name, test) => {
    const [direct, guarded] = await attempt(test)
    expect({ code: guarded?.code, stdout: guarded?.stdout }).toEqual({ code: direct?.code, stdout: direct?.stdout })
    expect(guarded).toMatchObject(
      test.stdout === undefined ? { code: 255, stdout: '' } : { code: 0, stdout: test.stdout },
    )
  })

  it('without the right to a terminal gets none, as with OpenSSH', async () => {
    const run = { options: ['-tt', '-o', 'LogLevel=INFO'] }
    for (const [args, has] of [
      [[...both, '-O', 'clear'], false],
      [[...both, '-O', 'no-pty'], false],
      [both, true],
    ] as const) {
      for (const { stdout, stderr } of await attempt({ args, run, command: 'tty' })) {
        expect(stdout.includes('/dev/pts/')).toBe(has)
        expect(stderr.includes('PTY allocation request failed')).toBe(!has)
      }
    }
  })

  it('without the right to forward connections opens none, as with OpenSSH', async () => {
    for (const [args, has] of [
      [[...both, '-O', 'no-port-forwarding'], false],
      [both, true],
    ] as const) {
      const run = { options: ['-W', `127.0.0.1:${server.port}`], input: 'SSH-2.0-x\r\n' }
      for (const { stdout } of await attempt({ args, run, command: '' })) {
        expect(stdout.startsWith('SSH-2.0-OpenSSH')).toBe(has)
      }
    }
  })
})

async function spawned(args: readonly string[], env: NodeJS.ProcessEnv, input = '') {
  const child = spawn(
    'ssh',
    args.filter((arg) => arg !== ''),
    { env, stdio: 'pipe' },
  )
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  child.stdin.on('error', () => undefined)
  // With its input ended it leaves before it is answered.
  if (input === '') child.stdin.end()
  else child.stdin.write(input)
  const timer = setTimeout(() => child.stdin.end(), 500)
  const status = await new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  clearTimeout(timer)
  return { status, stdout, stderr }
}

describe('the target', () => {
  it('is named in the user name, either way, or by the listener', async () => {
    const gateway = await start()
    for (const login of ['alice+web', 'alice%web']) {
      expect(await gateway.ssh(['echo in'], { login })).toMatchObject({ stdout: 'in\n', code: 0 })
    }
    for (const login of ['alice', 'alice+', 'alice+web+web', 'alice+nowhere', 'alice%%web', '+web', 'web', 'bob+web']) {
      expect(await gateway.ssh(['echo in'], { login }), login).toMatchObject({ stdout: '', code: 255 })
    }
    const bound = await start({ isBound: true })
    for (const login of ['alice', 'alice+web', 'alice%web']) {
      expect(await bound.ssh(['echo in'], { login })).toMatchObject({ stdout: 'in\n', code: 0 })
    }
    for (const login of ['alice+other', 'alice%other', 'bob']) {
      expect(await bound.ssh(['echo in'], { login }), login).toMatchObject({ stdout: '', code: 255 })
    }
  })
})

describe('the gateway', () => {
  const password = (secret: string): SshCredentialProvider =>
    staticSshCredentials({ web: { method: 'password', user: server.user, password: new Secret(secret) } })
  const issued = () =>
    issuedSshCertificates({
      authority: { privateKey: new Secret(text('ca')) },
      user: () => server.user,
      random: (count) => randomBytes(count),
      clock: system.clock,
    })

  it('logs in by password, key and issued certificate, as the target’s own log says', async () => {
    const credentials: [SshCredentialProvider | undefined, RegExp][] = [
      [password(PASSWORD), /Accepted password for \S+ from/],
      [undefined, /Accepted publickey for \S+ from .* ssh2: ED25519 SHA256:\S+\s/],
      [issued(), /Accepted publickey for \S+ from .* ssh2: ED25519-CERT SHA256:.*sallyport alice on web/],
    ]
    for (const [provider, logged] of credentials) {
      const gateway = await start(provider === undefined ? {} : { credentials: provider })
      const from = server.log().length
      expect(await gateway.ssh(['echo in; exit 3'])).toMatchObject({ stdout: 'in\n', stderr: '', code: 3 })
      expect(server.log().slice(from)).toMatch(logged)
    }
  })

  it('tells the operator that a target did not take its credential, and nobody which one that was', async () => {
    const wrong = `wrong-${randomBytes(8).toString('hex')}`
    for (const credentials of [
      password(wrong),
      staticSshCredentials({
        web: { method: 'key', user: server.user, privateKey: new Secret(text('unexpected')) },
      }),
    ]) {
      const gateway = await start({ credentials })
      const codes: string[] = []
      gateway.gateway.events.on('failed', (_info, error) => {
        codes.push(error.code)
        expect(JSON.stringify([error.message, error.cause, error.stack])).not.toContain(wrong)
      })
      const { code, stdout, stderr } = await gateway.ssh(['echo in'], { options: ['-o', 'LogLevel=DEBUG'] })
      expect({ code, stdout }).toEqual({ code: 255, stdout: '' })
      expect(stderr).toContain('the target cannot be reached')
      expect(stderr).not.toContain(wrong)
      expect(codes).toEqual(['upstream_authentication_failed'])
    }
  })

  it('sends nothing secret to a target whose host key has changed', async () => {
    const name = `[127.0.0.1]:${server.port}`
    const other = text('unexpected.pub').split(' ').slice(0, 2).join(' ')
    for (const hostKeys of [
      pinnedHostKeys([text('unexpected.pub').trim()]),
      knownHosts(`${name} ${other}\n`),
      knownHosts(`@revoked * ${server.hostKeyLine}\n${name} ${server.hostKeyLine}\n`),
      knownHosts('elsewhere.example.com ' + other),
    ]) {
      for (const credentials of [password(PASSWORD), undefined, issued()]) {
        const gateway = await start({ hostKeys, ...(credentials === undefined ? {} : { credentials }) })
        const from = server.log().length
        const { code, stdout } = await gateway.ssh(['echo in'])
        expect({ code, stdout }).toEqual({ code: 255, stdout: '' })
        await pause(50)
        const log = server.log().slice(from)
        expect(log).toContain('Connection from 127.0.0.1')
        // Not even for whom: that would be the first message behind the keys.
        expect(log).not.toMatch(/userauth-request|Failed|Accepted|Invalid user/)
        expect(log).not.toContain('SSH2_MSG_NEWKEYS received')
      }
    }
    // The same words are there when somebody does log in.
    const from = server.log().length
    await (await start({ credentials: password(PASSWORD) })).ssh(['true'])
    expect(server.log().slice(from)).toMatch(/userauth-request[^]*Accepted password/)
  })

  it('sends nothing to a target that speaks no SSH, and says that it cannot be reached', async () => {
    let received = ''
    const port = await freePort()
    const http: Server = createServer((socket) => {
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1')
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      })
      socket.on('error', () => undefined)
    }).listen(port, '127.0.0.1')
    const gateway = await start({ server: { ...server, port }, credentials: password(PASSWORD) })
    expect(await gateway.ssh(['echo in'])).toMatchObject({ code: 255, stdout: '' })
    expect(received).toMatch(/^SSH-2\.0-/)
    expect(received).not.toContain(PASSWORD)
    http.close()
  })
})
