import { expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { createEncryption, isEncryption, type EncryptionProvider } from '../src/encryption.ts'
import { createOpenedSecrets } from '../src/opened-secrets.ts'
import type { SealedSecret } from '../src/store.ts'

const k1 = { id: 'k1', key: Buffer.alloc(32, 1) }
const k2 = { id: 'k2', key: Buffer.alloc(32, 2).toString('base64') }
const failed = { code: 'DECRYPT_FAILED' }

test('what is sealed opens for its owner alone, and not when a bit of it has changed', async () => {
  const encryption = createEncryption([k1])
  const sealed = await encryption.seal('whsec_ü', 'acme/ep_1')
  expect(Buffer.from(sealed).includes('whsec')).toBe(false)
  expect(await encryption.open(sealed, 'acme/ep_1')).toBe('whsec_ü')
  expect(Buffer.compare(await encryption.seal('whsec_ü', 'acme/ep_1'), sealed)).not.toBe(0)
  await expect(encryption.open(sealed, 'acme/ep_2')).rejects.toMatchObject(failed)
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Uint8Array.from(sealed)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    await expect(encryption.open(changed, 'acme/ep_1')).rejects.toMatchObject(failed)
  }
  for (const short of [0, 1, 3, 16, 31]) {
    await expect(encryption.open(sealed.subarray(0, short), 'acme/ep_1')).rejects.toMatchObject(failed)
  }
})

test('the first key encrypts, all decrypt; one that is gone opens nothing, and no error tells a secret', async () => {
  const old = await createEncryption([k1]).seal('text', 'o')
  const both = createEncryption([k2, k1])
  expect(await both.open(old, 'o')).toBe('text')
  const fresh = await both.seal('text', 'o')
  expect(await createEncryption([k2]).open(fresh, 'o')).toBe('text')
  const error = await createEncryption([k1])
    .open(fresh, 'o')
    .catch((thrown: unknown) => thrown as Error)
  expect(error).toMatchObject({ ...failed, message: 'the secret of o cannot be decrypted' })
  await expect(createEncryption([{ ...k1, key: Buffer.alloc(32, 9) }]).open(old, 'o')).rejects.toMatchObject(failed)
})

test('a provider gets the owner as aad, and what it rejects is DECRYPT_FAILED', async () => {
  const seen: string[] = []
  const provider: EncryptionProvider = {
    async encrypt(plain, aad) {
      seen.push(`${Buffer.from(plain).toString()} for ${Buffer.from(aad).toString()}`)
      return plain.toReversed()
    },
    decrypt(sealed, aad) {
      if (Buffer.from(aad).toString() !== 'o') throw new Error('sync')
      return Promise.resolve(sealed.toReversed())
    },
  }
  const encryption = createEncryption(provider)
  expect(await encryption.open(await encryption.seal('text', 'o'), 'o')).toBe('text')
  expect(seen).toEqual(['text for o'])
  await expect(encryption.open(Buffer.from('x'), 'other')).rejects.toMatchObject(failed)
})

test('plaintext is spelled out', async () => {
  const encryption = createEncryption('plaintext')
  const sealed = await encryption.seal('text', 'o')
  expect(Buffer.from(sealed).toString()).toBe('text')
  expect(await encryption.open(sealed, 'o')).toBe('text')
})

test('what can be an encryption', () => {
  for (const good of ['plaintext', [k1], [k1, k2], { encrypt() {}, decrypt() {} }])
    expect(isEncryption(good)).toBe(true)
  for (const bad of [
    '',
    [],
    [{ id: '', key: k1.key }],
    [{ id: 'a b', key: k1.key }],
    [{ id: 'a', key: Buffer.alloc(31) }],
    [{ id: 'a', key: 'short' }],
    [null],
    { encrypt() {} },
    null,
    undefined,
    1,
  ]) {
    expect(isEncryption(bad)).toBe(false)
  }
  expect(() => createEncryption([k1, k1])).toThrow(/two keys of one id/)
})

test('opened secrets are kept for a minute, by what is sealed', async () => {
  const clock = virtualClock()
  let asked = 0
  const opened = createOpenedSecrets(
    { seal: async () => Buffer.from(''), open: async (sealed) => `${++asked}:${String(sealed)}` },
    clock,
  )
  const sealed = (text: string) => [{ sealed: Buffer.from(text), untilMs: null }]
  const read = (endpoint: string, of: readonly SealedSecret[], scope = 's') => {
    const owner = { scope, endpoint }
    return opened.known(owner, of) ?? opened.open(owner, of, 1_000)
  }
  expect(await read('o', sealed('a'))).toEqual(['1:a'])
  expect(await read('o', sealed('a'))).toEqual(['1:a'])
  expect(await read('o', sealed('b'))).toEqual(['2:b'])
  expect(await read('p', sealed('b'))).toEqual(['3:b'])
  expect(await read('o', [...sealed('b'), ...sealed('c')])).toEqual(['4:b', '5:c'])
  await clock.advance(60_001)
  expect(await read('p', sealed('b'))).toEqual(['6:b'])
  expect(await read('p', sealed('b'), 'another tenant')).toEqual(['7:b'])
  expect(clock.pending()).toBe(0)
})

test('a key service that never answers is given up in time', async () => {
  const clock = virtualClock()
  const opened = createOpenedSecrets({ seal: async () => Buffer.from(''), open: () => new Promise(() => {}) }, clock)
  const asking = opened.open({ scope: 's', endpoint: 'o' }, [{ sealed: Buffer.from('a'), untilMs: null }], 1_000)
  const refused = expect(asking).rejects.toMatchObject(failed)
  await clock.advance(1_000)
  await refused
})
