/** What cached answers about a merchant's shipments are tagged with, and about one of them. */
export function tagsOf(merchant: string, id?: string): string[] {
  return [`merchant:${merchant}`, ...(id === undefined ? [] : [`shipment:${id}`])]
}
