import { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { combineStatementFacts, type OutputColumn, type SqlAnalyzer, unparsedFacts } from '../core/index.js'
import { createPostgresCatalog, type PostgresCatalog } from './postgres-catalog.js'

type Rows = readonly (readonly (string | null)[])[]

/** A server that answers simple queries only. */
function serverStream(answer: (text: string) => Rows): Duplex {
  let isStarted = false
  const message = (type: string, body: Buffer): Buffer => {
    const head = Buffer.alloc(5, type)
    head.writeInt32BE(4 + body.length, 1)
    return Buffer.concat([head, body])
  }
  const row = (cells: readonly (string | null)[]): Buffer => {
    const parts = [Buffer.from([0, cells.length])]
    for (const cell of cells) {
      const length = Buffer.alloc(4)
      length.writeInt32BE(cell === null ? -1 : Buffer.byteLength(cell), 0)
      parts.push(length, Buffer.from(cell ?? ''))
    }
    return message('D', Buffer.concat(parts))
  }
  return new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const text = isStarted ? chunk.subarray(5, -1).toString() : undefined
      isStarted = true
      this.push(Buffer.concat([...(text === undefined ? [] : answer(text)).map(row), message('Z', Buffer.from('I'))]))
      done()
    },
  })
}

/** Definitions are JSON of output columns. */
const analyzer: SqlAnalyzer = {
  dialect: 'postgres',
  analyze(text) {
    if (text === 'garbage') return unparsedFacts('garbage')
    const output = JSON.parse(text) as OutputColumn[]
    const sources = output.flatMap((column) => (column.sources === 'unknown' ? [] : column.sources))
    const statement = {
      verb: 'select',
      class: 'read',
      certainty: 'exact',
      tables: sources.map(({ schema = 'pg_catalog', table = '' }) => ({ schema, table, modes: ['read' as const] })),
      columns: [],
      functions: [],
      output,
      hasWhere: true,
      touchesFiles: false,
      touchesPrograms: false,
      isDynamic: false,
      launders: [],
      effects: [],
    } as const
    return combineStatementFacts([statement], text)
  },
}

const from = (table: string, column: string, name = column): OutputColumn => ({
  name,
  sources: [{ schema: 'public', table, column }],
  isPlain: true,
})

interface FakeRelation {
  readonly oid: number
  readonly name: string
  readonly columns: readonly string[]
  readonly view?: string
  readonly parents?: readonly string[]
}

function fake(
  relations: readonly FakeRelation[],
  ttlMs = 1_000,
): {
  readonly catalog: PostgresCatalog
  readonly asked: string[]
  pass(ms: number): void
} {
  const asked: string[] = []
  let now = 0
  const rowsOf = ({ oid, name, columns, view, parents }: FakeRelation): Rows =>
    columns.map((column, index) => [
      String(oid),
      'public',
      name,
      view === undefined ? 'f' : 't',
      parents === undefined ? 'f' : 't',
      String(index + 1),
      column,
    ])
  const answer = (text: string): Rows => {
    if (text.startsWith('SET') || text.startsWith('SHOW')) return []
    asked.push(text)
    const numbers = (/ARRAY\[([\d,]+)\]::pg_catalog\.oid/.exec(text)?.[1] ?? '').split(',').map(Number)
    if (text.includes('pg_get_viewdef')) {
      return relations.filter(({ oid }) => numbers.includes(oid)).map(({ oid, view }) => [String(oid), view ?? null])
    }
    if (text.startsWith('WITH RECURSIVE')) {
      return relations
        .filter(({ oid }) => numbers.includes(oid))
        .flatMap(({ oid, parents }) => (parents ?? []).map((parent) => [String(oid), 'public', parent]))
    }
    return relations
      .filter(({ oid, name }) => numbers.includes(oid) || text.includes(`'${name.replaceAll("'", "''")}'`))
      .flatMap(rowsOf)
  }
  const catalog = createPostgresCatalog({
    user: 'u',
    clock: { nowUnixMs: () => now },
    analyzer,
    ttlMs,
    open: () => serverStream(answer),
  })
  return {
    catalog,
    asked,
    pass: (ms) => {
      now += ms
    },
  }
}

const TABLE: FakeRelation = { oid: 20_000, name: 'customers', columns: ['id', 'ssn'] }
const VIEW: FakeRelation = {
  oid: 20_001,
  name: 'v',
  columns: ['code'],
  view: JSON.stringify([from('customers', 'ssn', 'code')]),
}
const OVER: FakeRelation = {
  oid: 20_002,
  name: "over'view",
  columns: ['a'],
  view: JSON.stringify([from('v', 'code', 'a')]),
}

describe('a catalogue', () => {
  it('brings along what views are made of, and remembers', async () => {
    const { catalog, asked, pass } = fake([TABLE, VIEW, OVER])
    const names = async (): Promise<string[]> =>
      (await catalog.relations([OVER.oid])).map((relation) => relation.name).sort()
    expect(await names()).toEqual(['customers', "over'view", 'v'])
    const count = asked.length
    expect(await names()).toEqual(['customers', "over'view", 'v'])
    expect((await catalog.relations([], [{ schema: 'public', name: 'v' }])).length).toBe(2)
    expect(asked.length).toBe(count)
    pass(2_000)
    expect(await names()).toEqual(['customers', "over'view", 'v'])
    expect(asked.length).toBe(2 * count)
    catalog.invalidate()
    await names()
    expect(asked.length).toBe(3 * count)
    catalog.close()
  })

  it('asks once for a table and never again for what it is not', async () => {
    const { catalog, asked } = fake([TABLE])
    await catalog.relations([TABLE.oid])
    expect(asked.length).toBe(1)
    await catalog.relations([TABLE.oid], [])
    expect(asked.length).toBe(1)
    catalog.close()
  })

  it('finds relations by name', async () => {
    const { catalog, asked } = fake([TABLE, VIEW, OVER])
    const found = await catalog.relations([], [{ name: "over'view" }, { name: 'nothing' }])
    expect(found.map((relation) => relation.name).sort()).toEqual(['customers', "over'view", 'v'])
    expect(asked[0]).toContain("ARRAY['nothing','over''view']::pg_catalog.name[]")
    catalog.close()
  })

  it('counts what it cannot read as unknown', async () => {
    const odd = (view: string, columns = ['a']): FakeRelation => ({ oid: 20_009, name: 'odd', columns, view })
    const derived = async (relation: FakeRelation): Promise<unknown> => {
      const { catalog } = fake([relation, TABLE])
      const [found] = await catalog.relations([relation.oid])
      catalog.close()
      return found?.derived
    }
    expect(await derived(odd('garbage'))).toBe('unknown')
    expect(await derived(odd(JSON.stringify([from('customers', 'ssn', 'a'), from('customers', 'id', 'b')])))).toBe(
      'unknown',
    )
    expect(await derived(odd(JSON.stringify([from('customers', 'ssn', 'other')])))).toEqual([
      undefined,
      { sources: 'unknown', isPlain: false },
    ])
    expect(
      await derived(odd(JSON.stringify([{ name: 'a', sources: [{ column: 'ssn' }], isPlain: true }]))),
    ).toMatchObject([undefined, { sources: 'unknown' }])
    expect(
      await derived(
        odd(JSON.stringify([{ name: 'a', sources: [{ table: 'pg_class', column: 'oid' }], isPlain: true }])),
      ),
    ).toEqual([undefined, { sources: [{ schema: 'pg_catalog', table: 'pg_class', column: 'oid' }], isPlain: true }])
  })

  it('counts a name that too many relations have as unknown, and only that', async () => {
    const crowd = Array.from({ length: 2_001 }, (_, n) => ({ ...VIEW, oid: 30_000 + n, name: 'tenant' }))
    const { catalog } = fake([TABLE, VIEW, ...crowd])
    const found = await catalog.relations([], [{ name: 'tenant' }, { name: 'v' }])
    expect(found.filter((relation) => relation.name === 'tenant')).toMatchObject([{ derived: 'unknown' }])
    expect(found.find((relation) => relation.name === 'v')?.derived).not.toBe('unknown')
    catalog.close()
  })

  it('names the relatives of tables', async () => {
    const { catalog } = fake([{ ...TABLE, parents: ['people', 'world'] }])
    expect(await catalog.relations([TABLE.oid])).toMatchObject([
      {
        relatives: [
          { schema: 'public', name: 'people' },
          { schema: 'public', name: 'world' },
        ],
      },
    ])
    catalog.close()
  })
})
