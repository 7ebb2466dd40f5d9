import { openFileRecordStore, system } from '../../src/gateway/index.js'
import type { Durability } from '../../src/recording/index.js'
import { ALLOW_ALL, startGateway } from './gateway.js'
import type { PostgresServer } from './postgres.js'

/**
 * A gateway that records into files, in a process of its own, to be killed while it works or to run out of room. Arguments:
 * the server as JSON, the directory, the durability. Prints one line of JSON: its port, and what it found left open.
 */
const [serverJson = '{}', directory = '', durability = 'durable'] = process.argv.slice(2)
const store = await openFileRecordStore({ directory, clock: system.clock })
const gateway = await startGateway({
  server: JSON.parse(serverJson) as PostgresServer,
  rules: [ALLOW_ALL, { id: 'no-forbidden', effect: 'deny', match: { text: 'forbidden' } }],
  store,
  durability: durability as Durability,
})
const leftOpen = store.leftOpen.map(({ name, tornBytes, error }) => ({ name, tornBytes, error: error?.message }))
process.stdout.write(`${JSON.stringify({ port: gateway.port, leftOpen })}\n`)
process.stdin.resume()
process.stdin.on('end', () => {
  void gateway.stop().then(async () => {
    await store.close()
    process.exit(0)
  })
})
