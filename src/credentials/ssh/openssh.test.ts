import { createPrivateKey, randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import ssh2, { type ParsedKey } from 'ssh2'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret, type SshSignatureAlgorithm } from '../../core/index.js'
import { KeyForge } from '../../core/ssh/ssh.test-support.js'
import { startSshd, type SshdServer } from '../../../test/support/sshd.js'
import {
  bareSignature,
  certificateLogin,
  issuedSshCertificates,
  knownHosts,
  mendCertificateRequest,
  pinnedHostKeys,
  type HostKeys,
  type SshCredentials,
} from './index.js'

const forge = new KeyForge()
const servers = new Map<string, SshdServer>()
/** Where sshd, which runs as somebody else, can read it. */
const authorityFile = (authority: string): string => `/tmp/sallyport-ca-${process.pid}-${authority}.pub`
beforeAll(async () => {
  forge.key('ca', 'ed25519')
  forge.key('rsa-ca', 'rsa', 2048)
  for (const authority of ['ca', 'rsa-ca']) {
    const file = authorityFile(authority)
    writeFileSync(file, `${forge.read(`${authority}.pub`)}\n`, { mode: 0o644 })
    servers.set(authority, await startSshd({ settings: [`TrustedUserCAKeys ${file}`] }))
  }
}, 30_000)
afterAll(async () => {
  for (const [authority, server] of servers) {
    await server.stop()
    rmSync(authorityFile(authority), { force: true })
  }
  forge.remove()
})
const serverOf = (authority: string): SshdServer => servers.get(authority) as SshdServer

interface Wire {
  readonly _protocol: {
    readonly _packetRW: {
      readonly write: { readonly allocStart: number; alloc(bytes: number): Buffer; finalize(packet: Buffer): Buffer }
    }
  }
}

/**
 * ssh2's key object with a certificate in the place of its public key. ssh2 puts the request's algorithm before the signature and sends
 * it in the same turn in which it was made: that one message is mended on its way out.
 */
function certifiedKey(client: ssh2.Client, parsed: ParsedKey, certificate: Uint8Array): ParsedKey {
  const login = certificateLogin(certificate)
  const key = createPrivateKey(parsed.getPrivatePEM())
  const replaced = {
    type: login.algorithm,
    getPublicSSH: () => Buffer.from(login.blob),
    sign: (data: Buffer) => {
      mendNextMessage(client)
      return Buffer.from(bareSignature(key, login, data))
    },
  }
  return Object.assign(Object.create(parsed) as ParsedKey, replaced)
}

/** New keys bring a new writer, so this is done to the one in use. */
function mendNextMessage(client: ssh2.Client): void {
  const { write } = (client as unknown as Wire)._protocol._packetRW
  const finalize = write.finalize.bind(write)
  Object.assign(write, {
    finalize(packet: Buffer): Buffer {
      Object.assign(write, { finalize })
      const end = 4 + packet.readUInt32BE(0) - (packet[4] ?? 0)
      const mended = mendCertificateRequest(packet.subarray(write.allocStart, end))
      if (mended === undefined) return finalize(packet)
      const replaced = write.alloc(mended.length)
      replaced.set(mended, write.allocStart)
      return finalize(replaced)
    },
  })
}

/** Logs in with ssh2 and runs `echo hello`; resolves to what it printed, or to why there was nothing. */
function login(
  server: SshdServer,
  credentials: SshCredentials,
  hostKeys: HostKeys,
): Promise<{ output: string; sent: string[] }> {
  return new Promise((resolve) => {
    const client = new ssh2.Client()
    const sent: string[] = []
    let output = ''
    let why = ''
    client.on('error', (error) => {
      if (why === '') why = error.message
    })
    client.on('close', () => resolve({ output: output === '' ? why : output, sent }))
    client.on('ready', () =>
      client.exec('echo hello', (_, channel) => {
        channel.on('data', (data: Buffer) => (output += data.toString().trim()))
        channel.on('close', () => client.end())
      }),
    )
    if (credentials.method === 'password') throw new Error('not here')
    const parsed = ssh2.utils.parseKey(credentials.privateKey.expose())
    if (parsed instanceof Error) throw parsed
    const key = credentials.method === 'certificate' ? certifiedKey(client, parsed, credentials.certificate) : parsed
    const tries = [{ type: 'publickey' as const, username: credentials.user, key: key as unknown as string }]
    client.connect({
      host: server.host,
      port: server.port,
      username: credentials.user,
      algorithms: {
        serverHostKey: [...hostKeys.algorithms(server.host, server.port)] as Exclude<
          SshSignatureAlgorithm,
          `sk-${string}`
        >[],
      },
      hostVerifier: (shown: Buffer) => {
        const judged = hostKeys.judge({ host: server.host, port: server.port, key: shown })
        if (!judged.isTrusted) why = judged.message
        return judged.isTrusted
      },
      authHandler: (_left, _partial, next) => {
        sent.push('credential')
        next((tries.shift() ?? false) as never)
      },
    })
  })
}

describe('the real sshd, through ssh2', () => {
  const issued = async (authority: string, user?: string) => {
    const provider = issuedSshCertificates({
      authority: { privateKey: new Secret(forge.read(authority)) },
      user: () => user ?? serverOf(authority).user,
      random: (count) => randomBytes(count),
      clock: { nowUnixMs: () => Date.now() },
    })
    return (await provider.lease({ subject: { id: 'alice' }, resource: { name: 'web-1', protocol: 'ssh' } }))
      .credentials
  }
  const known = (server: SshdServer): HostKeys => knownHosts(`[${server.host}]:${server.port} ${server.hostKeyLine}`)

  it('takes the certificates issued here, in the name of the subject', async () => {
    for (const authority of ['ca', 'rsa-ca']) {
      const server = serverOf(authority)
      expect((await login(server, await issued(authority), known(server))).output).toBe('hello')
      expect(server.log()).toContain('sallyport alice on web-1')
      expect((await login(server, await issued(authority, 'nobody-else'), known(server))).output).toMatch(/failed/)
    }
    const other = serverOf('rsa-ca')
    expect((await login(other, { ...(await issued('ca')), user: other.user }, known(other))).output).toMatch(/failed/)
  }, 30_000)

  it('takes certificates of keys of every kind', async () => {
    const server = serverOf('ca')
    const kinds: [string, string, number][] = [
      ['p256', 'ecdsa', 256],
      ['p384', 'ecdsa', 384],
      ['p521', 'ecdsa', 521],
      ['rsa', 'rsa', 2048],
    ]
    for (const [name, type, bits] of kinds) {
      forge.key(name, type, bits)
      const text = forge.certify('ca', name, '-I', name, '-n', server.user)
      const credentials: SshCredentials = {
        method: 'certificate',
        user: server.user,
        privateKey: new Secret(forge.read(name)),
        certificate: Buffer.from(text.split(' ')[1] ?? '', 'base64'),
      }
      expect((await login(server, credentials, known(server))).output).toBe('hello')
    }
  }, 30_000)

  it('CRED-1 is sent no credential when its host key is changed or not known', async () => {
    const server = serverOf('ca')
    const credentials: SshCredentials = {
      method: 'key',
      user: server.user,
      privateKey: new Secret(server.privateKey),
    }
    expect((await login(server, credentials, known(server))).output).toBe('hello')
    for (const keys of [
      pinnedHostKeys([forge.read('ca.pub')]),
      knownHosts(`[${server.host}]:${server.port} ${forge.read('ca.pub')}`),
      knownHosts(`${server.host} ${server.hostKeyLine}`),
    ]) {
      const { output, sent } = await login(server, credentials, keys)
      expect(output).toMatch(/^host key SHA256:\S+ of `127\.0\.0\.1` port \d+ is not/)
      expect(sent).toEqual([])
    }
  }, 30_000)
})
