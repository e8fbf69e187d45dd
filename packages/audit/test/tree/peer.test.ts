/** Notes, proofs, tiles and paths beside Go's own packages (golang.org/x/mod/sumdb), with which Go checks its modules. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildGo } from '../../../../tools/servers/go.ts'
import { generateKey, parseSigner, parseVerifier, verifierText } from '../../src/note/keys.ts'
import { openNote, signNote } from '../../src/note/note.ts'
import { provesConsistency, provesInclusion } from '../../src/tree/checks.ts'
import { leafHash } from '../../src/tree/hashing.ts'
import { rootOf } from '../../src/tree/head.ts'
import { consistencyProof, inclusionProof, rootAt } from '../../src/tree/proofs.ts'
import { tileWidth } from '../../src/tree/tile.ts'
import { parseTilePath, tilePath } from '../../src/tree/tile-path.ts'
import { openCheckpoint } from '../../src/verify/index.ts'
import { openLog } from '../verify/log.ts'
import { entriesOf, growTree, type GrownTree } from './grown-tree.ts'

interface Answer {
  readonly error?: string
  readonly text?: string
  readonly names?: readonly string[]
  readonly note?: string
  readonly signer?: string
  readonly verifier?: string
  readonly root?: string
  readonly record?: readonly string[]
  readonly tree?: readonly string[]
  readonly path?: string
}

let folder: string
let program: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keelson-go-'))
  const library = {
    title: "Go's golang.org/x/mod",
    path: 'golang.org/x/mod/sumdb/tlog',
    debianPackage: 'golang-golang-x-mod-dev',
  }
  program = await buildGo(fileURLToPath(new URL('peer.go', import.meta.url)), folder, library)
})
afterAll(async () => await rm(folder, { recursive: true, force: true }))

/** What Go says to each question. */
async function ask(questions: readonly object[]): Promise<Answer[]> {
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  child.stdin.end(questions.map((question) => `${JSON.stringify(question)}\n`).join(''))
  const lines = (await text(child.stdout)).split('\n').slice(0, -1)
  expect(await closed).toEqual([0, null])
  expect(lines).toHaveLength(questions.length)
  return lines.map((line) => JSON.parse(line) as Answer)
}

async function askOne(question: object): Promise<Answer> {
  return (await ask([question]))[0]!
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const TEXT = 'acme.example/audit\n3\nrZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQAAAAAAAAA=\n\nmore — text\n'

test('Go opens our notes with our keys, and refuses what we refuse', async () => {
  const pairs = ['acme.example/audit', 'ü/日本', 'acme.example/audit'].map(generateKey)
  const note = signNote(
    TEXT,
    pairs.map(({ signer }) => parseSigner('key', signer)),
  )
  const verifiers = pairs.map(({ verifier }) => verifier)
  expect(
    await ask([
      { op: 'open', note, verifiers },
      { op: 'open', note, verifiers: verifiers.slice(1, 2) },
      { op: 'open', note, verifiers: [generateKey('acme.example/audit').verifier] },
      { op: 'open', note: note.replace('more', 'less'), verifiers },
    ]),
  ).toEqual([
    { text: TEXT, names: ['acme.example/audit', 'ü/日本', 'acme.example/audit'] },
    { text: TEXT, names: ['ü/日本'] },
    { error: 'note has no verifiable signatures' },
    { error: expect.stringMatching(/^invalid signature for key acme/) },
  ])
  const checkpoints = openLog()
  checkpoints.grow(300)
  const checkpoint = await checkpoints.checkpoint()
  expect(await askOne({ op: 'open', note: checkpoint, verifiers: [checkpoints.verifier] })).toMatchObject({
    text: `acme.example/audit\n300\n${await checkpoints.root(300)}\n`,
  })
})

test("we open Go's notes with Go's keys", async () => {
  const pairs = await ask(['acme.example/audit', 'ü/日本'].map((name) => ({ op: 'generate', name })))
  const signers = pairs.map(({ signer }) => signer!)
  for (const { signer, verifier } of pairs) {
    expect(verifierText(parseSigner('key', signer))).toBe(verifier)
    expect(verifierText(parseVerifier('key', verifier))).toBe(verifier)
  }
  const { note = '' } = await askOne({ op: 'sign', text: TEXT, signers })
  const known = pairs.map(({ verifier }) => parseVerifier('key', verifier))
  expect(openNote(note, known)).toEqual({ kind: 'signed', text: TEXT, by: known })
  // Ed25519 has one signature of a text: byte for byte what we sign.
  expect(
    signNote(
      TEXT,
      signers.map((signer) => parseSigner('key', signer)),
    ),
  ).toBe(note)
  // And with keys of ours.
  const ours = generateKey('acme.example/audit')
  const checkpoint = `acme.example/audit\n0\n${base64(Buffer.alloc(32))}\n`
  const signed = await askOne({ op: 'sign', text: checkpoint, signers: [ours.signer] })
  expect(openCheckpoint(signed.note!, [ours.verifier])).toMatchObject({ origin: 'acme.example/audit', size: 0 })
})

test('of changed notes and keys Go accepts none that we refuse, but for base64 that has two texts', async () => {
  const { signer, verifier } = generateKey('acme')
  const note = signNote('a\n', [parseSigner('key', signer)])
  const notes = flippedTexts(note)
  const opened = await ask(notes.map((each) => ({ op: 'open', note: each, verifiers: [verifier] })))
  const wrong = notes.filter((each, i) => opened[i]!.error === undefined && !sameBase64(note, each))
  expect(wrong).toEqual([])
  for (const each of notes) expect(openNote(each, [parseVerifier('key', verifier)]).kind).not.toBe('signed')
})

test("every leaf hash is Go's", async () => {
  const all = [0, 1, 55, 56, 64, 700, 65_535].map((length) => Buffer.alloc(length, length))
  const answers = await ask(all.map((bytes) => ({ op: 'leaf', bytes: base64(bytes) })))
  expect(answers.map(({ root }) => root)).toEqual(all.map((bytes) => base64(leafHash(bytes))))
})

test("Go's client reads our tiles, makes the same proofs, and accepts ours", async () => {
  const tree = growTree()
  const entries = entriesOf(70_000)
  const sizes = [1, 2, 3, 7, 255, 256, 257, 600, 65_535, 65_536, 65_537, 70_000]
  for (const size of sizes) {
    tree.append(entries.slice(tree.head.size, size))
    const readTiles: typeof tree.readTiles = (refs) => tree.readTiles(refs)
    const root = base64(rootOf(tree.head))
    const tiles = tilesAt(tree, size)
    const places = [...new Set([0, Math.floor(size / 3), size - 2, size - 1])].filter((index) => index >= 0)
    const questions = []
    for (const index of places) {
      const old = index + 1
      const record = (await inclusionProof(index, size, readTiles)).map(base64)
      const tree = (await consistencyProof(old, size, readTiles)).map(base64)
      const leaf = base64(leafHash(entries[index]!))
      const oldRoot = base64(await rootAt(old, readTiles))
      const [proven, checked, consistent] = await ask([
        { op: 'prove', size, root, index, old, tiles },
        { op: 'record', hashes: record, size, root, index, leaf },
        { op: 'tree', hashes: tree, size, root, old, oldRoot },
      ])
      expect(proven).toEqual({
        root,
        ...(record.length > 0 && { record }),
        ...(tree.length > 0 && { tree }),
      })
      expect([checked, consistent]).toEqual([{}, {}])
      questions.push(
        { op: 'record', hashes: record, size, root, index, leaf: root === leaf ? base64(Buffer.alloc(32)) : root },
        { op: 'record', hashes: [...record, root], size, root, index, leaf },
        { op: 'tree', hashes: [...tree, root], size, root, old, oldRoot },
      )
    }
    for (const { error } of await ask(questions)) expect(error).toBeDefined()
  }
})

test('of changed proofs Go and we accept the same', async () => {
  const tree = growTree()
  const entries = entriesOf(20)
  tree.append(entries)
  const readTiles: typeof tree.readTiles = (refs) => tree.readTiles(refs)
  const now = { size: 20, root: rootOf(tree.head) }
  const questions: object[] = []
  const ours: boolean[] = []
  for (let index = 0; index < 20; index++) {
    const hashes = await inclusionProof(index, 20, readTiles)
    const leaf = leafHash(entries[index]!)
    for (let place = 0; place < 20; place++) {
      for (const changed of [hashes, hashes.slice(1), hashes.slice(0, -1), hashes.toReversed(), [...hashes, leaf]]) {
        ours.push(provesInclusion(place, leaf, changed, now))
        const [root, list] = [base64(now.root), changed.map(base64)]
        questions.push({ op: 'record', hashes: list, size: 20, root, index: place, leaf: base64(leaf) })
      }
    }
    const old = index + 1
    const oldRoot = await rootAt(old, readTiles)
    const proof = await consistencyProof(old, 20, readTiles)
    for (let size = 1; size <= 20; size++) {
      for (const changed of [proof, proof.slice(1), proof.slice(0, -1), proof.toReversed(), [...proof, leaf]]) {
        ours.push(provesConsistency(changed, { size, root: oldRoot }, now))
        const [root, list] = [base64(now.root), changed.map(base64)]
        questions.push({ op: 'tree', hashes: list, size: 20, root, old: size, oldRoot: base64(oldRoot) })
      }
    }
  }
  const answers = await ask(questions)
  expect(answers.map(({ error }) => error === undefined)).toEqual(ours)
  expect(ours.filter(Boolean).length).toBeGreaterThan(40)
})

test('Go reads our paths, and refuses those that we refuse', async () => {
  const indexes = [0, 1, 999, 1_000, 1_234_067, 999_999, 1_000_000, 2 ** 45]
  const paths = indexes.flatMap((index) => [
    tilePath({ level: 0, index, width: 256 }),
    tilePath({ level: 5, index, width: 17 }),
  ])
  const wrong = [
    'tile/0/x000/001',
    'tile/0/1',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/00/000',
    'tile/0/0000',
  ]
  const answers = await ask([...paths, ...wrong].map((path) => ({ op: 'path', path })))
  expect(answers.slice(0, paths.length)).toEqual(paths.map((path) => ({ path })))
  for (const { error } of answers.slice(paths.length)) expect(error).toMatch(/malformed tile path/)
  for (const path of paths) expect(parseTilePath(path)).toBeDefined()
  for (const path of wrong) expect(parseTilePath(path)).toBeUndefined()
})

/** Tiles as files of a tree of that size. */
function tilesAt(tree: GrownTree, size: number): Record<string, string> {
  return Object.fromEntries(
    [...tree.tiles].map(([key, tile]) => {
      const [level = 0, index = 0] = key.split('/').map(Number)
      const width = tileWidth({ level, index }, size)
      expect(tile).toHaveLength(width * 32)
      return [tilePath({ level, index, width }), base64(tile)]
    }),
  )
}

function flippedTexts(text: string): string[] {
  return Array.from({ length: Buffer.byteLength(text) * 8 }, (_, bit) => {
    const flipped = Buffer.from(text)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    return flipped.toString()
  })
}

/** Whether notes differ in nothing but how their last line's base64 is written: Go takes all that mean the same bytes. */
function sameBase64(a: string, b: string): boolean {
  const [x, y] = [a, b].map((note) => [note.slice(0, note.lastIndexOf(' ')), note.slice(note.lastIndexOf(' '))])
  return x![0] === y![0] && Buffer.from(x![1]!, 'base64').equals(Buffer.from(y![1]!, 'base64'))
}
