import { asciiJson } from './line.js'
import { RECORDING_FORMAT, RECORDING_VERSION, type RecordingHeader } from './types.js'

/** Where a segment stands among those of its session. */
export interface SegmentPosition {
  /** Counted from 1. */
  readonly index: number
  /** The hash of the last line of the segment before; absent for the first. */
  readonly previousHash?: string
}

/** The members of a segment's first line, `"type":` first. */
export function headerJson(header: RecordingHeader, segment: SegmentPosition, atUnixMs: number): string {
  const { subject, resource } = header
  const rest = {
    format: RECORDING_FORMAT,
    version: RECORDING_VERSION,
    sessionId: header.sessionId,
    segment: segment.index,
    previousHash: segment.previousHash,
    startedAt: header.startedAtUnixMs,
    subject: { id: subject.id, type: subject.type, groups: subject.groups, onBehalfOf: subject.onBehalfOf },
    resource: { name: resource.name, protocol: resource.protocol, tags: resource.tags },
    clientAddress: header.clientAddress,
    clientName: header.clientName,
    policyDigest: header.policyDigest,
    software: header.software,
  }
  return `"type":"header","at":${atUnixMs},${asciiJson(rest).slice(1)}`.slice(0, -1)
}
