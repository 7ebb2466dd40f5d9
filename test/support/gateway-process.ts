import { ALLOW_ALL, startGateway } from './gateway.js'
import type { PostgresServer } from './postgres.js'

/**
 * A gateway in a process of its own, so that its memory can be measured. Arguments: the server as JSON, and `masked` to mask
 * the columns of table `person`. Prints its port; every line on stdin is answered by its resident set in bytes.
 */
const [serverJson, mode] = process.argv.slice(2)
const server = JSON.parse(serverJson ?? '{}') as PostgresServer
const gateway = await startGateway({
  server,
  rules: [
    ALLOW_ALL,
    ...(mode === 'masked' ? [{ id: 'masks', mask: { columns: ['person.name', 'person.email'] } }] : []),
  ],
})
process.stdout.write(`${gateway.port}\n`)
process.stdin.on('data', () => process.stdout.write(`${process.memoryUsage().rss}\n`))
process.stdin.on('end', () => process.exit(0))
