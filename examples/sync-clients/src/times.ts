/** When records were edited, for a database that does not know. */
export interface Times {
  of(id: string): number | undefined
  edited(id: string): void
  sent(ids: readonly string[]): void
}

/** Where a few texts are kept. */
interface Texts {
  get(name: string): Promise<string | undefined>
  set(name: string, text: string): Promise<void>
}

export async function openTimes(texts: Texts, name: string): Promise<Times> {
  const times = new Map(JSON.parse((await texts.get(name)) ?? '[]') as [string, number][])
  const keep = (): void => void texts.set(name, JSON.stringify([...times]))
  return {
    of: (id) => times.get(id),
    edited(id) {
      times.set(id, Date.now())
      keep()
    },
    sent(ids) {
      for (const id of ids) times.delete(id)
      keep()
    },
  }
}
