import { expect, test } from 'vitest'
import { readCursor, writeCursor } from '../src/cursor.ts'

const key = Buffer.alloc(32, 1)

test.each([[undefined], [key]])('a cursor is read as it was written, and with nothing behind it: %#', (cursorKey) => {
  // Of every length: bytes end within a character of base64 or between two.
  for (let length = 0; length < 6; length++) {
    const cursor = { floor: 'f'.repeat(length), known: ['jhDOz7sW0G8'], collections: null, schema: 1 }
    const text = writeCursor(cursor, cursorKey)
    expect(readCursor(text, cursorKey)).toEqual(cursor)
    for (const more of ['A', 'x', '_', 'AA', 'AAAA']) {
      expect(() => readCursor(text + more, cursorKey)).toThrow(expect.objectContaining({ code: 'CURSOR_INVALID' }))
    }
  }
})
