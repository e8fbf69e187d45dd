import type { StoreChange } from '../../client/store.ts'
import { inStore, names, writes, type PlaceFault } from './fault.ts'

/** A copy of JSON, with other texts. */
function texts(wrong: (text: string) => string): (value: unknown) => unknown {
  return (value) => JSON.parse(JSON.stringify(value), (_, one: unknown) => (typeof one === 'string' ? wrong(one) : one))
}

function numbers(wrong: (n: number) => number): (value: unknown) => unknown {
  return (value) => JSON.parse(JSON.stringify(value), (_, one: unknown) => (typeof one === 'number' ? wrong(one) : one))
}

function depth(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depth))
}

export const valueFaults: Readonly<Record<string, PlaceFault>> = {
  'text is normalised': writes(texts((text) => text.normalize('NFC'))),
  'half a letter is replaced': writes(texts((text) => text.toWellFormed())),
  'text ends at U+0000': writes(texts((text) => text.split('\u0000')[0]!)),
  'text of 64 kB is cut': writes(texts((text) => text.slice(0, 65_536))),
  'line separators are line feeds': writes(texts((text) => text.replaceAll(/[\u2028\u2029]/g, '\n'))),
  'numbers have 32 bits': writes(numbers((n) => (Number.isInteger(n) ? n | 0 : n))),
  'numbers have single precision': writes(numbers(Math.fround)),
  'an empty text is null': writes(texts((text) => (text === '' ? (null as never) : text))),
  'an object without members is null': writes((value) => (JSON.stringify(value) === '{}' ? null : value)),
  'what is deep is cut': writes((value) => (depth(value) > 64 ? null : value)),
  'dates come back as dates': inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, (values) =>
        decide(values.map((one) => (typeof one === 'string' && /^\d{4}-.*Z$/.test(one) ? new Date(one) : one))),
      ),
  })),

  'keys are trimmed': names((key) => key.trim()),
  'keys are in lower case': names((key) => key.toLowerCase()),
  'keys are normalised': names((key) => key.normalize('NFC')),
  'keys are cut': names((key) => key.slice(0, 255)),
  'keys are numbers where they can be': names((key) => (/^\d+$/.test(key) ? String(Number(key)) : key)),
  'keys are members of an object': (place) => {
    const members: Record<string, unknown> = {}
    return {
      async open() {
        const store = await place.open()
        return {
          ...store,
          load: async () => Object.entries(members),
          update: (keys, decide) =>
            store.update([], () => {
              const changes: readonly StoreChange[] = decide(keys.map((key) => members[key]))
              for (const [key, value] of changes) {
                if (value === undefined) delete members[key]
                else members[key] = structuredClone(value)
              }
              return changes
            }),
        }
      },
    }
  },
  'what was read changes with what is written': (place) => {
    const given = new Map<string, object>()
    return inStore((store) => ({
      update: (keys, decide) =>
        store.update(keys, (values) => {
          for (const [i, key] of keys.entries()) {
            const value = values[i]
            if (typeof value === 'object' && value !== null) given.set(key, value)
          }
          const changes = decide(values)
          for (const [key, value] of changes) Object.assign(given.get(key) ?? {}, value)
          return changes
        }),
    }))(place)
  },
}
