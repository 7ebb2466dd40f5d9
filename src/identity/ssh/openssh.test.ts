import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import ssh2, { type AuthContext, type Connection } from 'ssh2'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../core/index.js'
import { KeyForge } from '../../core/ssh/ssh.test-support.js'
import { tokens, TokenStore } from '../index.js'
import {
  attemptOfSsh2,
  authorizedKeys,
  createSshIdentity,
  sshRevocations,
  sshTrust,
  tokenPrompt,
  type SshAdmission,
  type SshAttempt,
  type SshIdentity,
  type SshLogin,
  type SshTrust,
} from './index.js'

const KINDS: [string, string, number | undefined][] = [
  ['ed25519', 'ed25519', undefined],
  ['p256', 'ecdsa', 256],
  ['p384', 'ecdsa', 384],
  ['p521', 'ecdsa', 521],
  ['rsa', 'rsa', 2048],
]
const CLOCK = { nowUnixMs: () => Date.now() }

const forge = new KeyForge()
let trust: SshTrust
let identity: SshIdentity
let admissions: SshAdmission[] = []
let refusals: string[] = []

function attemptOf(context: AuthContext): SshAttempt {
  const { username: user, service } = context as AuthContext & { service: string }
  if (context.method === 'publickey') {
    return { method: 'publickey', ...attemptOfSsh2(context as unknown as Parameters<typeof attemptOfSsh2>[0]) }
  }
  if (context.method !== 'keyboard-interactive') return { method: 'other', name: context.method, user, service }
  return {
    method: 'keyboard-interactive',
    user,
    service,
    ask: ({ title, instructions, prompts }) =>
      new Promise((resolve) => {
        const list = prompts.map(({ text, isEchoed }) => ({ prompt: text, echo: isEchoed }))
        context.prompt(list, title, instructions, (answers) => resolve(answers.map((answer) => new Secret(answer))))
      }),
  }
}

/** What a driver does with ssh2, in little. */
async function authenticate(login: SshLogin, context: AuthContext, connection: Connection): Promise<void> {
  const answer = await login.attempt(attemptOf(context))
  if (answer.answer === 'accept') admissions.push(answer.admission)
  if ('refusal' in answer && answer.refusal !== undefined) refusals.push(answer.refusal.reason)
  if (answer.answer === 'accept' || answer.answer === 'acceptable') context.accept()
  else if (answer.answer === 'reject') context.reject([...answer.methodsLeft], answer.isPartial)
  else if (answer.answer === 'end') connection.end()
}

let server: ssh2.Server
beforeAll(async () => {
  forge.key('host', 'ed25519')
  forge.key('ca', 'ed25519')
  forge.key('rsa-ca', 'rsa', 2048)
  for (const [name, type, bits] of KINDS) forge.key(name, type, bits)
  server = new ssh2.Server({ hostKeys: [forge.read('host') + '\n'] }, (connection) => {
    const login = identity.open({ clientAddress: '127.0.0.1', resource: () => ({ name: 'web-1', protocol: 'ssh' }) })
    connection.on('authentication', (context) => void authenticate(login, context, connection))
    connection.on('error', () => {})
    connection.on('session', (accept) => {
      accept().on('exec', (acceptExec) => {
        const channel = acceptExec()
        channel.write('hello\n')
        channel.exit(0)
        channel.end()
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => {
  server.close()
  forge.remove()
})

/** Runs the real ssh; resolves to what it printed, or to nothing when it was not let in. */
async function ssh(user: string, key: string, ...options: string[]): Promise<string> {
  admissions = []
  refusals = []
  const { port } = server.address() as unknown as AddressInfo
  const batch = options.includes('-oBatchMode=no') ? [] : ['-oBatchMode=yes']
  const child = spawn(
    'ssh',
    [
      ...['-F', 'none', '-oStrictHostKeyChecking=no', '-oUserKnownHostsFile=/dev/null', '-oIdentitiesOnly=yes'],
      ...['-oIdentityAgent=none', '-oConnectTimeout=10', '-T', '-i', forge.path(key), '-p', String(port), '-l', user],
      ...batch,
      ...options,
      '127.0.0.1',
      'true',
    ],
    { stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: process.env['PATH'] ?? '', ...askpass() } },
  )
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  await once(child, 'close')
  return output.trim()
}

let token = ''
function askpass(): Record<string, string> {
  return { SSH_ASKPASS: forge.path('askpass'), SSH_ASKPASS_REQUIRE: 'force', TOKEN: token, DISPLAY: ':0' }
}

describe('the real ssh, through ssh2', () => {
  const only = (options: Parameters<typeof sshTrust>[0]): void => {
    trust = sshTrust(options)
    identity = createSshIdentity({ trust: () => trust, clock: CLOCK })
  }

  it('logs in with keys of every kind', async () => {
    const keys = KINDS.map(([name]) => forge.read(`${name}.pub`)).join('\n')
    only({ authorizedKeys: authorizedKeys([{ subject: { id: 'alice' }, keys }]) })
    for (const [name] of KINDS) {
      expect(await ssh('alice+web-1', name)).toBe('hello')
      expect(admissions).toMatchObject([{ subject: { id: 'alice' }, target: 'web-1' }])
      expect(await ssh('bob+web-1', name)).toBe('')
      expect(admissions).toEqual([])
    }
  })

  it('logs in with certificates of every kind, and with none that is not good', async () => {
    for (const authority of ['ca', 'rsa-ca']) {
      only({ authorities: [{ key: forge.read(`${authority}.pub`) }] })
      for (const [name] of KINDS) {
        forge.certify(authority, name, '-I', 'a key id', '-n', 'alice', '-z', '12', '-V', '-1m:+5m')
        expect(await ssh('alice%web-1', name, `-oCertificateFile=${forge.path(`${name}-cert.pub`)}`)).toBe('hello')
        expect(admissions).toMatchObject([{ keys: [{ certificate: { serial: '12', keyId: 'a key id' } }] }])
      }
    }
    const certified = async (...options: string[]): Promise<string> => {
      forge.certify('ca', 'p256', '-I', 'a key id', ...options)
      const output = await ssh('alice', 'p256', `-oCertificateFile=${forge.path('p256-cert.pub')}`)
      return output === '' ? (refusals[0] ?? 'never offered') : output
    }
    only({ authorities: [{ key: forge.read('ca.pub') }] })
    expect(await certified('-n', 'alice')).toBe('hello')
    expect(await certified('-n', 'alice', '-O', 'source-address=127.0.0.0/8')).toBe('hello')
    expect(await certified('-n', 'alice', '-O', 'source-address=10.0.0.0/8')).toBe('source-address')
    expect(await certified('-n', 'bob')).toBe('principals')
    expect(await certified()).toBe('principals')
    expect(await certified('-n', 'alice', '-O', 'critical:a@b=c')).toBe('critical-option')
    only({
      authorities: [{ key: forge.read('ca.pub') }],
      revocations: [sshRevocations({ certificates: [{ keyIds: ['a key id'] }] })],
    })
    expect(await certified('-n', 'alice')).toBe('revoked')
  })

  it('gives a token behind its key', async () => {
    const store = new TokenStore()
    store.issue(new Secret('right'), { subject: { id: 'alice' }, expiresAtUnixMs: Date.now() + 60_000 })
    const keys = forge.read('ed25519.pub')
    identity = createSshIdentity({
      chains: [['publickey', 'keyboard-interactive']],
      trust: () => sshTrust({ authorizedKeys: authorizedKeys([{ subject: { id: 'alice' }, keys }]) }),
      interactive: tokenPrompt(tokens({ find: store.find, clock: CLOCK })),
      clock: CLOCK,
    })
    forge.script('askpass', '#!/bin/sh\nprintf "%s\\n" "$TOKEN"\n')
    token = 'right'
    expect(await ssh('alice', 'ed25519', '-oBatchMode=no', '-oNumberOfPasswordPrompts=1')).toBe('hello')
    expect(admissions).toMatchObject([{ methods: ['publickey', 'keyboard-interactive'] }])
    token = 'wrong'
    expect(await ssh('alice', 'ed25519', '-oBatchMode=no', '-oNumberOfPasswordPrompts=1')).toBe('')
    token = 'right'
    expect(await ssh('alice', 'p256', '-oBatchMode=no', '-oNumberOfPasswordPrompts=1')).toBe('')
  })
})
