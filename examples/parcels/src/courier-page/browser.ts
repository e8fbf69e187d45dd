// The part of the browser that the page uses. Structural: the rest of this program runs on a server, and should find no
// `document`.

export interface Element {
  textContent: string
  value: string
  ariaLabel: string
  append(...children: (Element | string)[]): void
  replaceChildren(...children: (Element | string)[]): void
  addEventListener(type: 'change' | 'click', fn: () => unknown): void
}

interface Page {
  readonly document: {
    readonly activeElement: unknown
    createElement(name: 'li' | 'label' | 'input' | 'button'): Element
    querySelector(selector: string): Element
  }
  readonly location: { readonly search: string }
  readonly navigator: { readonly serviceWorker: { register(url: string): Promise<unknown> } }
}

/** Of a page. */
export const { document, location, navigator } = globalThis as unknown as Page

interface Fetching {
  readonly request: Request
  respondWith(answer: Promise<Response>): void
}

interface Worker {
  readonly caches: {
    open(name: string): Promise<{ addAll(paths: readonly string[]): Promise<void> }>
    match(path: string): Promise<Response>
  }
  addEventListener(type: 'install', fn: (event: { waitUntil(done: Promise<unknown>): void }) => void): void
  addEventListener(type: 'fetch', fn: (event: Fetching) => void): void
}

/** Of a service worker. */
export const worker = globalThis as unknown as Worker
