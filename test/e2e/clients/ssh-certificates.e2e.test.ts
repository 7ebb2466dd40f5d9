import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../../src/core/index.js'
import { issuedSshCertificates, staticSshCredentials } from '../../../src/credentials/ssh/index.js'
import { system } from '../../../src/gateway/index.js'
import { createSshIdentity, sshTrust } from '../../../src/identity/ssh/index.js'
import { makeKey, runKeygen, startSshd, type SshdServer } from '../../support/sshd.js'
import { startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'

/** Where sshd, which runs as somebody else, can read it. */
const authority = `/tmp/sallyport-user-ca-${process.pid}`
let server: SshdServer
const gateways: TestSshGateway[] = []

beforeAll(async () => {
  makeKey(authority, 'ed25519')
  server = await startSshd({ settings: [`TrustedUserCAKeys ${authority}.pub`] })
})
afterAll(async () => {
  for (const gateway of gateways) await gateway.stop()
  await server?.stop()
  for (const file of [authority, `${authority}.pub`]) rmSync(file, { force: true })
})

async function start(credentials: Parameters<typeof startSshGateway>[0]['credentials']): Promise<TestSshGateway> {
  const trust = sshTrust({ authorities: [{ key: readFileSync(`${authority}.pub`, 'utf8') }] })
  const gateway = await startSshGateway({
    server,
    identity: createSshIdentity({ trust: () => trust, clock: system.clock }),
    ...(credentials === undefined ? {} : { credentials }),
  })
  gateways.push(gateway)
  runKeygen('-q', '-s', authority, '-I', 'alice at work', '-n', 'alice', '-V', '-1m:+5m', `${gateway.keyFile}.pub`)
  return gateway
}

describe('certificates', () => {
  it('let the client in to the gateway, and the gateway in to the target', async () => {
    const gateway = await start(
      issuedSshCertificates({
        authority: { privateKey: new Secret(readFileSync(authority, 'utf8')) },
        user: () => server.user,
        random: (count) => randomBytes(count),
        clock: system.clock,
      }),
    )
    expect(await gateway.ssh(['echo hello'])).toMatchObject({ stdout: 'hello\n', code: 0 })
    expect(server.log()).toContain('sallyport alice on web')
    expect((await gateway.ssh(['echo hello'], { login: 'bob+web' })).code).toBe(255)
  })

  it('of RSA keys, and of keys that need a passphrase, let the gateway in too', async () => {
    for (const [type, passphrase] of [
      ['rsa', ''],
      ['ecdsa', ''],
      ['ed25519', 'a phrase'],
    ] as const) {
      const file = join(gateways[0]?.folder ?? '', `upstream-${type}`)
      runKeygen('-q', '-t', type, '-N', passphrase, '-f', file)
      runKeygen('-q', '-s', authority, '-I', `upstream ${type}`, '-n', server.user, `${file}.pub`)
      const certificate = Buffer.from(readFileSync(`${file}-cert.pub`, 'utf8').split(' ')[1] ?? '', 'base64')
      const gateway = await start(
        staticSshCredentials({
          web: {
            method: 'certificate',
            user: server.user,
            privateKey: new Secret(readFileSync(file, 'utf8')),
            certificate,
            ...(passphrase === '' ? {} : { passphrase: new Secret(passphrase) }),
          },
        }),
      )
      expect(await gateway.ssh(['echo hello'])).toMatchObject({ stdout: 'hello\n', code: 0 })
      expect(server.log()).toContain(`upstream ${type}`)
    }
  })
})

describe('an RSA key', () => {
  it('of the gateway never signs SHA-1, whatever the target announces', async () => {
    const file = `${authority}-rsa`
    runKeygen('-q', '-t', 'rsa', '-N', '', '-f', file)
    const strict = await startSshd({
      settings: ['PubkeyAcceptedAlgorithms rsa-sha2-512'],
      authorizedKeys: [readFileSync(`${file}.pub`, 'utf8').trim()],
    })
    const privateKey = new Secret(readFileSync(file, 'utf8'))
    const gateway = await startSshGateway({
      server: strict,
      credentials: staticSshCredentials({ web: { method: 'key', user: strict.user, privateKey } }),
    })
    try {
      expect(await gateway.ssh(['echo hello'])).toMatchObject({ stdout: 'hello\n', code: 0 })
    } finally {
      await gateway.stop()
      await strict.stop()
      for (const each of [file, `${file}.pub`]) rmSync(each, { force: true })
    }
  })
})
