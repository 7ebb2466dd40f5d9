import { createHmac } from 'node:crypto'

/**
 * The key that commits one session's redacted texts. It is not in the recording. Handing it out lets its holder check a claimed
 * exact text of this session against the record, and lets them guess; it tells nothing about other sessions.
 */
export function commitmentKeyOf(sessionId: string, operatorKey: Uint8Array): Buffer {
  return createHmac('sha256', operatorKey).update(`sallyport commitment v1\0${sessionId}`).digest()
}

/** What stands in the record for a text from which secrets were taken: HMAC-SHA256 of the exact UTF-8 text, in hex. */
export function textCommitment(exactText: string, sessionKey: Uint8Array): string {
  return createHmac('sha256', sessionKey).update(exactText, 'utf8').digest('hex')
}
