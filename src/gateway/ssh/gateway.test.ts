import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import ssh2 from 'ssh2'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../core/index.js'
import type { SshIdentity } from '../../identity/ssh/index.js'
import { createSshGateway, type SshGateway } from './index.js'
import { protocolOf, sendPayload } from './ssh2.js'

const HOST_KEY = ssh2.utils.generateKeyPairSync('ed25519').private

/** Lets nobody in, and counts who asks. */
let attempts = 0
const identity: SshIdentity = {
  open: () => ({
    attempt: () => {
      attempts++
      return Promise.resolve({ answer: 'reject', methodsLeft: ['publickey'], isPartial: false })
    },
  }),
}

let gateway: SshGateway
let port = 0

beforeAll(async () => {
  gateway = createSshGateway({
    listeners: [{ port: 0 }],
    resources: [],
    enforcer: {
      openSession: () => {
        throw new Error('nobody is let in')
      },
    },
    identity,
    hostKeys: [new Secret(HOST_KEY)],
    limits: { authenticationTimeoutMs: 1_000 },
  })
  port = (await gateway.listen())[0]?.port ?? 0
})

afterAll(() => gateway.close())

/** A client that has exchanged keys, and then says what it should not. */
function say(payload: Buffer): Promise<{ readonly error: string | undefined; readonly isReady: boolean }> {
  return new Promise((resolve) => {
    const client = new ssh2.Client()
    let isReady = false
    let error: string | undefined
    client.on('error', (cause) => {
      error ??= cause.message
    })
    client.on('ready', () => {
      isReady = true
    })
    client.on('close', () => resolve({ error, isReady }))
    client.connect({
      host: '127.0.0.1',
      port,
      username: 'alice',
      authHandler: () => {
        sendPayload(protocolOf(client), payload)
      },
    })
  })
}

describe('a client that is not let in yet', () => {
  it('SSH-5 is sent away for opening a channel, for a request, and for saying that it is let in', async () => {
    const open = Buffer.from([90, 0, 0, 0, 7, ...Buffer.from('session'), 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 128, 0])
    const early = [
      open,
      Buffer.from([80, 0, 0, 0, 1, 120, 1]),
      Buffer.from([94, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
      Buffer.of(52),
      Buffer.of(60),
      Buffer.of(192),
    ]
    for (const payload of early) {
      const failed = new Promise((resolve) => gateway.events.once('failed', (_info, error) => resolve(error)))
      expect((await say(payload)).isReady).toBe(false)
      expect(await failed).toMatchObject({ code: 'protocol_violation' })
    }
    expect(attempts).toBe(0)
  })

  it('is sent away when it takes too long', async () => {
    const started = Date.now()
    const socket = connect(port, '127.0.0.1').resume()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(Date.now() - started).toBeLessThan(5_000)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(gateway.connections).toEqual([])
  })

  it('SSH-6 finds strict key exchange, and no weak algorithm', async () => {
    const client = new ssh2.Client()
    const debug: string[] = []
    await new Promise((resolve) => {
      client.on('error', resolve)
      client.connect({
        host: '127.0.0.1',
        port,
        username: 'alice',
        debug: (message) => debug.push(message),
        hostVerifier: (key: Buffer) => createHash('sha256').update(key).digest('hex') === '',
      })
    })
    const offers = debug.filter((line) => line.includes('(remote)')).join('\n')
    expect(debug.join('\n')).toContain('strict KEX mode enabled')
    expect(offers).toContain('aes128-gcm@openssh.com')
    expect(offers).not.toMatch(/cbc|sha1|zlib|3des|arcfour|group1-|group14-sha1|md5|ssh-dss/)
  })
})

it('asks who logs in by keyboard-interactive, and hands on what is typed', async () => {
  const answers: string[] = []
  const asking = createSshGateway({
    listeners: [{ port: 0 }],
    resources: [],
    enforcer: { openSession: () => Promise.reject(new Error('nobody is let in')) },
    identity: {
      open: () => ({
        async attempt(attempt) {
          if (attempt.method !== 'keyboard-interactive') {
            return { answer: 'reject', methodsLeft: ['keyboard-interactive'], isPartial: false }
          }
          const prompts = [
            { text: 'name: ', isEchoed: true },
            { text: 'token: ', isEchoed: false },
          ]
          const typed = await attempt.ask({ title: 'log in', instructions: '', prompts })
          answers.push(...typed.map((secret) => secret.expose()))
          return { answer: 'end', message: 'enough' }
        },
      }),
    },
    hostKeys: [new Secret(HOST_KEY)],
  })
  const [address] = await asking.listen()
  const client = new ssh2.Client()
  const asked: unknown[] = []
  client.on('keyboard-interactive', (_name, _instructions, _lang, prompts, finish) => {
    asked.push(...prompts)
    finish(['alice', 'secret'])
  })
  await new Promise((resolve) => {
    client.on('error', () => {})
    client.on('close', () => resolve(undefined))
    client.connect({ host: '127.0.0.1', port: address?.port ?? 0, username: 'alice', tryKeyboard: true })
  })
  expect(asked).toEqual([
    { prompt: 'name: ', echo: true },
    { prompt: 'token: ', echo: false },
  ])
  expect(answers).toEqual(['alice', 'secret'])
  await asking.close()
})

describe('options', () => {
  it('are checked before anybody is listened to', async () => {
    const options = {
      listeners: [],
      resources: [],
      enforcer: { openSession: () => Promise.reject(new Error()) },
      identity,
    }
    expect(() => createSshGateway({ ...options, hostKeys: [] })).toThrow('at least one host key')
    expect(() =>
      createSshGateway({ ...options, listeners: [{ resource: 'x', port: 0 }], hostKeys: [new Secret(HOST_KEY)] }),
    ).toThrow('which is not given')
    await expect(createSshGateway({ ...options, hostKeys: [new Secret('none')] }).listen()).rejects.toThrow(
      'a host key cannot be read',
    )
  })
})
