import type { ByteWriter } from '../../core/index.js'
import { only, type TypeCodec } from './codec.js'
import { writeInt64 } from './number-codecs.js'

const DAY_SECONDS = 86_400
/** PostgreSQL counts from 2000-01-01. */
const EPOCH_DAYS = 10_957
const EPOCH_SECONDS = EPOCH_DAYS * DAY_SECONDS
/** Hashed dates lie between 1970 and 2069. */
const HASH_DAYS = 36_524

/** Days since 1970-01-01. */
export const DATE: TypeCodec<number> = {
  redacted: 0,
  parse: parseDate,
  fromDigest: (digest) => digest.readUInt32BE(0) % HASH_DAYS,
  writeText: (value, target) => void target.utf8(isoDate(value)),
  writeBinary: (value, target) => void target.i32(value - EPOCH_DAYS),
}

function parseDate(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return undefined
  const at = Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)) - 1, Number(text.slice(8)))
  const days = at / 1000 / DAY_SECONDS
  // The calendar turns 31 February into March: then it is no date.
  return only(Number(text.slice(0, 4)) >= 100 && isoDate(days) === text, () => days)
}

function isoDate(days: number): string {
  return new Date(days * DAY_SECONDS * 1000).toISOString().slice(0, 10)
}

/** Seconds since midnight. */
export const TIME: TypeCodec<number> = {
  redacted: 0,
  parse: parseTime,
  fromDigest: (digest) => digest.readUInt32BE(0) % DAY_SECONDS,
  writeText: (value, target) => void target.utf8(clock(value)),
  writeBinary: (value, target) => writeMicroseconds(value, target),
}

function parseTime(text: string): number | undefined {
  const match = /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/.exec(text)
  return match === null ? undefined : Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3] ?? 0)
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(11, 19)
}

function writeMicroseconds(seconds: number, target: ByteWriter): void {
  writeInt64(BigInt(seconds) * 1_000_000n, target)
}

/** Seconds since midnight, in UTC. */
export const TIMETZ: TypeCodec<number> = {
  ...TIME,
  parse: (text) => parseTime(text.replace(/(\+00(:?00)?|Z)$/, '')),
  writeText: (value, target) => void target.utf8(`${clock(value)}+00`),
  writeBinary: (value, target) => {
    writeMicroseconds(value, target)
    target.i32(0)
  },
}

/** Seconds since 1970-01-01. */
export const TIMESTAMP: TypeCodec<number> = {
  redacted: 0,
  parse: parseTimestamp,
  fromDigest: (digest) => digest.readUIntBE(0, 6) % (HASH_DAYS * DAY_SECONDS),
  writeText: (value, target) => void target.utf8(isoTimestamp(value)),
  writeBinary: (value, target) => writeMicroseconds(value - EPOCH_SECONDS, target),
}

function parseTimestamp(text: string): number | undefined {
  const days = parseDate(text.slice(0, 10))
  if (days === undefined) return undefined
  if (text.length === 10) return days * DAY_SECONDS
  const seconds = text[10] === ' ' || text[10] === 'T' ? parseTime(text.slice(11)) : undefined
  return seconds === undefined ? undefined : days * DAY_SECONDS + seconds
}

function isoTimestamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')
}

export const TIMESTAMPTZ: TypeCodec<number> = {
  ...TIMESTAMP,
  parse: (text) => parseTimestamp(text.length > 10 ? text.replace(/(\+00(:?00)?|Z)$/, '') : text),
  writeText: (value, target) => void target.utf8(`${isoTimestamp(value)}+00`),
}

/** Seconds. Binary form: int64 microseconds, int32 days, int32 months (interval_send). */
export const INTERVAL: TypeCodec<number> = {
  ...TIME,
  writeBinary: (value, target) => {
    writeMicroseconds(value, target)
    target.i32(0).i32(0)
  },
}
