import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Consumer, installPacked, link } from '../package/installed-package.js'
import { ROOT } from '../package/source-files.js'
import { finished } from '../support/ssh-gateway.js'
import { makeKey, type SshdServer, startSshd } from '../support/sshd.js'

let server: SshdServer
let consumer: Consumer
let child: ChildProcess | undefined

beforeAll(async () => {
  consumer = installPacked()
  link('ssh2', join(consumer.folder, 'node_modules'))
  server = await startSshd()
}, 300_000)

afterAll(async () => {
  child?.kill('SIGKILL')
  await server?.stop()
  if (consumer !== undefined) rmSync(consumer.folder, { recursive: true, force: true })
})

describe('the gateway of docs/ssh.md', () => {
  it('runs as it stands, but for its ports and accounts, on the packed package', async () => {
    const page = readFileSync(join(ROOT, 'docs/ssh.md'), 'utf8')
    const program = /^```ts\n(import [\s\S]*?)^```$/m.exec(page)?.[1] ?? ''
    const moved = program
      .replace('port: 22 }', `port: ${server.port} }`)
      .replace('port: 2222', 'port: 0')
      .replace("user: 'deploy'", `user: '${server.user}'`)
    expect(moved).not.toContain("deploy'")
    const file = (name: string): string => join(consumer.folder, name)
    // As for every JavaScript file: no types in it but those that vanish.
    writeFileSync(file('gateway.mjs'), moved.replace(' as const', ''))
    makeKey(file('alice'), 'ed25519')
    makeKey(file('gateway_host_key'), 'ed25519')
    writeFileSync(file('deploy_key'), server.privateKey)
    writeFileSync(file('known_hosts'), `[${server.host}]:${server.port} ${server.hostKeyLine}\n`)
    child = spawn(process.execPath, ['gateway.mjs'], { cwd: consumer.folder, stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout?.on('data', (chunk) => (out += String(chunk)))
    await expect.poll(() => out, { timeout: 30_000 }).toContain('\n')
    const [, port = '', login = ''] = /^ssh -p (\d+) (alice\+web-1@127\.0\.0\.1)\n$/.exec(out) ?? []

    const hostKey = readFileSync(file('gateway_host_key.pub'), 'utf8')
    writeFileSync(file('client_known_hosts'), `[127.0.0.1]:${port} ${hostKey}`)
    const ssh = (command: string) =>
      finished(
        spawn('ssh', [
          ...['-F', '/dev/null', '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none'],
          ...[
            '-o',
            `UserKnownHostsFile=${file('client_known_hosts')}`,
            '-i',
            file('alice'),
            '-p',
            port,
            login,
            command,
          ],
        ]),
      )
    mkdirSync(join(server.home, 'logs'))
    writeFileSync(join(server.home, 'logs/app.log'), 'mail to ada@example.com\n')
    expect(await ssh(`cat ${server.home}/logs/app.log`)).toMatchObject({ code: 0, stdout: 'mail to [redacted]\n' })
    const refused = await ssh('rm -rf /')
    expect(refused).toMatchObject({ code: 126, stderr: expect.stringContaining('(rule shell/destructive-deletion)') })
    expect(await ssh('touch x')).toMatchObject({ code: 126, stdout: '' })
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
    expect(readdirSync(file('recordings')).filter((name) => name.endsWith('.jsonl'))).toHaveLength(3)
  })
})
