import type { Asked } from '../asked.ts'
import { html, type Content, type Html } from './html.ts'

/** A table; nothing when it has no rows. On a narrow screen each cell says by itself what it is. */
export function table(head: readonly string[], rows: readonly (readonly Content[])[]): Content {
  if (rows.length === 0) return undefined
  const cell = (content: Content, i: number): Html => html`<td data-label="${head[i]}">${content}</td>`
  return html`<table><thead><tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead><tbody>${rows.map((row) => html`<tr>${row.map(cell)}</tr>`)}</tbody></table>`
}

export function stateMark(state: string): Html {
  return html`<strong class="${state}">${state}</strong>`
}

export function pairs(values: Readonly<Record<string, number>>, unit = 1): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${Math.round((value / unit) * 1000) / 1000}`)
    .join(', ')
}

/** What may have no blank to break it at. */
export function long(text: Content): Html {
  return html`<span class="long">${text}</span>`
}

/** An instant, or nothing for what is none. */
export function timeOf(at: number | Date | null | undefined): string {
  const time = new Date(at ?? NaN)
  return Number.isNaN(time.getTime()) ? '' : time.toISOString().replace('T', ' ').replace('Z', ' UTC')
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const

/** A duration, as people say it. */
export function durationOf(ms: number | null | undefined): string {
  if (typeof ms !== 'number') return ''
  const [name, unit] = UNITS.find(([, unit]) => ms >= unit) ?? ['ms', 1]
  return `${Math.round((ms / unit) * 10) / 10}\u00A0${name}`
}

/** This page, asked so. */
export function link(text: string, query: Readonly<Record<string, string>>): Html {
  return html`<a href="${hrefOf(query)}">${text}</a>`
}

/** A question is answered where it was asked; what was done is said on top. */
export function hrefOf(query: Readonly<Record<string, string>>): string {
  const { see, done } = query
  const place = see === undefined || done !== undefined ? '' : `#${see}`
  return `?${new URLSearchParams(query).toString()}${place}`
}

/** Fields that ask this page about one of its sections. */
export function questionForm(see: string, button: string, fields: readonly Html[]): Html {
  return html`<form method="get" action="#${see}"><input type="hidden" name="see" value="${see}">${fields}<button>${button}</button></form>`
}

/** A button that does something; what it does is in the URL, so that a record of the request tells it. */
export function actionForm(
  query: Readonly<Record<string, string>>,
  button: string,
  { label = button, fields = [] }: { readonly label?: string; readonly fields?: readonly Html[] } = {},
): Html {
  return html`<form method="post" action="${hrefOf(query)}">${fields}<button aria-label="${label}">${button}</button></form>`
}

export function field(
  label: string,
  name: string,
  value: string | null = null,
  { required = false, hint }: { readonly required?: boolean; readonly hint?: string } = {},
): Html {
  return html`<label>${label}<input name="${name}" value="${value ?? ''}" autocomplete="off" spellcheck="false"${hint === undefined ? undefined : html` placeholder="${hint}"`}${required ? html` required` : undefined}></label>`
}

/** What came of a question, or why nothing did. */
export function answerOf<T>(asked: Asked<T>, show: (value: T) => Content): Content {
  if (asked.kind === 'answer') return show(asked.value)
  return html`<p role="alert" class="down">${asked.code}: ${asked.message}</p>`
}

export const nothing: Html = html`<p>None.</p>`
