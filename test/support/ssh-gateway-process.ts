import { ALLOW_ALL, startSshGateway } from './ssh-gateway.js'
import type { SshdServer } from './sshd.js'

/**
 * An SSH gateway in a process of its own, so that its memory can be measured. Arguments: the server as JSON, and `masked` to
 * look for card numbers in all output. Prints as JSON what clients need; every line on stdin is answered by its resident set
 * in bytes.
 */
const [serverJson, mode] = process.argv.slice(2)
const server = JSON.parse(serverJson ?? '{}') as SshdServer
const gateway = await startSshGateway({
  server,
  rules: [ALLOW_ALL, ...(mode === 'masked' ? [{ id: 'masks', mask: { detectors: ['card'] } }] : [])],
})
gateway.gateway.events.on('failed', (_info, error) =>
  process.stderr.write(`${String(error.stack)}: ${String(error.cause)}\n`),
)
process.stdout.write(`${JSON.stringify({ args: gateway.sshArgs([]), env: gateway.env })}\n`)
process.stdin.on('data', () => process.stdout.write(`${process.memoryUsage().rss}\n`))
process.stdin.on('end', () => void gateway.stop().then(() => process.exit(0)))
