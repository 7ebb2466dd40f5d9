import { ALNUM, BASE64, BYTE_CLASS, hasClass } from './bytes.js'

const AWS_SECRET_BYTES = 40
const AZURE_KEY_BYTES = 88

/** Name endings, without separators, that announce an AWS secret access key. */
const SECRET_NAMES = ['secretaccesskey', 'awssecretkey', 'awssecret', 'secretkey', 'secretkeyid']

/**
 * The start of the AWS secret that is assigned at `sign` (`=` or `:`), or -1. The value looks like nothing in
 * particular, so it is the name before the sign that tells.
 */
export function assignedAwsSecretStart(bytes: Uint8Array, sign: number, low: number, end: number): number {
  let i = sign
  for (let k = 0; k < 4 && i > low && isFiller(bytes[i - 1] as number); k++) i--
  if (i <= low) return -1
  const last = (bytes[i - 1] as number) | 0x20
  if (last !== 0x79 && last !== 0x74 && last !== 0x64) return -1 // y, t, d
  if (!SECRET_NAMES.some((name) => endsWithName(bytes, i, low, name))) return -1
  let start = sign + 1
  for (let k = 0; k < 4 && start < end && (isFiller(bytes[start] as number) || bytes[start] === 0x3e); k++) start++
  return isAwsSecret(bytes, start, low, end) ? start : -1
}

/** The start of the secret written next to an access key that ends at `keyEnd`, or -1. */
export function adjacentAwsSecretStart(bytes: Uint8Array, keyEnd: number, low: number, end: number): number {
  let start = keyEnd
  for (let k = 0; k < 4 && start < end && !hasClass(bytes, start, low, end, ALNUM | BASE64); k++) start++
  return start > keyEnd && isAwsSecret(bytes, start, low, end) ? start : -1
}

/** 40 characters of base64 with both cases and digits among them, and no more. */
function isAwsSecret(bytes: Uint8Array, start: number, low: number, end: number): boolean {
  if (start + AWS_SECRET_BYTES > end) return false
  let hasUpper = false
  let hasLower = false
  let hasDigit = false
  for (let i = start; i < start + AWS_SECRET_BYTES; i++) {
    const byte = bytes[i] as number
    if (((BYTE_CLASS[byte] as number) & BASE64) === 0) return false
    if (byte >= 0x61) hasLower = true
    else if (byte >= 0x41) hasUpper = true
    else if (byte >= 0x30) hasDigit = true
  }
  const after = start + AWS_SECRET_BYTES
  if (hasClass(bytes, after, low, end, BASE64)) return false
  return hasUpper && hasLower && hasDigit
}

/** The start of the storage account key whose `==` begins at `sign`, or -1. */
export function azureKeyStart(bytes: Uint8Array, sign: number, floor: number, end: number): number {
  if (sign + 1 >= end || bytes[sign + 1] !== 0x3d || (sign + 2 < end && bytes[sign + 2] === 0x3d)) return -1
  const start = sign - (AZURE_KEY_BYTES - 2)
  if (start < floor || hasClass(bytes, start - 1, floor, end, BASE64)) return -1
  for (let i = start; i < sign; i++) if (((BYTE_CLASS[bytes[i] as number] as number) & BASE64) === 0) return -1
  return start
}

function isFiller(byte: number): boolean {
  return byte === 0x20 || byte === 0x22 || byte === 0x27 || byte === 0x3a || byte === 0x3d || byte === 0x5c
}

function endsWithName(bytes: Uint8Array, end: number, low: number, name: string): boolean {
  let i = end
  for (let k = name.length - 1; k >= 0; k--) {
    if (i <= low) return false
    let byte = bytes[--i] as number
    while ((byte === 0x5f || byte === 0x2d) && i > low && end - i < 32) byte = bytes[--i] as number
    if ((byte | 0x20) !== name.charCodeAt(k)) return false
  }
  return true
}
