/*
 * Which entries count for a control. A rule is a pure question to an entry, and the same question in KQL, so that others
 * can ask it where the entries were shipped to.
 */

/** All that are there must hold; each by one of its words. */
export interface Rule {
  /** ECS event.category and event.type. */
  readonly category?: readonly string[]
  readonly type?: readonly string[]
  readonly action?: readonly string[]
  /** Of the actor. */
  readonly role?: readonly string[]
  readonly outcome?: 'failure'
}

/** What rules ask for. */
export interface Asked {
  readonly category: readonly string[]
  readonly type: readonly string[]
  readonly action: string
  readonly roles: readonly string[]
  readonly outcome: string
}

/** What an application's actions are, where their entries do not say it. */
export type Kinds = Readonly<Record<string, Kind>>

/** ECS event.category and event.type of an action. */
export interface Kind {
  readonly category?: readonly string[]
  readonly type?: readonly string[]
}

export function holds(rule: Rule, entry: Asked): boolean {
  return (
    isKind(rule, entry) &&
    (rule.action === undefined || rule.action.includes(entry.action)) &&
    (rule.role === undefined || hasOne(rule.role, entry.roles)) &&
    (rule.outcome === undefined || rule.outcome === entry.outcome)
  )
}

/** The kind of an action: its own, or that of the longest 'user.*' that it begins with. */
export function kindOf(kinds: Kinds, action: string): Kind | undefined {
  if (Object.hasOwn(kinds, action)) return kinds[action]
  for (let end = action.lastIndexOf('.'); end > 0; end = action.lastIndexOf('.', end - 1)) {
    const pattern = `${action.slice(0, end)}.*`
    if (Object.hasOwn(kinds, pattern)) return kinds[pattern]
  }
  return undefined
}

/** One of these rules in KQL. */
export function queryOf(rules: readonly Rule[], kinds: Kinds): string {
  return anyOf(rules.map((rule) => allOf(termsOf(rule, kinds))))
}

function termsOf(rule: Rule, kinds: Kinds): string[] {
  const { action, role, outcome } = rule
  return [
    ...kindTerm(rule, kinds),
    ...(action === undefined ? [] : [`event.action:${words(action)}`]),
    ...(role === undefined ? [] : [`user.roles:${words(role)}`]),
    ...(outcome === undefined ? [] : [`event.outcome:${outcome}`]),
  ]
}

function kindTerm(rule: Rule, kinds: Kinds): string[] {
  const { category, type } = rule
  const said = [
    ...(category === undefined ? [] : [`event.category:${words(category)}`]),
    ...(type === undefined ? [] : [`event.type:${words(type)}`]),
  ]
  if (said.length === 0) return []
  const actions = Object.keys(kinds).filter((action) => isKind(rule, { category: [], type: [], ...kinds[action] }))
  if (actions.length === 0) return said
  return [anyOf([allOf(said), `(not event.category:* and event.action:${words(actions.toSorted())})`])]
}

function isKind({ category, type }: Rule, entry: Required<Kind>): boolean {
  return (
    (category === undefined || hasOne(category, entry.category)) && (type === undefined || hasOne(type, entry.type))
  )
}

function hasOne(wanted: readonly string[], given: readonly string[]): boolean {
  return wanted.some((one) => given.includes(one))
}

/** Of letters, digits, '_', '-', '.' and a '*' at the end: nothing to be quoted. */
function words(all: readonly string[]): string {
  return all.length === 1 ? all[0]! : `(${all.join(' or ')})`
}

function allOf(terms: readonly string[]): string {
  return terms.length === 0 ? '*' : terms.length === 1 ? terms[0]! : `(${terms.join(' and ')})`
}

function anyOf(terms: readonly string[]): string {
  return terms.length === 1 ? terms[0]! : `(${terms.join(' or ')})`
}
