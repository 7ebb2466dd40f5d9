import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSshd, type SshdServer } from '../../support/sshd.js'
import { startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'

describe('ssh through the gateway', () => {
  let server: SshdServer
  let gateway: TestSshGateway

  beforeAll(async () => {
    server = await startSshd()
    gateway = await startSshGateway({ server })
    gateway.gateway.events.on('failed', (_info, error) => console.error(error, error.cause))
  })

  afterAll(async () => {
    await gateway?.stop()
    await server?.stop()
  })

  it('runs a command', async () => {
    const result = await gateway.ssh(['echo hi; echo oops >&2; exit 3'])
    expect(result).toMatchObject({ stdout: 'hi\n', stderr: 'oops\n', code: 3 })
  })
})
