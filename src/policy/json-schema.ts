import { policyFileShape } from './rule-shape.js'
import type { Shape } from './shape.js'

export interface JsonObject {
  readonly [key: string]: JsonValue
}

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject

/**
 * The JSON Schema (2020-12) of policy files: for editors and for checks outside. It says what the loader
 * says about keys and types; that a rule could never fire only the loader tells.
 */
export function policyJsonSchema(): JsonObject {
  const definitions: Record<string, JsonObject> = {}
  const root = schemaOf(policyFileShape, definitions)
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'https://unpkg.com/sallyport/schema/policy.schema.json',
    title: 'Sallyport policy',
    ...root,
    $defs: definitions,
  }
}

function schemaOf(shape: Shape, definitions: Record<string, JsonObject>): JsonObject {
  switch (shape.kind) {
    case 'string':
      return {
        type: 'string',
        minLength: 1,
        maxLength: shape.maxLength,
        ...(shape.pattern === undefined ? {} : { pattern: shape.pattern }),
      }
    case 'integer':
      return { type: 'integer', minimum: shape.min, maximum: shape.max }
    case 'boolean':
      return { type: 'boolean' }
    case 'enum':
      return { enum: shape.values }
    case 'list': {
      const item = schemaOf(shape.item, definitions)
      const list = { type: 'array', items: item, ...(shape.mayBeEmpty === true ? {} : { minItems: 1 }) }
      return shape.orOne ? { anyOf: [item, list] } : list
    }
    case 'record':
      return { type: 'object', minProperties: 1, additionalProperties: schemaOf(shape.value, definitions) }
    case 'either':
      return { anyOf: [schemaOf(shape.text, definitions), schemaOf(shape.object, definitions)] }
    case 'object': {
      const name = shape.name.replaceAll(' ', '-')
      if (definitions[name] === undefined) {
        // Set before its fields are visited: a match holds a match.
        definitions[name] = {}
        const fields = Object.entries(shape.fields())
        const required = fields.filter(([, field]) => field.required === true).map(([key]) => key)
        const properties = Object.fromEntries(
          fields.map(([key, field]) => [key, { description: field.doc, ...schemaOf(field.shape, definitions) }]),
        )
        definitions[name] = {
          type: 'object',
          additionalProperties: false,
          ...(required.length === 0 ? {} : { required }),
          properties,
        }
      }
      return { $ref: `#/$defs/${name}` }
    }
    case 'function':
      return { not: {} }
    default:
      return shape satisfies never
  }
}
