import type { Relation, RelationReference } from '../core/index.js'
import { referenceKey } from './view-columns.js'

/** Relations that somebody has to know. */
export interface Needs {
  readonly oids: readonly number[]
  readonly names: readonly RelationReference[]
}

interface Entry<Value> {
  readonly value: Value
  readonly expiresAtUnixMs: number
}

/** Relations by number and by name, each for some time. */
export class RelationSet {
  readonly #maxEntries: number
  readonly #byOid = new Map<number, Entry<Relation>>()
  readonly #byName = new Map<string, Entry<readonly Relation[]>>()

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  get size(): number {
    return this.#byOid.size + this.#byName.size
  }

  clear(): void {
    this.#byOid.clear()
    this.#byName.clear()
  }

  add(relation: Relation, expiresAtUnixMs: number): void {
    put(this.#byOid, relation.oid, { value: relation, expiresAtUnixMs }, this.#maxEntries)
  }

  addNamed(name: RelationReference, relations: readonly Relation[], expiresAtUnixMs: number): void {
    put(this.#byName, referenceKey(name), { value: relations, expiresAtUnixMs }, this.#maxEntries)
  }

  addAll(other: RelationSet, expiresAtUnixMs: number): void {
    for (const { value } of other.#byOid.values()) this.add(value, expiresAtUnixMs)
    for (const [key, { value }] of other.#byName) put(this.#byName, key, { value, expiresAtUnixMs }, this.#maxEntries)
  }

  hasNamed(name: RelationReference): boolean {
    return this.#byName.has(referenceKey(name))
  }

  /** These relations and all that their views are made of; and what of them is not known here. */
  gather(needs: Needs, nowUnixMs: number): { readonly relations: Relation[]; readonly missing: Needs | undefined } {
    const relations = new Set<Relation>()
    const missing = { oids: [] as number[], names: [] as RelationReference[] }
    const names = [...needs.names]
    const asked = new Set<string>()
    const take = (relation: Relation): void => {
      if (relations.has(relation)) return
      relations.add(relation)
      names.push(...(relation.reads?.tables ?? []))
    }
    for (const oid of needs.oids) {
      const entry = this.#byOid.get(oid)
      if (entry !== undefined && entry.expiresAtUnixMs > nowUnixMs) take(entry.value)
      else missing.oids.push(oid)
    }
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      const key = referenceKey(name)
      if (asked.has(key)) continue
      asked.add(key)
      const entry = this.#byName.get(key)
      if (entry === undefined || entry.expiresAtUnixMs <= nowUnixMs) missing.names.push(name)
      else for (const relation of entry.value) take(relation)
    }
    const isComplete = missing.oids.length === 0 && missing.names.length === 0
    return { relations: [...relations], missing: isComplete ? undefined : missing }
  }
}

function put<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, maxEntries: number): void {
  map.delete(key)
  if (map.size >= maxEntries) {
    const [oldest] = map.keys()
    if (oldest !== undefined) map.delete(oldest)
  }
  map.set(key, value)
}
