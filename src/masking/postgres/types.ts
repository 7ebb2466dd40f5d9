import { BITS, macCodec, networkCodec, UUID } from './address-codecs.js'
import type { TypeCodec } from './codec.js'
import { BOOL, floatCodec, INT8, integerCodec, MONEY, NUMERIC } from './number-codecs.js'
import { BYTEA, CHAR, jsonCodec, textCodec, XML } from './text-codecs.js'
import { DATE, INTERVAL, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ } from './time-codecs.js'

/** How detectors read a type. */
export type Detection =
  | 'text'
  | 'json'
  | 'jsonb'
  | 'xml'
  /** Whole numbers: only card numbers are looked for. */
  | 'int8'
  | 'float8'
  | 'numeric'
  /** Text inside a form that is not rebuilt: a find makes the value NULL. */
  | 'opaque'
  | 'none'

/** A built-in type, and the array type over it. */
export interface PostgresType {
  readonly name: string
  readonly oid: number
  readonly arrayOid: number
  /** Undefined: no replacement but NULL. */
  readonly codec: TypeCodec<unknown> | undefined
  readonly isText: boolean
  readonly detection: Detection
}

function type<T>(
  name: string,
  oid: number,
  arrayOid: number,
  codec: TypeCodec<T> | undefined,
  detection: Detection,
): PostgresType {
  // A codec only ever gets back values it made itself.
  return {
    name,
    oid,
    arrayOid,
    codec: codec as TypeCodec<unknown> | undefined,
    isText: detection === 'text',
    detection,
  }
}

const TEXT = textCodec()

/** pg_type.dat of PostgreSQL; numbers of built-in types never change. */
export const POSTGRES_TYPES: readonly PostgresType[] = [
  type('bool', 16, 1000, BOOL, 'none'),
  type('bytea', 17, 1001, BYTEA, 'none'),
  type('char', 18, 1002, CHAR, 'none'),
  type('name', 19, 1003, textCodec(63), 'text'),
  type('int8', 20, 1016, INT8, 'int8'),
  type('int2', 21, 1005, integerCodec(2, true), 'none'),
  type('int4', 23, 1007, integerCodec(4, true), 'none'),
  type('text', 25, 1009, TEXT, 'text'),
  type('oid', 26, 1028, integerCodec(4, false), 'none'),
  type('json', 114, 199, jsonCodec(undefined), 'json'),
  type('xml', 142, 143, XML, 'xml'),
  type('point', 600, 1017, undefined, 'none'),
  type('lseg', 601, 1018, undefined, 'none'),
  type('path', 602, 1019, undefined, 'none'),
  type('box', 603, 1020, undefined, 'none'),
  type('polygon', 604, 1027, undefined, 'none'),
  type('line', 628, 629, undefined, 'none'),
  type('cidr', 650, 651, networkCodec(true), 'none'),
  type('float4', 700, 1021, floatCodec(4), 'none'),
  type('float8', 701, 1022, floatCodec(8), 'float8'),
  type('unknown', 705, 0, TEXT, 'text'),
  type('circle', 718, 719, undefined, 'none'),
  type('macaddr8', 774, 775, macCodec(8), 'none'),
  type('money', 790, 791, MONEY, 'none'),
  type('macaddr', 829, 1040, macCodec(6), 'none'),
  type('inet', 869, 1041, networkCodec(false), 'none'),
  type('bpchar', 1042, 1014, TEXT, 'text'),
  type('varchar', 1043, 1015, TEXT, 'text'),
  type('date', 1082, 1182, DATE, 'none'),
  type('time', 1083, 1183, TIME, 'none'),
  type('timestamp', 1114, 1115, TIMESTAMP, 'none'),
  type('timestamptz', 1184, 1185, TIMESTAMPTZ, 'none'),
  type('interval', 1186, 1187, INTERVAL, 'none'),
  type('timetz', 1266, 1270, TIMETZ, 'none'),
  type('bit', 1560, 1561, BITS, 'none'),
  type('varbit', 1562, 1563, BITS, 'none'),
  type('numeric', 1700, 1231, NUMERIC, 'numeric'),
  type('refcursor', 1790, 2201, TEXT, 'text'),
  type('cstring', 2275, 1263, TEXT, 'text'),
  type('record', 2249, 2287, undefined, 'opaque'),
  type('uuid', 2950, 2951, UUID, 'none'),
  type('tsvector', 3614, 3643, undefined, 'opaque'),
  type('tsquery', 3615, 3645, undefined, 'opaque'),
  type('jsonb', 3802, 3807, jsonCodec(1), 'jsonb'),
  type('jsonpath', 4072, 4073, undefined, 'opaque'),
]

const BY_OID = new Map(POSTGRES_TYPES.map((entry) => [entry.oid, entry]))
const BY_ARRAY_OID = new Map(
  POSTGRES_TYPES.filter((entry) => entry.arrayOid !== 0).map((entry) => [entry.arrayOid, entry]),
)

export function typeOf(oid: number): PostgresType | undefined {
  return BY_OID.get(oid)
}

/** The element type of an array type. */
export function elementTypeOf(oid: number): PostgresType | undefined {
  return BY_ARRAY_OID.get(oid)
}
